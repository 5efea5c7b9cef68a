"""PGG: cells against their pseudo-labels, and down from the cells to their pixels.

In: a view's embedding and predictions, the pyramid cell of each pixel, the cells' soft labels. Out: two losses a level.

Follows: FS^4 (arXiv 2202.11981), abstract: "supervise the learning with pyramid image/patch-level pseudo labels", which
"can prevent the segmentation from learning too many clutter regions or degrading to one background region".
Ours: both losses, docs/method.md eq. 3b and 4.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def compare_cells(
    logits: Float[Tensor, "n m"], labels: Float[Tensor, "n m"], confidence: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Cross-entropy of predicted and given soft labels of cells, weighted by how sure the label is.

    Args:
        logits: What the pooled embedding of each cell predicts.
        labels: The cell's soft pseudo-label, summing to 1.
        confidence: Weight of its likeliest cluster, in (0, 1].
    """
    losses = -(labels * F.log_softmax(logits.float(), dim=1)).sum(1)
    return (losses * confidence).sum() / confidence.sum().clamp(min=1e-6)


def compare_shares(
    predicted: Float[Tensor, "n k"], labels: Float[Tensor, "n m"], expected: Float[Tensor, "m k"]
) -> Float[Tensor, ""]:
    """How far the mean prediction inside each cell is from what cells of its label usually hold (KL divergence).

    This is what makes a cell's label act on its pixels: few clusters occur together, so a pixel cannot fall into a
    cluster that its kind of place never holds.

    Args:
        predicted: Mean probabilities of each cell's pixels.
        labels: The cell's soft pseudo-label.
        expected: Mean shares of pixel clusters in cells of each label, rows summing to 1.
    """
    with torch.autocast(labels.device.type, enabled=False):  # small shares count as much as large ones
        target = (labels.float() @ expected.float()).clamp(min=1e-6)
    target = target / target.sum(1, keepdim=True)
    return (target * (target.log() - predicted.clamp(min=1e-6).log())).sum(1).mean()
