"""What several groupings of the same pixels say together.

In: the cluster of every pixel in each grouping. Out: how many of them put a pixel into each cluster, once clusters of
different groupings are known to be the same one.

Follows: voting over matched clusters (Dudoit and Fridlyand 2003; Ayad and Kamel 2008).
Ours: where fs4 asks for it, docs/grouping.md.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment

MATCHES = 3
"""How often the groupings are matched: first with one of them, then with what all of them said."""


def count_votes(
    groupings: Sequence[Int64[np.ndarray, " n"]], clusters: int, *, reference: int
) -> Float64[np.ndarray, "n k"]:
    """The share of the groupings that put each pixel into each cluster; each row sums to 1.

    Args:
        groupings: The cluster of every pixel in each, in [0, clusters).
        clusters: How many each has.
        reference: The grouping whose clusters the others are matched with at first.
    """
    rows = np.arange(len(groupings[reference]))
    votes = np.eye(clusters)[groupings[reference]]
    for _ in range(MATCHES):
        counts = np.zeros_like(votes)  # one grouping after the other: with many clusters all at once are gigabytes
        for ids in groupings:
            counts[rows, _match(votes, ids)[ids]] += 1
        votes = counts
    return votes / len(groupings)


def _match(votes: Float64[np.ndarray, "n k"], ids: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " k"]:
    """For each cluster of a grouping, the one of the votes that is matched with it: most pixels in common in all."""
    clusters = votes.shape[1]
    common = np.stack([np.bincount(ids, voted, clusters) for voted in votes.T])
    voted, asked = linear_sum_assignment(common, maximize=True)
    return voted[np.argsort(asked)]
