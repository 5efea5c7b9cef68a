"""What part of an image a protocol scores, and at which size.

Follows: the geometry of the published code, to the pixel: PiCIE (data/coco_eval_dataset.py), STEGO (src/utils.py), IIC
    (datasets/segmentation/cocostuff.py with pad_and_or_crop).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Int, Shaped, UInt8
from PIL import Image

from fs4cli.evaluation.classes import VOID


@dataclass(frozen=True)
class Frame:
    """A square in the middle of a resized image.

    Args:
        side: Of the square, in pixels of the resized image.
        factor: Both sides are multiplied by this; if None, the short side becomes `side`.
        smooth: Images are resized bilinearly; else nearest. Labels are nearest always.
        nearest: Which pixel is the nearest: "centre" as Pillow has it, "corner" as OpenCV has it, whose users (IIC)
            also place the square from the rounded middle.
    """

    side: int
    factor: float | None = None
    smooth: bool = True
    nearest: Literal["centre", "corner"] = "centre"

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) after resizing."""
        height, width = size
        if self.factor is not None:
            return max(1, round(height * self.factor)), max(1, round(width * self.factor))
        short = min(height, width)
        return int(self.side * height / short), int(self.side * width / short)

    def frame_ids(self, ids: Int[np.ndarray, "H W"]) -> Int[np.ndarray, "side side"]:
        """The square of a map of ids; what lies beyond a smaller image is void."""
        resized = self.resized(ids.shape)
        rows, columns = (self._pick(old, new) for old, new in zip(ids.shape, resized, strict=True))
        top, left = (self._start(length) for length in resized)
        if min(resized) >= self.side:  # only the square is resized: the same pixels, less work
            return ids[np.ix_(rows[top : top + self.side], columns[left : left + self.side])]
        return _cut(ids[np.ix_(rows, columns)], top, left, self.side, VOID)

    def frame_image(self, pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "side side 3"]:
        """The square of an image; what lies beyond a smaller image is black."""
        height, width = self.resized(pixels.shape[:2])
        how = Image.Resampling.BILINEAR if self.smooth else Image.Resampling.NEAREST
        resized = np.asarray(Image.fromarray(pixels).resize((width, height), how))
        return _cut(resized, self._start(height), self._start(width), self.side, 0)

    def _pick(self, old: int, new: int) -> Int[np.ndarray, " new"]:
        if self.nearest == "centre":
            return _pick_as_pillow(old, new)
        scale = old / new if self.factor is None else 1 / self.factor
        return np.minimum(np.floor(np.arange(new) * scale).astype(np.intp), old - 1)

    def _start(self, length: int) -> int:
        """Where the square begins; below 0 where the image is smaller than it."""
        if self.nearest == "corner":  # IIC: from the middle, rounded down, half a side back
            return length // 2 - self.side // 2
        return int(round((length - self.side) / 2.0))


@lru_cache(maxsize=4096)
def _pick_as_pillow(old: int, new: int) -> Int[np.ndarray, " new"]:
    """Which of `old` pixels Pillow takes; it adds up its steps, so that no formula gives quite the same."""
    line = Image.fromarray(np.arange(old, dtype=np.int32)[None])
    return np.asarray(line.resize((new, 1), Image.Resampling.NEAREST))[0]


def _cut(whole: Shaped[np.ndarray, "H W *c"], top: int, left: int, side: int, beyond: int) -> Shaped[np.ndarray, "..."]:
    cut = np.full((side, side, *whole.shape[2:]), beyond, whole.dtype)
    height, width = whole.shape[:2]
    rows = slice(max(top, 0), min(top + side, height))
    columns = slice(max(left, 0), min(left + side, width))
    into = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    cut[into] = whole[rows, columns]
    return cut
