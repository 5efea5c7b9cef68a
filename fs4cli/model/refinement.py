"""Sharpen probabilities along image edges: pixel-adaptive averaging in pure torch.

In: probabilities and the image they are about. Out: probabilities that agree among neighbours of the same colour.

Follows: PAMR (Araslanov and Roth, 2020): affinities of local contrast-normalized colour differences, iterated.
Ours: written anew from the paper's description; the unary term is kept at each iteration, so that thin classes survive.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fs4cli.model.context_embedding import shift

_STEPS = tuple(
    (row * dilation, column * dilation)
    for dilation in (1, 2, 4)
    for row in (-1, 0, 1)
    for column in (-1, 0, 1)
    if row or column
)


def refine_probabilities(
    probabilities: Float[Tensor, "b k h w"],
    images: Float[Tensor, "b 3 h w"],
    *,
    iterations: int = 6,
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
    inside = torch.ones_like(images[:, :1])
    differences = torch.stack([(images - shift(images, *step)).abs().mean(1) for step in _STEPS], 1)
    counted = torch.cat([shift(inside, *step) for step in _STEPS], 1)
    # contrast is local: a faint edge in a flat region counts as much as a strong one in texture
    mean = (differences * counted).sum(1, keepdim=True) / counted.sum(1, keepdim=True)
    logits = -((differences / (mean + 0.01)) ** 2)
    weights = torch.softmax(logits.masked_fill(counted == 0, -1e4), dim=1)
    refined = probabilities
    for _ in range(iterations):
        gathered = torch.zeros_like(refined)
        for position, step in enumerate(_STEPS):
            gathered = gathered + weights[:, position : position + 1] * shift(refined, *step)
        refined = keep * probabilities + (1 - keep) * gathered
    return refined
