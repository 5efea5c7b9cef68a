"""The frame that some cameras put around every picture: one colour, always in the same places, and nowhere else.

In: the axes of `fs4cli.model.axes` for whole images. Out: where the frame is, and clusters that know it. The black
around a round field of view, a scan or a fan of ultrasound differs more from everything than things do from each
other, and always lies in the same places: left among the rest, it makes place look like what matters, and its rim
takes clusters.

Ours: docs/grouping-measured.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32
from scipy.ndimage import binary_dilation, label

from fs4cli.clustering.evidence import FEWEST_IMAGES
from fs4cli.clustering.grouping import Grouping
from fs4cli.clustering.mixture import NOISE, TiedMixture
from fs4cli.model.axes import COLOUR

PLACES = 64
"""Places told apart, per side."""

STILL = 0.04
"""Spread of a place's colour over all images that is none, in the units of `LAB_UNITS`: one unit of L."""

ONE_COLOUR = 0.12
"""How far colours of the same frame may lie apart, in those units: three units of L."""

LEAST_FRAME, MOST_FRAME = 0.01, 0.85
"""Shares of the places: more than the first lie so deep in a frame, less than the other in it or in its rim."""

ELSEWHERE = 0.02
"""Share of what is in the frame that may have its colour: of more, the colour is that of a thing, as paper's is."""

RIM = 9
"""Places beside the frame that are left out: the softest colours look eight cells far, and maps have 48 and more."""

DEPTH = 2
"""Places in the frame that are left out, as they know of what is beside it."""

BELIEVED = 0.1
"""How far clusters are believed in the rim: what is learned from it counts for that much less."""

_FEWEST_CLASSES = 3
"""Below, the frame has no class of its own, as none would be left to tell things apart."""


@dataclass(frozen=True)
class Frame:
    """Where the frame is, on a grid of places that fits images of all sizes.

    Args:
        still: The frame.
        deep: Well inside it.
        near: The frame and its rim.
    """

    still: Bool[np.ndarray, "p p"]
    deep: Bool[np.ndarray, "p p"]
    near: Bool[np.ndarray, "p p"]

    def split(self, size: tuple[int, ...]) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
        """Which cells of a map are well inside the frame, and which are free of it and its rim.

        Args:
            size: (height, width) of the map.
        """
        place = self._place(size)
        return self.deep[place], ~self.near[place]

    def mind(self, shares: Float32[np.ndarray, "h w k"]) -> Float32[np.ndarray, "h w k"]:
        """The shares with all of the frame in the last class, and beside it doubt which of the others it is.

        Args:
            shares: Of each class in each cell, each cell's sum to 1.
        """
        place = self._place(shares.shape)
        still, rim = self.still[place], (self.near & ~self.still)[place]
        minded = shares.copy()
        others = shares[rim][:, :-1] + 1e-6  # all may be nothing, close to the frame
        others /= others.sum(1, keepdims=True)
        minded[rim, :-1] = BELIEVED * others + (1 - BELIEVED) / others.shape[1]
        minded[rim, -1] = 0
        minded[still] = np.eye(shares.shape[2])[-1]
        return minded

    @staticmethod
    def _place(size: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        return np.ix_(*(_find_places(length) for length in size[:2]))


def find_frame(images: Sequence[Float32[np.ndarray, "_ _ a"]], classes: int) -> Frame | None:
    """The frame of the images, if they have one and there are classes enough for it to be one of them.

    Args:
        images: All axes of whole images; their sizes may differ.
        classes: How many there shall be.
    """
    if classes < _FEWEST_CLASSES or len(images) < FEWEST_IMAGES:
        return None
    colours = np.stack([_look(axes[..., : len(COLOUR)]) for axes in images])
    mean = colours.mean(0)
    still = _keep_outer(colours.std(0).max(2) < STILL)
    if not still.any():
        return None
    colour = np.median(mean[still], axis=0)
    still = _keep_outer(still & (abs(mean - colour).max(2) < ONE_COLOUR))
    deep = np.logical_not(binary_dilation(~still, iterations=DEPTH))
    # beyond the border lies frame, too: where a round view touches it there is too little of it to be seen
    near = binary_dilation(still, iterations=RIM, border_value=1)
    if deep.mean() < LEAST_FRAME or near.mean() > MOST_FRAME:
        return None
    elsewhere = (abs(colours[:, np.logical_not(near)] - colour).max(2) < ONE_COLOUR).mean()
    return Frame(still, deep, near) if elsewhere <= ELSEWHERE else None


def leave_out_frame(
    images: Sequence[Float32[np.ndarray, "_ _ a"]], frame: Frame | None
) -> Sequence[Float32[np.ndarray, "_ _ a"]]:
    """The images, with their own mean where the frame and its rim were: places there tell nothing then.

    Args:
        images: All axes of whole images.
        frame: From `find_frame`.
    """
    if frame is None:
        return images
    filled = []
    for axes in images:
        free = frame.split(axes.shape)[1]
        copy = axes.copy()
        if free.any():  # a map of few cells may have none
            copy[~free] = axes[free].mean(0)
        filled.append(copy)
    return filled


def add_frame(grouping: Grouping, sample: Float32[np.ndarray, "n d"], framed: Float32[np.ndarray, "m d"]) -> Grouping:
    """The grouping with one more cluster, the last one, for the frame.

    Colour tells the frame from the rest even where texture alone tells the rest apart, in which a dark ground is as
    smooth as a frame: axes of colour that the grouping does not know join, and say nothing of the others.

    Args:
        grouping: Of what is in the frame.
        sample: All that is known of the vectors that it was found on; colour comes first.
        framed: The same of the frame, at least one.
    """
    mixture, colour = grouping.mixture, [axis for axis in range(len(COLOUR)) if axis not in grouping.axes]
    axes, known = (*grouping.axes, *colour), len(grouping.axes)
    spread = np.sqrt(sample[:, colour].var(0, dtype=np.float64) + NOISE**2)
    whitening = np.zeros((len(axes), len(axes)))
    whitening[:known, :known] = mixture.whitening
    whitening[known:, known:] = np.diag(1 / spread)
    usual = np.tile(sample[:, colour].mean(0, dtype=np.float64) / spread, (len(mixture.means), 1))
    frame = whitening @ framed[:, axes].mean(0, dtype=np.float64)
    share = len(framed) / (len(framed) + len(sample))
    together = TiedMixture(
        whitening,
        np.vstack([np.hstack([mixture.means, usual]), frame]),
        np.append(mixture.log_shares + np.log1p(-share), np.log(share)),
    )
    return replace(grouping, axes=axes, mixture=together)


def _look(values: Float32[np.ndarray, "h w c"]) -> Float32[np.ndarray, "p p c"]:
    """The cell at the middle of each place; a place may have one with its neighbours."""
    rows, columns = (((np.arange(PLACES) + 0.5) / PLACES * length).astype(int) for length in values.shape[:2])
    return values[np.ix_(rows, columns)]


def _find_places(length: int) -> np.ndarray:
    """Of each row or column of a map, the place it lies in."""
    return ((np.arange(length) + 0.5) / length * PLACES).astype(int)


def _keep_outer(region: Bool[np.ndarray, "p p"]) -> Bool[np.ndarray, "p p"]:
    """The parts of a region that reach the border."""
    parts = np.empty(region.shape, np.int32)
    label(region, output=parts)
    border = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    return region & np.isin(parts, border)
