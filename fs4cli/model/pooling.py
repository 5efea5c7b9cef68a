"""Average features over the cells of the pyramid.

Follows: FS^4 (arXiv 2202.11981), abstract: pseudo-labels are per image and per patch.
Ours: the weighting, docs/method.md eq. 6; the abstract does not say.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def pool_cells(
    features: Float[Tensor, "b c h w"],
    cells: Int[Tensor, "b h w"],
    count: int,
    *,
    weights: Float[Tensor, "b h w"] | None = None,
) -> tuple[Float[Tensor, "b {count} c"], Float[Tensor, "b {count}"]]:
    """Mean feature of each cell, and how many pixels (or how much weight) lie in it.

    Args:
        features: Dense features, not normalized.
        cells: The cell each pixel lies in, in [0, count), or -1 for none.
        count: Cells on this pyramid level; grid 4 has 16.
        weights: Share of each pixel in its cell's mean, at least 0. All alike if left out.

    Returns:
        The means, zeros for a cell that no pixel lies in, and the weight of each cell.
    """
    flat = features.flatten(2).float()
    ids = cells.flatten(1)
    weight = (ids >= 0).float() if weights is None else weights.flatten(1).float() * (ids >= 0)
    # a matrix product instead of scatter_add: the sum's order, and so the last bit, does not depend on threads
    membership = torch.zeros(*ids.shape, count, device=flat.device)
    membership.scatter_(2, ids.clamp(min=0).unsqueeze(2), weight.unsqueeze(2))
    mass = membership.sum(1)
    with torch.autocast(flat.device.type, enabled=False):  # sums over a whole image are beyond what fp16 holds
        sums = torch.bmm(membership.transpose(1, 2), flat.transpose(1, 2))
    # an empty cell has mass 0: divide by 1 there, not by 0
    return sums / torch.where(mass > 0, mass, torch.ones_like(mass)).unsqueeze(2), mass
