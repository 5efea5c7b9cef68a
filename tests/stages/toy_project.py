"""A folder of drawn pictures with known classes, and settings that train on it in seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from fs4cli.config import Settings, with_values
from fs4cli.progress import SilentProgress, SilentTask, Task

CLASSES = 3

_COLOURS = np.array([[90, 140, 60], [190, 60, 50], [60, 80, 190]])


def draw_picture(number: int, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A green field with a red striped disc and a blue chequered square, and the class of each pixel."""
    random = np.random.default_rng([number, 5])
    rows, columns = np.mgrid[:side, :side]
    mask = np.zeros((side, side), np.uint8)
    down, right = random.integers(side // 4, 3 * side // 4, 2)
    mask[(rows - down) ** 2 + (columns - right) ** 2 < (side // 5) ** 2] = 1
    top, left = random.integers(0, side // 2, 2)
    mask[top : top + side // 3, left : left + side // 3] = 2
    texture = np.select([mask == 1, mask == 2], [25 * (rows // 2 % 2), 25 * ((rows // 4 + columns // 4) % 2)], 0)
    pixels = _COLOURS[mask] + texture[..., None] + random.normal(0, 8, (side, side, 3)) + random.integers(-10, 10)
    return pixels.clip(0, 255).astype(np.uint8), mask


def draw_folder(folder: Path, count: int = 16) -> Path:
    """`images/` and `labels/` with pictures and their masks."""
    for number in range(count):
        for name, picture in zip(("images", "labels"), draw_picture(number), strict=True):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / name / f"{number:02d}.png")
    return folder


def choose_tiny(**values) -> Settings:
    """Settings for the toy pictures; dots in names are written as `__`."""
    chosen = {
        "classes": CLASSES,
        "preset": "tiny",
        "device": "cpu",
        "precision": "fp32",
        "workers": 1,
        "model.backbone": "test_resnet",  # a third of a million weights
        "model.channels": 16,
        "pretrain.batch_size": 4,
        "train.batch_size": 4,
        "pretrain.steps": 4,
        "train.steps": 6,
        **{name.replace("__", "."): value for name, value in values.items()},
    }
    return with_values(Settings(), chosen)


class Stopping(SilentProgress):
    """Asks to stop once so many images or steps of a stretch of work are done, those of earlier runs included."""

    def __init__(self, task: str, after: int):
        super().__init__()
        self._wanted, self._after, self._left = task, after, False

    @contextmanager
    def task(self, name: str, total: int | None, *, unit: str, done: int = 0) -> Iterator[Task]:
        progress = self

        class Counting(SilentTask):
            def advance(self, count: int = 1, **values: float | int | str) -> None:
                nonlocal done
                done += count
                progress._left = progress._left or (name == progress._wanted and done >= progress._after)

        yield Counting()

    def stop_requested(self) -> int | None:
        return 15 if self._left else None
