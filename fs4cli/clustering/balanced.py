"""Assignment with equal shares: Sinkhorn's iteration.

In: similarities of vectors to prototypes or centroids. Out: soft assignments whose clusters get equal shares, the more
nearly so the more iterations.

Follows: SwAV (Caron et al., 2020), section 3.1: entropy-regularized optimal transport, 3 iterations.
Ours: the log domain, so that small temperatures do not overflow.
"""

import torch
from jaxtyping import Float
from torch import Tensor


@torch.no_grad()
def assign_balanced(
    similarities: Float[Tensor, "n k"],
    *,
    epsilon: float = 0.05,
    iterations: int = 3,
    shares: Float[Tensor, " k"] | None = None,
) -> Float[Tensor, "n k"]:
    """Soft assignments, rows summing to 1, columns ever nearer to `n * shares`.

    Args:
        similarities: Cosines, in [-1, 1].
        epsilon: Temperature; smaller is harder.
        iterations: Rounds of scaling rows and columns. The smaller `epsilon`, the more it takes.
        shares: The share of each cluster, summing to 1. Equal if left out.
    """
    count, clusters = similarities.shape
    scores = similarities.float() / epsilon
    if shares is None:
        shares = torch.full((clusters,), 1 / clusters, device=scores.device)
    target = torch.log(shares.clamp(min=1e-8) * count)
    columns = torch.zeros(clusters, device=scores.device)
    for _ in range(iterations):
        rows = torch.logsumexp(scores + columns, dim=1, keepdim=True)
        columns = target - torch.logsumexp(scores - rows, dim=0)
    return torch.softmax(scores + columns, dim=1)
