"""Pixels against their assigned clusters.

In: logits of a view and the pseudo-label of each pixel. Out: a loss.

Follows: FS^4's abstract: "pixel clustering and assignments for segmentation supervision"; PiCIE (Cho et al., 2021) for
two views that must predict one assignment.
Ours: weights that fall with a cluster's size (in PiCIE's released code they rise), docs/method.md eq. 1 and 2.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def weigh_clusters(
    shares: Float[Tensor, " k"], sureness: Float[Tensor, " k"] | None = None, *, power: float = 0.5
) -> Float[Tensor, " k"]:
    """Loss weight of each cluster: its share to the power of -`power`, mean 1 over pixels, then cut to [0.2, 5].

    Args:
        shares: Of all pixels, summing to 1.
        sureness: Mean confidence of each cluster's pixels, in (0, 1], by which the weight is divided: the loss counts
            each pixel by its confidence, which is to compare the pixels of a cluster and not to starve the cluster
            whose pixels are all in doubt, as those of thin things are. None for 1.
        power: 0 weighs all pixels alike, 1 all clusters.
    """
    weights = shares.clamp(min=1e-4) ** -power
    weights = (weights / (weights * shares).sum().clamp(min=1e-8)).clamp(0.2, 5.0)
    return weights if sureness is None else weights / sureness.clamp(min=0.05)


def compare_with_labels(
    logits: Float[Tensor, "b k h w"],
    pseudo_labels: Int[Tensor, "b h w"],
    *,
    weights: Float[Tensor, " k"],
    confidence: Float[Tensor, "b h w"],
    smoothing: float = 0.05,
) -> Float[Tensor, ""]:
    """Weighted cross-entropy of each pixel with its pseudo-label; the mean over all weight.

    Args:
        logits: Of each cluster.
        pseudo_labels: Cluster ids in [0, k).
        weights: Of each cluster.
        confidence: Of each pixel's pseudo-label, in [0, 1].
        smoothing: Share of the target spread evenly over all clusters: pseudo-labels are sometimes wrong.
    """
    losses = F.cross_entropy(logits, pseudo_labels, reduction="none", label_smoothing=smoothing)
    mass = weights[pseudo_labels] * confidence
    return (losses * mass).sum() / mass.sum().clamp(min=1e-6)


def compare_views(
    logits: Float[Tensor, "n k"], other: Float[Tensor, "n k"], *, temperature: float = 1.0
) -> Float[Tensor, ""]:
    """How far one view's prediction is from the other's; the other view gets no gradient. 0 for no pixels.

    Args:
        logits: Of a view's pixels.
        other: Of the same pixels in the other view.
        temperature: Of the other view. 1: below, doubt is sharpened into the larger class of two, and thin things go.
    """
    target = torch.softmax(other.detach() / temperature, dim=1)
    # two views may have nothing in common: a mean over no pixels would be no number, and the whole update be lost
    return -(target * F.log_softmax(logits, dim=1)).sum() / max(len(logits), 1)
