"""Sharpen probabilities along image edges: pixel-adaptive averaging in pure torch.

In: probabilities and the image they are about. Out: probabilities that agree among neighbours of the same colour.

Follows: PAMR (Araslanov and Roth, 2020): affinities of local contrast-normalized colour differences, iterated.
Ours: docs/method.md eq. 8, written anew from the paper's description; the unary term is kept at each iteration, so that
thin classes survive.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SHARPNESS = 0.4
"""Difference of colour, as a share of the local mean difference, at which a neighbour counts for little: at 1, a line
two pixels wide is averaged away by what lies beside it."""

_REACH = 4
_STEPS = tuple(
    (row * dilation, column * dilation)
    for dilation in (1, 2, _REACH)
    for row in (-1, 0, 1)
    for column in (-1, 0, 1)
    if row or column
)


def refine_probabilities(
    probabilities: Float[Tensor, "b k h w"],
    images: Float[Tensor, "b 3 h w"],
    *,
    iterations: int = 3,
    keep: float = 0.4,
) -> Float[Tensor, "b k h w"]:
    """Average probabilities over neighbours of like colour, again and again.

    Args:
        probabilities: Summing to 1 over k.
        images: In [0, 1], of the same size.
        iterations: How often; each reaches 4 pixels further.
        keep: Share of the first probabilities in every average, in [0, 1].

    Returns:
        Probabilities summing to 1 over k.
    """
    if images.device.type == "cpu" and len(images) > 1:  # one image's maps stay in the cache of a core
        pairs = zip(probabilities.split(1), images.split(1), strict=True)
        return torch.cat([refine_probabilities(*pair, iterations=iterations, keep=keep) for pair in pairs])
    weights = (1 - keep) * _weigh_neighbours(images)
    padded = F.pad(probabilities, (_REACH,) * 4)
    refined = padded[:, :, _REACH:-_REACH, _REACH:-_REACH]
    neighbours = [_look(padded, *step) for step in _STEPS]  # views: they follow what is copied into `refined`
    for _ in range(iterations):
        total = keep * probabilities
        for position, values in enumerate(neighbours):
            total.addcmul_(weights[:, position : position + 1], values)
        refined.copy_(total)
    return refined.clone()


def _weigh_neighbours(images: Tensor) -> Tensor:
    """The share of each neighbour in its pixel's average; 0 for those beyond the border."""
    padded, inside = F.pad(images, (_REACH,) * 4), F.pad(torch.ones_like(images[:, :1]), (_REACH,) * 4)
    differences = torch.stack([(images - _look(padded, *step)).abs().mean(1) for step in _STEPS], 1)
    counted = torch.cat([_look(inside, *step) for step in _STEPS], 1)
    # contrast is local: a faint edge in a flat region counts as much as a strong one in texture
    mean = (differences * counted).sum(1, keepdim=True) / counted.sum(1, keepdim=True)
    logits = -((differences / (SHARPNESS * (mean + 0.01))) ** 2)
    return torch.softmax(logits.masked_fill(counted == 0, -1e4), dim=1)


def _look(padded: Tensor, down: int, right: int) -> Tensor:
    """A view of the padded map as pixels see it that look `down` and `right`."""
    height, width = padded.shape[2] - 2 * _REACH, padded.shape[3] - 2 * _REACH
    top, left = _REACH + down, _REACH + right
    return padded[:, :, top : top + height, left : left + width]
