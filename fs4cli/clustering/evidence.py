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

PLACE_UNIT = 0.25
"""Share of the height or width that counts as one; the clusters hardly depend on it, their metric is fitted."""

PLACE_MATTERS = 0.1
"""Share of an image's variance that other images must foretell from the place alone for the place to be used."""

PLACE_LEADS = 0.3
"""The same share, from which on the place stands for texture: contrast then marks borders more than materials."""

COLOUR_AXES = 3 * len(COLOUR_SOFTENING)
TEXTURE_AXES = 3 * len(TEXTURE_SOFTENING)

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

FEWEST_IMAGES = 8
"""Below, nothing is concluded about places."""


def list_evidence(place: float) -> dict[str, tuple[int, ...]]:
    """What groupings may be made from: parts of `EVIDENCE`, in its order.

    Args:
        place: From `measure_place`.
    """
    if place > PLACE_LEADS:
        return {_PLACED: EVIDENCE[_PLACED]}
    return {name: axes for name, axes in EVIDENCE.items() if place > PLACE_MATTERS or axes[-1] not in _PLACE}


def describe_pixels(cues: Float32[np.ndarray, "h w c"], *, with_place: bool) -> Float32[np.ndarray, "h w d"]:
    """Colour at three scales, log contrast at two times three, and the place if asked for.

    Args:
        cues: Of `fs4cli.model.cues`: L, a, b, then mean and standard deviation of L at three scales, in Lab units.
        with_place: Append row and column, as shares of the height and width.
    """
    height, width = cues.shape[:2]
    colour = cues[..., :3] / np.array(LAB_UNITS, dtype=np.float32)
    variance = cues[..., 4:9:2] ** 2
    parts = [_soften(colour, sigma) for sigma in COLOUR_SOFTENING]
    parts += [0.5 * np.log(_soften(variance, sigma) + CONTRAST_FLOOR) for sigma in TEXTURE_SOFTENING]
    if with_place:
        rows = (np.arange(height) + 0.5) / height / PLACE_UNIT
        columns = (np.arange(width) + 0.5) / width / PLACE_UNIT
        parts.append(np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=2))
    return np.concatenate(parts, axis=2).astype(np.float32)


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
