"""Makes the golden project: `python tests/golden/make_golden.py tests/golden/format-N`, with the fs4 of that format.

It is kept as that fs4 left it, and is made again only beside the old ones, when the format of the state changes.
"""

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "stages"))

import torch
from toy_project import choose_tiny, draw_folder

from fs4cli.pipeline import train_from_images
from fs4cli.progress import SilentProgress
from fs4cli.project.project import Project
from fs4cli.stages.evaluate import run_evaluate
from fs4cli.stages.predict import run_predict
from fs4cli.training.checkpoint import CheckpointFolder

STATE = {"name": "pretrain", "seed": 0, "objective": {"weight": torch.arange(6.0).reshape(2, 3)}, "scaler": {}}
SETTINGS = {
    **{"model__backbone": "test_efficientnet", "model__channels": 8, "ingest__cache_size": 32, "predict__size": 32},
    **{"pretrain__steps": 2, "pretrain__batch_size": 2, "train__steps": 2, "train__rounds": 1, "train__batch_size": 2},
}


def make(folder: Path) -> None:
    """`images/`, `labels/`, `done/` with every stage done, and `checkpoints/` of a small state."""
    work = draw_folder(Path("/tmp/fs4-golden"), count=4)
    images, settings, progress = [str(work / "images")], choose_tiny(**SETTINGS), SilentProgress()
    done = Project(work / "done")
    done.root.mkdir()
    done.settings_path.write_text("classes: 3\n")
    train_from_images(done, settings, images=images, progress=progress)
    run_predict(images, out=None, project=done, model=None, settings=settings, progress=progress)
    run_evaluate(settings, labels=work / "labels", images=work / "images", project=done, progress=progress)
    for stage in ("pretrain", "train"):  # of stages that are done they serve nobody, and they are large
        shutil.rmtree(done.checkpoints(stage))
    for path in work.rglob("features.*"):
        path.unlink()
    for step in (2, 3):  # of a stage they would be some megabytes
        CheckpointFolder(work / "checkpoints").save(step, STATE)
    shutil.copytree(work, folder)
    shutil.rmtree(work)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    make(Path(sys.argv[1]))
