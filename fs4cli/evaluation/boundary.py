"""Do the borders lie where the labels have them?

Follows: the boundary F of DAVIS (precision and recall of border pixels within a tolerance, averaged over images) and
    its tolerance in BSDS, 0.75 % of the image's diagonal.
Ours: borders between any two regions, whatever their ids, because clusters have no names. A one-to-one matching would
    not change them, so the figure needs none. Borders against void are unknown: they are asked of nobody, and a border
    of the mask that lies on void or within the tolerance of it is not held against it.
"""

from dataclasses import dataclass
from math import ceil, hypot, isqrt

import numpy as np
from jaxtyping import Bool, Int

TOLERANCE = 0.0075
"""Share of the diagonal that a border may be off."""


@dataclass(frozen=True)
class BoundaryScore:
    """How well the borders of one image fit, in [0, 1].

    Args:
        precision: Share of the mask's border pixels near one of the label's; 1 if there are none.
        recall: Share of the label's border pixels near one of the mask's; 1 if there are none.
    """

    precision: float
    recall: float

    @property
    def f(self) -> float:
        """Harmonic mean of both."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def score_boundaries(
    clusters: Int[np.ndarray, "H W"], labels: Int[np.ndarray, "H W"], *, tolerance: float = TOLERANCE
) -> BoundaryScore:
    """Score the borders of one image.

    Args:
        clusters: Region of each pixel of the mask, any ids.
        labels: Class of each pixel, -1 for void.
        tolerance: Share of the image's diagonal, rounded up to whole pixels.
    """
    reach = ceil(tolerance * hypot(*labels.shape))
    known = labels >= 0
    wanted = find_borders(labels, known)
    drawn = find_borders(clusters)
    judged = drawn if known.all() else drawn & ~widen(~known, reach)
    return BoundaryScore(
        precision=_share(judged, widen(wanted, reach)),
        recall=_share(wanted, widen(drawn, reach)),
    )


def find_borders(ids: Int[np.ndarray, "H W"], known: Bool[np.ndarray, "H W"] | None = None) -> Bool[np.ndarray, "H W"]:
    """Pixels that differ from the one to the right, below, or diagonally below to the right.

    Args:
        ids: Region of each pixel.
        known: Only pairs of pixels that are both known are compared; all if left out.
    """
    height, width = ids.shape
    borders = np.zeros((height, width), bool)
    for down, right in ((0, 1), (1, 0), (1, 1)):
        here = slice(0, height - down), slice(0, width - right)
        there = slice(down, height), slice(right, width)
        differs = ids[here] != ids[there]
        if known is not None:
            differs &= known[here]
            differs &= known[there]
        borders[here] |= differs
    return borders


def widen(marks: Bool[np.ndarray, "H W"], radius: int) -> Bool[np.ndarray, "H W"]:
    """Mark everything within `radius` pixels (Euclidean) of a mark.

    The same as a binary dilation by a disk, in 4 x radius passes over the image instead of one a disk pixel.
    """
    height, width = marks.shape
    near = np.zeros_like(marks)
    if not marks.any():
        return near
    row, reach = marks.copy(), 0  # marks widened sideways by `reach`, which grows as the disk's chords do
    for down in range(radius, -1, -1):
        chord = isqrt(radius * radius - down * down)
        while reach < min(chord, width - 1):
            reach += 1
            row[:, reach:] |= marks[:, :-reach]
            row[:, :-reach] |= marks[:, reach:]
        if down < height:
            near[down:] |= row[: height - down]
            near[: height - down] |= row[down:]
    return near


def _share(marks: Bool[np.ndarray, "H W"], near: Bool[np.ndarray, "H W"]) -> float:
    count = int(np.count_nonzero(marks))
    return int(np.count_nonzero(marks & near)) / count if count else 1.0
