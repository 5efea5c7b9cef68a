"""How alike two partitions of the pixels are, whatever their ids: from counts."""

import numpy as np
from jaxtyping import Float, Int


def mutual_information(confusion: Int[np.ndarray, "k c"]) -> float:
    """Normalized mutual information of clusters and classes, in [0, 1]; NaN without a pixel.

    Normalized by the mean of the two entropies, as scikit-learn does. Two partitions of one part each agree fully.
    """
    if not confusion.sum():
        return float("nan")
    joint = confusion / confusion.sum()
    clusters, classes = joint.sum(1), joint.sum(0)
    if np.count_nonzero(clusters) == np.count_nonzero(classes) == 1:
        return 1.0
    mean = (_entropy(clusters) + _entropy(classes)) / 2
    shared = _entropy(clusters) + _entropy(classes) - _entropy(joint.ravel())
    return float(np.clip(shared / mean, 0, 1))


def adjusted_rand(confusion: Int[np.ndarray, "k c"]) -> float:
    """Share of pixel pairs on which clusters and classes agree, adjusted for chance: 1 alike, about 0 by chance.

    NaN with less than two pixels.
    """
    counts = confusion.astype(float)
    total = counts.sum()
    if total < 2:
        return float("nan")
    together = _pairs(counts)
    by_cluster, by_class = _pairs(counts.sum(1)), _pairs(counts.sum(0))
    expected = by_cluster * by_class / _pairs(total)
    mean = (by_cluster + by_class) / 2
    return float((together - expected) / (mean - expected)) if mean != expected else 1.0


def _entropy(shares: Float[np.ndarray, " n"]) -> float:
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def _pairs(counts) -> float:
    return float(np.sum(counts * (counts - 1)) / 2)
