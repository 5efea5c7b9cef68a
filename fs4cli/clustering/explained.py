"""How much of each kind of evidence lies between clusters, and not within them.

In: the evidence of some pixels, and their clusters. Out: a share for each kind, and one figure to hold groupings of the
same pixels against each other.

Ours: docs/grouping-measured.md. Likelihoods sum over all axes, of which texture has most; here colour, lightness and
texture have one voice each.
"""

import numpy as np
from jaxtyping import Float32, Int64

from fs4cli.clustering.evidence import KINDS
from fs4cli.clustering.mixture import NOISE

_PLACE = "place"
"""Is not counted: clusters that are places explain it by cutting things in two."""


def measure_explained(sample: Float32[np.ndarray, "n d"], ids: Int64[np.ndarray, " n"]) -> dict[str, float]:
    """By kind of evidence: the share of its variance that lies between the clusters, in [0, 1].

    Args:
        sample: The axes of `fs4cli.clustering.evidence.list_axes`; finite.
        ids: The cluster of each row, from 0 up.
    """
    rows = sample.astype(np.float64) - sample.mean(0, dtype=np.float64)
    sizes = np.bincount(ids)
    sums = np.stack([np.bincount(ids, axis) for axis in rows.T], axis=1)
    between = (sums**2 / np.maximum(sizes, 1)[:, None]).sum(0)
    total = (rows**2 + NOISE**2).sum(0)
    known = {kind: [axis for axis in axes if axis < rows.shape[1]] for kind, axes in KINDS.items()}
    return {kind: float(between[axes].sum() / total[axes].sum()) for kind, axes in known.items() if axes}


def score_explained(sample: Float32[np.ndarray, "n d"], ids: Int64[np.ndarray, " n"]) -> float:
    """The mean share over all kinds of evidence but the place, in [0, 1].

    Args:
        sample: As `measure_explained` takes it.
        ids: The cluster of each row, from 0 up.
    """
    return float(np.mean([share for kind, share in measure_explained(sample, ids).items() if kind != _PLACE]))
