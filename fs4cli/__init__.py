"""Label-free semantic segmentation of your own images, from random weights.

Five functions do what the commands do, and are all that most programs need:

- `run_ingest(project, settings, images=[...], progress=...)`: read a folder of images into a project
- `train_from_images(project, settings, images=[...], progress=...)`: everything up to a trained segmenter
- `run_predict(sources, out=..., project=..., model=..., settings=..., progress=...)`: masks for images
- `run_evaluate(settings, labels=..., predictions=..., progress=...)`: scores against labels
- `run_demo(folder, settings=..., progress=...)`: the whole job on drawn scenes

They are imported when first used, so that `import fs4cli` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fs4cli.config import Settings
    from fs4cli.demo import run_demo
    from fs4cli.pipeline import train_from_images
    from fs4cli.progress import SilentProgress
    from fs4cli.project.project import Project
    from fs4cli.stages.evaluate import run_evaluate
    from fs4cli.stages.ingest import run_ingest
    from fs4cli.stages.predict import run_predict

__all__ = [
    "Project",
    "Settings",
    "SilentProgress",
    "run_demo",
    "run_evaluate",
    "run_ingest",
    "run_predict",
    "train_from_images",
]

_HOMES = {
    "Project": "fs4cli.project.project",
    "Settings": "fs4cli.config",
    "SilentProgress": "fs4cli.progress",
    "run_demo": "fs4cli.demo",
    "run_evaluate": "fs4cli.stages.evaluate",
    "run_ingest": "fs4cli.stages.ingest",
    "run_predict": "fs4cli.stages.predict",
    "train_from_images": "fs4cli.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
