"""A folder of drawn photographs and a project to ingest it: what the tests of ingest share."""

from pathlib import Path

import numpy as np
from PIL import Image

from fs4cli.config import Settings
from fs4cli.data.index import ImageEntry, read_index
from fs4cli.progress import SilentProgress
from fs4cli.project.project import Project
from fs4cli.stages.ingest import IngestResult, run_ingest


def save(path: Path, number: int, size: tuple[int, int] = (60, 40)) -> Path:
    """A blurred picture of its own for every number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def choose(**ingest) -> Settings:
    return Settings.model_validate({"workers": 1, "ingest": {"cache_size": 32, **ingest}})


def ingest(project: Project, *sources: Path | str, settings: Settings | None = None, **options) -> IngestResult:
    progress = options.pop("progress", SilentProgress())
    images = [str(source) for source in sources]
    return run_ingest(project, settings or choose(), images=images, progress=progress, **options)


def entries_of(project: Project) -> dict[str, ImageEntry]:
    return {entry.path: entry for entry in read_index(project.index)}


def snapshot(folder: Path) -> dict[str, tuple]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.lstat().st_size, path.lstat().st_mode)
        for path in folder.rglob("*")
    }


def draw_photos(folder: Path) -> Path:
    """Six good images in two folders."""
    for number in range(6):
        save(folder / ("sub" if number > 3 else ".") / f"{number}.png", number)
    return folder
