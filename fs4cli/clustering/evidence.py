"""What of a pixel's description the clusters are told: colour, texture and, where it means something, the place.

In: the axes of `fs4cli.model.axes` for all pixels of some images. Out: which of them count, and which parts of those
clusters may be made from.

Ours: every constant was chosen by measurement over eight sets of images, docs/grouping-measured.md.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.ndimage import gaussian_filter

from fs4cli.model.axes import BRIGHT_LINES, COLOUR, DARK_LINES, LAB_UNITS, PLACE, SOFT_COLOUR, TEXTURE

LINES_BRIGHT = 1.15
"""By how much the bright lines of all images must vary more than the dark ones for them to be looked for instead."""

PLACE_MATTERS = 0.1
"""Share of an image's variance that other images must foretell from the place alone for the place to be used."""

PLACE_LEADS = 0.3
"""The same share, from which on the place stands for texture: contrast then marks borders more than materials."""

_COLOUR = tuple(range(len(COLOUR)))
_SOFT_COLOUR = tuple(range(len(SOFT_COLOUR)))
_TEXTURE = tuple(range(len(SOFT_COLOUR), len(SOFT_COLOUR) + len(TEXTURE) + 1))
_PLACE = (_TEXTURE[-1] + 1, _TEXTURE[-1] + 2)

KINDS = {
    "lightness": _SOFT_COLOUR[::3],
    "chroma": tuple(axis for axis in _SOFT_COLOUR if axis % 3),
    "texture": _TEXTURE,
    "place": _PLACE,
}
"""By name, where each kind of evidence lies among the axes of `list_axes`; the place is not always there."""

_PLACED = "soft colour and place"

EVIDENCE = {
    "colour": _COLOUR,
    "texture": _TEXTURE,
    "soft colour": _SOFT_COLOUR,
    _PLACED: _SOFT_COLOUR + _PLACE,
    "colour and texture": _COLOUR + _TEXTURE,
    "soft colour and texture": _SOFT_COLOUR + _TEXTURE,
    "soft colour, texture and place": _SOFT_COLOUR + _TEXTURE + _PLACE,
}
"""Parts of the axes of `list_axes`, in the order in which they are believed; those with the place only where it
matters."""

GREY_CHROMA = 2.0
"""Spread of a and of b, in Lab units, below which images are called grey."""

STEP_REACH = 3
"""How far to both sides colours are compared to find steps, in cells."""

FEWEST_IMAGES = 8
"""Below, nothing is concluded about places."""


def list_evidence(place: float, *, is_grey: bool) -> dict[str, tuple[int, ...]]:
    """What groupings may be made from: parts of `EVIDENCE`, in its order.

    Args:
        place: From `measure_place`.
        is_grey: From `are_images_grey`; only then may texture stand without colour.
    """
    if place > PLACE_LEADS:
        return {_PLACED: EVIDENCE[_PLACED]}
    evidence = {name: axes for name, axes in EVIDENCE.items() if place > PLACE_MATTERS or axes[-1] not in _PLACE}
    if not is_grey:
        del evidence["texture"]
    return evidence


def list_axes(*, with_place: bool, bright_lines: bool) -> tuple[int, ...]:
    """Which axes of `fs4cli.model.axes` count: colour at three scales, texture, one kind of lines, perhaps the place.

    Args:
        with_place: Row and column count.
        bright_lines: Bright lines count, not dark ones.
    """
    return SOFT_COLOUR + TEXTURE + (BRIGHT_LINES if bright_lines else DARK_LINES,) + (PLACE if with_place else ())


def are_images_grey(images: Sequence[Float32[np.ndarray, "_ _ a"]]) -> bool:
    """Whether colour tells nothing but lightness: a and b hardly differ anywhere.

    Args:
        images: All axes of whole images.
    """
    chroma = np.concatenate([axes[..., COLOUR[1] : COLOUR[2] + 1].reshape(-1, 2) for axes in images])
    return bool((chroma.std(0) * LAB_UNITS[1:] < GREY_CHROMA).all())


def are_lines_bright(images: Sequence[Float32[np.ndarray, "_ _ a"]]) -> bool:
    """Whether thin things are brighter than what is beside them, all images taken together.

    Args:
        images: All axes of whole images.
    """
    dark, bright = (
        sum(float(((axes[..., line] - axes[..., line].mean()) ** 2).mean()) for axes in images)
        for line in (DARK_LINES, BRIGHT_LINES)
    )
    return bright > LINES_BRIGHT**2 * dark


def find_insides(axes: Float32[np.ndarray, "h w a"]) -> Bool[np.ndarray, "h w"]:
    """The half of an image's cells that lie farthest from steps of colour: insides of things, if it shows things.

    On a step, what is around a cell is of two things, and its contrast is that between them. What differs alike on both
    sides, as a line or a texture does, is no step.

    Args:
        axes: All axes of a whole image.
    """
    colour = axes[..., SOFT_COLOUR[-len(COLOUR) :]]
    padded = np.pad(colour, ((STEP_REACH, STEP_REACH), (STEP_REACH, STEP_REACH), (0, 0)), mode="edge")
    rows, columns = slice(STEP_REACH, -STEP_REACH), slice(STEP_REACH, -STEP_REACH)
    down = padded[2 * STEP_REACH :, columns] - padded[: -2 * STEP_REACH, columns]
    right = padded[rows, 2 * STEP_REACH :] - padded[rows, : -2 * STEP_REACH]
    steps = (down**2).sum(2) + (right**2).sum(2)
    return steps <= np.median(steps)


def measure_place(images: Sequence[Float32[np.ndarray, "_ _ a"]], *, grid: int = 16) -> float:
    """How much of the colour within an image other images foretell from the place alone.

    Each half of the images is foretold by the mean of the other half. Near 0 (or below, by chance) where places mean
    nothing, as under a microscope; 0.5 for a road; more for a fixed camera. 0 if there are too few images to say.

    Args:
        images: All axes of whole images; their sizes may differ.
        grid: Places told apart, per side.
    """
    if len(images) < FEWEST_IMAGES:
        return 0.0
    maps = np.stack([_to_grid(axes[..., : len(COLOUR)], grid) for axes in images])
    maps -= maps.mean((1, 2), keepdims=True)
    left, total = 0.0, 0.0
    for known, asked in ((maps[::2], maps[1::2]), (maps[1::2], maps[::2])):
        expected = gaussian_filter(known.mean(0), (1, 1, 0))
        left += float(((asked - expected) ** 2).sum())
        total += float((asked**2).sum())
    return 1 - left / total if total > 0 else 0.0


def _to_grid(values: Float[np.ndarray, "h w c"], grid: int) -> Float[np.ndarray, "g g c"]:
    """Each square of the grid takes the value in its middle, after softening by half a square."""
    height, width = values.shape[:2]
    soft = gaussian_filter(values, (0.5 * height / grid, 0.5 * width / grid, 0))
    middles = (np.arange(grid) + 0.5) / grid
    return soft[np.ix_((middles * height).astype(int), (middles * width).astype(int))]
