"""What the pixel clusters are told about a pixel: its colour, its texture and, where it means something, its place.

In: maps of cues of whole images. Out: vectors in which each axis is on a fixed scale, the same for every folder of
images; the one thing that is found out from the images is whether to add the place.

Ours: every constant was chosen by measurement over eight sets of images, docs/grouping.md.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32
from scipy.ndimage import gaussian_filter

LAB_UNITS = (25.0, 10.0, 10.0)
"""Differences of L, a and b that count alike: chroma tells materials apart, lightness mostly light from shade."""

COLOUR_SOFTENING = (0.0, 0.7, 2.0)
"""How far colour is softened again, in cells of the grid."""

TEXTURE_SOFTENING = (1.0, 2.0)
"""How far contrast is averaged, in cells. Less, and the border between two plain areas passes for a texture."""

CONTRAST_FLOOR = 16.0
"""Variance of L that is noise: four units of L."""

GRAIN_AXES = 4
"""Cues of the grain: how much lightness changes along and across the grain, at two scales."""

TAIL_SOFTENING = 1.0
"""How far the third moment is averaged, in cells."""

PATTERN_UNIT = 8.0
"""Units of L that count as one, in third moments and in lines."""

LINES_BRIGHT = 1.15
"""By how much the bright lines of all images must vary more than the dark ones for them to be looked for instead."""

PLACE_UNIT = 0.25
"""Share of the height or width that counts as one; the clusters hardly depend on it, their metric is fitted."""

PLACE_MATTERS = 0.1
"""Share of an image's variance that other images must foretell from the place alone for the place to be used."""

PLACE_LEADS = 0.3
"""The same share, from which on the place stands for texture: contrast then marks borders more than materials."""

AXES = 24
"""Of `spread_axes`."""

_GRAIN = slice(9, 9 + GRAIN_AXES)
_TAIL = 9 + GRAIN_AXES
_LINES = _TAIL + 1

COLOUR_AXES = 3 * len(COLOUR_SOFTENING)
TEXTURE_AXES = 3 * len(TEXTURE_SOFTENING) + GRAIN_AXES + 2

_COLOUR = tuple(range(3))
_SOFT_COLOUR = tuple(range(COLOUR_AXES))
_TEXTURE = tuple(range(COLOUR_AXES, COLOUR_AXES + TEXTURE_AXES))
_PLACE = (COLOUR_AXES + TEXTURE_AXES, COLOUR_AXES + TEXTURE_AXES + 1)

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
"""Axes of `describe_pixels`, in the order in which they are believed; those with the place only where it matters."""

GREY_CHROMA = 2.0
"""Spread of a and of b, in units of Lab, below which images are called grey."""

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


def describe_pixels(
    cues: Float32[np.ndarray, "h w c"], *, with_place: bool, bright_lines: bool = False
) -> Float32[np.ndarray, "h w d"]:
    """Colour at three scales; log contrast at two times three, log grain, third moment, lines; the place if asked for.

    Args:
        cues: Of `fs4cli.model.cues`, in Lab units: L, a, b; mean and standard deviation of L at three scales; four of
            the grain; the third moment; dark lines and bright lines.
        with_place: Append row and column, as shares of the height and width.
        bright_lines: Look for bright lines, not for dark ones.
    """
    height, width = cues.shape[:2]
    colour = cues[..., :3] / np.array(LAB_UNITS, dtype=np.float32)
    variance = cues[..., 4:9:2] ** 2
    grain, tail = cues[..., _GRAIN] ** 2, cues[..., _TAIL : _TAIL + 1]
    line = cues[..., _LINES + bright_lines][..., None]
    parts = [_soften(colour, sigma) for sigma in COLOUR_SOFTENING]
    parts += [0.5 * np.log(_soften(variance, sigma) + CONTRAST_FLOOR) for sigma in TEXTURE_SOFTENING]
    parts += [0.5 * np.log(grain + CONTRAST_FLOOR), _soften(tail, TAIL_SOFTENING) / PATTERN_UNIT, line / PATTERN_UNIT]
    if with_place:
        rows = (np.arange(height) + 0.5) / height / PLACE_UNIT
        columns = (np.arange(width) + 0.5) / width / PLACE_UNIT
        parts.append(np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=2))
    return np.concatenate(parts, axis=2).astype(np.float32)


def spread_axes(axes: Sequence[int], *, bright_lines: bool) -> list[int]:
    """Where axes of `describe_pixels` lie if dark and bright lines have an axis each, and the place always has two.

    Args:
        axes: Of `describe_pixels`.
        bright_lines: As it was called.
    """
    line = COLOUR_AXES + TEXTURE_AXES - 1
    return [axis + (axis > line or (axis == line and bright_lines)) for axis in axes]


def are_images_grey(images: Sequence[Float32[np.ndarray, "_ _ c"]]) -> bool:
    """Whether colour tells nothing but lightness: a and b hardly differ anywhere.

    Args:
        images: Cues of whole images.
    """
    chroma = np.concatenate([cues[..., 1:3].reshape(-1, 2) for cues in images])
    return float(chroma.std(0).max()) < GREY_CHROMA


def are_lines_bright(images: Sequence[Float32[np.ndarray, "_ _ c"]]) -> bool:
    """Whether thin things are brighter than what is beside them, all images taken together.

    Args:
        images: Cues of whole images.
    """
    dark, bright = (
        sum(float(((cues[..., axis] - cues[..., axis].mean()) ** 2).mean()) for cues in images)
        for axis in (_LINES, _LINES + 1)
    )
    return bright > LINES_BRIGHT**2 * dark


def measure_place(images: Sequence[Float32[np.ndarray, "_ _ c"]], *, grid: int = 16) -> float:
    """How much of the colour within an image other images foretell from the place alone.

    Each half of the images is foretold by the mean of the other half. Near 0 (or below, by chance) where places mean
    nothing, as under a microscope; 0.5 for a road; more for a fixed camera. 0 if there are too few images to say.

    Args:
        images: Cues of whole images; their sizes may differ.
        grid: Places told apart, per side.
    """
    if len(images) < FEWEST_IMAGES:
        return 0.0
    maps = np.stack([_to_grid(cues[..., :3] / np.array(LAB_UNITS, dtype=np.float32), grid) for cues in images])
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


def _soften(values: Float[np.ndarray, "h w c"], sigma: float) -> Float[np.ndarray, "h w c"]:
    return gaussian_filter(values, (sigma, sigma, 0)) if sigma else values
