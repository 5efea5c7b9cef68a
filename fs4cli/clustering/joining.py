"""More clusters than classes, of which those are joined that differ by little but how light they are.

In: vectors of pixels in the cues that may part them, and their clusters. Out: which clusters are one class.

A mixture cuts what varies much in lightness (walls in sun and shade, a sky that is paler below) before it finds what is
small and of a kind of its own. With more clusters it finds that, too; and what was cut is then alike in everything that
light does not change: chroma, and what the network has learned under changed light.

Ours: the abstract says nothing of it. Ward (1963) joins what adds least to the spread within groups; docs/grouping.md,
section 9.
"""

import numpy as np
from jaxtyping import Float, Float64, Int64

from fs4cli.clustering.mixture import make_mixture

FINER = 1.5
"""Clusters that are found for each class."""


def count_finer(classes: int) -> int:
    """How many clusters to find where so many classes, at least 1, are wanted; a half goes to the even number."""
    return round(FINER * classes)


def join_clusters(
    vectors: Float[np.ndarray, "n d"], ids: Int64[np.ndarray, " n"], clusters: int, classes: int
) -> Int64[np.ndarray, " k"]:
    """The class of each cluster: two of them become one, again and again, those whose joining spreads classes least.

    Args:
        vectors: What may part clusters, finite, in any units: distances are in those of what varies within clusters.
        ids: The cluster of each vector, in [0, clusters).
        clusters: How many there are.
        classes: How many are to be left, at least 1.

    Returns:
        In [0, classes), in the order of the first cluster of each.
    """
    found = make_mixture(vectors, ids, clusters)
    means, shares = found.means.copy(), np.exp(found.log_shares)
    groups = np.arange(clusters)
    for _ in range(clusters - classes):
        left = np.unique(groups)
        spread = _measure_spread(means[left], shares[left])
        first, second = (int(left[place]) for place in np.unravel_index(spread.argmin(), spread.shape))
        total = shares[first] + shares[second]
        means[first] = (shares[first] * means[first] + shares[second] * means[second]) / total
        shares[first] = total
        groups[groups == second] = first
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _measure_spread(means: Float64[np.ndarray, "k d"], shares: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, "k k"]:
    """How much more the vectors spread within groups when two are joined; infinite but where the first comes first."""
    squares = ((means[:, None] - means[None]) ** 2).sum(2)
    spread = squares * shares[:, None] * shares[None] / (shares[:, None] + shares[None])
    return np.where(np.triu(np.ones_like(spread), 1) > 0, spread, np.inf)
