"""Clusters of pixels found once more in view of their places, if places tell: what an image and its patches hold.

In: clusters that know a pixel alone, and some images. Out: the same clusters, or clusters of pixels that the pyramid
guides (`fs4cli.model.guidance`), fitted to that.

Follows: FS^4's abstract: pixel clustering under the guidance of groups of "image/patch-level".
Ours: all of the how. Where images differ in what they hold, and their patches more so, a place says which of two alike
classes a pixel is of; where every patch holds a bit of everything, as in tissue, or classes pass into each other, as in
a sky, it says nothing, and guidance would only draw doubtful pixels to one side. docs/method.md has the figures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fs4cli.clustering.mixture import make_soft_mixture
from fs4cli.clustering.pixels import PixelClusters, PixelMaps
from fs4cli.clustering.rule import find_rule
from fs4cli.model.guidance import PyramidGuidance, guide_pixels

REFITS = 3
"""How often clusters are fitted to guided pixels, which they then guide."""

DOUBT_LEFT = 0.72
"""Share of the pixels' entropy that guidance may leave: where it leaves more, places tell too little."""

LEAST_DOUBT = 0.005
"""Nats a pixel; there is nothing to guide below that."""

_PIXELS = 2_000
"""Of each image that clusters are fitted to, at most, evenly spread: neighbours say the same."""


def settle_in_context(clusters: PixelClusters, images: Iterable[PixelMaps], grids: Sequence[int]) -> PixelClusters:
    """The clusters, guided and fitted to that if places tell enough; if not, as they are, with a rule of all its power.

    Args:
        clusters: That know a pixel alone.
        images: Some of all images, read once; what the grouping may know of their pixels is kept in memory.
        grids: Cells per side of the levels that may guide, coarse to fine; none to leave all as it is.
    """
    if not grids:
        return clusters
    described, chosen, own = [], [], []
    for maps in images:
        described.append((clusters.describe(maps), maps.axes.shape[:2]))
        count = len(described[-1][0])
        chosen.append(np.linspace(0, count - 1, min(count, _PIXELS)).astype(int))
        own.append(clusters.describe_pixels(maps)[chosen[-1]])
    rows = np.concatenate([all_rows[ids] for (all_rows, _), ids in zip(described, chosen, strict=True)])
    found = clusters
    shares, alone, guided = _look(found, described, grids)
    for _ in range(0 if clusters.grouping.is_plain else REFITS):
        weights = np.concatenate([_list_rows(one)[ids] for one, ids in zip(guided, chosen, strict=True)])
        mixture = make_soft_mixture(rows[:, found.grouping.axes], weights)
        found = replace(found, grouping=replace(found.grouping, mixture=mixture))
        shares, alone, guided = _look(found, described, grids)
    doubt, left = (float(np.mean([_measure_doubt(one) for one in kind])) for kind in (alone, guided))
    told = {"doubt_alone": round(doubt, 4), "doubt_guided": round(left, 4)}
    if doubt < LEAST_DOUBT or left > DOUBT_LEFT * doubt:
        # what surrounds a pixel says little of it, and that is what the network has seen more of than the rule; but
        # beside a frame the rule goes by cues that know of the frame
        rule = clusters.rule.trust() if clusters.frame is None else clusters.rule
        told |= {"guided_by": [], "rule_power": rule.power}
        return replace(clusters, rule=rule, summary={**clusters.summary, **told})
    ids = np.concatenate([_list_rows(one)[ids].argmax(1) for one, ids in zip(guided, chosen, strict=True)])
    rule = find_rule(
        found.grouping,
        np.concatenate(own),
        ids,
        found.axes,
        is_relative=found.is_relative,
        power=found.rule.power,
        by_region=found.by_region,
    )
    guidance = PyramidGuidance(len(shares), grids)
    guidance.shares.copy_(shares)
    told |= {"guided_by": list(grids), "shares": [round(share, 4) for share in shares.tolist()]}
    return replace(found, rule=rule, guidance=guidance, summary={**found.summary, **told})


def _look(
    clusters: PixelClusters, described: Sequence[tuple[np.ndarray, tuple[int, ...]]], grids: Sequence[int]
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The share of each cluster over all images, and each image's log-probabilities, alone and guided."""
    alone = [torch.log_softmax(clusters.judge_alone(rows, size), 1) for rows, size in described]
    shares = torch.stack([one.exp().mean((0, 2, 3)) for one in alone]).mean(0)
    return shares, alone, [guide_pixels(one, shares, grids) for one in alone]


def _list_rows(log_probabilities: Tensor) -> np.ndarray:
    """Probabilities, a row for each pixel of one image."""
    return log_probabilities.exp()[0].flatten(1).T.numpy()


def _measure_doubt(log_probabilities: Tensor) -> float:
    """Mean entropy of the pixels of one image, in nats."""
    return float(-(log_probabilities.exp() * log_probabilities).sum(1).mean())
