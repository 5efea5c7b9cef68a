"""How plain cues describe a pixel: its colour, its texture, its place and its image's light, on fixed scales.

In: cues of whole images at stride 4. Out: `AXES` numbers a pixel, the same for every folder of images and on any
device. What clusters are found in, and what the rule that a model keeps of them (`fs4cli.model.prior`) is linear in.

Ours: every constant was chosen by measurement over eight sets of images, docs/grouping-measured.md.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fs4cli.model.cues import smooth

LAB_UNITS = (25.0, 10.0, 10.0)
"""Differences of L, a and b that count alike: chroma tells materials apart, lightness mostly light from shade."""

COLOUR_SOFTENING = (0.0, 0.7, 2.0)
"""How far colour is softened again, in cells of the grid."""

TEXTURE_SOFTENING = (1.0, 2.0)
"""How far contrast is averaged, in cells. Less, and the border between two plain areas passes for a texture."""

CONTRAST_FLOOR = 16.0
"""Variance of L that is noise: four units of L."""

GRAIN_SOFTENING = 1.0
"""How far grain is averaged, in cells, beyond what `fs4cli.model.cues` does."""

TAIL_SOFTENING = 1.0
"""How far the third moment is averaged, in cells."""

STEP_UNIT = 0.1
"""Difference of colour between a cell's neighbours that halves its weight where texture is averaged: 2.5 units of L."""

PATTERN_UNIT = 8.0
"""Units of L that count as one, in third moments and in lines."""

PLACE_UNIT = 0.25
"""Share of the height or width that counts as one; the clusters hardly depend on it, their metric is fitted."""

COLOUR = tuple(range(3))
"""Axes: L, a and b, unsoftened."""

SOFT_COLOUR = tuple(range(3 * len(COLOUR_SOFTENING)))
"""Axes: L, a and b at three scales, the unsoftened first."""

_NEXT = len(SOFT_COLOUR)
TEXTURE = tuple(range(_NEXT, _NEXT + 3 * len(TEXTURE_SOFTENING) + 5))
"""Axes: log contrast at two times three scales, four of log grain, and the third moment."""

DARK_LINES, BRIGHT_LINES = TEXTURE[-1] + 1, TEXTURE[-1] + 2

PLACE = (BRIGHT_LINES + 1, BRIGHT_LINES + 2)
"""Axes: row and column."""

LIGHT = tuple(range(PLACE[-1] + 1, PLACE[-1] + 1 + len(COLOUR)))
"""Axes: mean L, a and b of the whole image, alike for all its pixels."""

AXES = LIGHT[-1] + 1
"""How many there are."""


def describe_cues(
    cues: Float[Tensor, "b c h w"], *, is_mirrored: bool = False, own_side: bool = True
) -> Float[Tensor, "b a h w"]:
    """The `AXES` of each cell, in the order of the tuples above.

    Args:
        cues: Of whole images, in Lab units, as `fs4cli.model.cues` lists them: `find_cues`, then `find_patterns`.
        is_mirrored: The images are left-right mirror images of what was photographed: count columns from the right.
        own_side: Beside a border texture is that of a cell's own side, not that of the border; rules of before format
            6 of model files are told of both.
    """
    # half precision cannot tell apart what is compared here
    with torch.autocast(cues.device.type, enabled=False):
        cues = cues.float()
        colour = cues[:, :3] / cues.new_tensor(LAB_UNITS).view(1, 3, 1, 1)
        variance, grain, tail, lines = cues[:, 4:9:2] ** 2, cues[:, 9:13] ** 2, cues[:, 13:14], cues[:, 14:16]
        parts = [_soften(colour, sigma) for sigma in COLOUR_SOFTENING]
        weights = _weigh_insides(colour) if own_side else torch.ones_like(colour[:, :1])
        squares = [_average_insides(variance, weights, sigma) for sigma in TEXTURE_SOFTENING]
        squares.append(_average_insides(grain, weights, GRAIN_SOFTENING if own_side else 0.0))
        parts += [0.5 * (square + CONTRAST_FLOOR).log() for square in squares]
        parts.append(_average_insides(tail, weights, TAIL_SOFTENING) / PATTERN_UNIT)
        rows, columns = (
            (torch.arange(length, device=cues.device) + 0.5) / length / PLACE_UNIT for length in cues.shape[2:]
        )
        places = torch.stack(torch.meshgrid(rows, columns.flip(0) if is_mirrored else columns, indexing="ij"))
        # image by image, so that what else is in the batch changes no bit
        light = torch.stack([one.mean((1, 2)) for one in colour])[:, :, None, None]
        everywhere = [values.expand(len(cues), -1, *cues.shape[2:]) for values in (places, light)]
        return torch.cat([*parts, lines / PATTERN_UNIT, *everywhere], 1)


def _weigh_insides(colour: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """How far a cell is to be believed about texture: 1 where its neighbours are alike, less the more they differ.

    On the border between two plain areas contrast is that between them, and says nothing of either.
    """
    padded = F.pad(colour, (1, 1, 1, 1), mode="replicate")
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    right = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    steps = (down**2 + right**2).sum(1, keepdim=True).sqrt()
    return STEP_UNIT / (STEP_UNIT + steps)


def _average_insides(
    values: Float[Tensor, "b c h w"], weights: Float[Tensor, "b 1 h w"], sigma: float
) -> Float[Tensor, "b c h w"]:
    """Softened as `_soften` does it, each cell with its weight beside that of its distance."""
    return _soften(values * weights, sigma) / _soften(weights, sigma)


def _soften(values: Float[Tensor, "b c h w"], sigma: float) -> Float[Tensor, "b c h w"]:
    """A Gaussian to four standard deviations; beyond the border the map goes on as its mirror image."""
    if not sigma:
        return values
    radius = int(4 * sigma + 0.5)
    for dim in (2, 3):
        length = values.shape[dim]
        places = torch.arange(-radius, length + radius, device=values.device) % (2 * length)
        values = values.index_select(dim, torch.where(places < length, places, 2 * length - 1 - places))
    return smooth(values, sigma, radius)
