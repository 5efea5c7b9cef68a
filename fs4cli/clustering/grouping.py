"""Which grouping of pixels to believe: each candidate knows a part of the evidence, and all of it is the judge.

In: vectors of all the evidence. Out: one grouping, and what each candidate was worth. A grouping from little evidence
is believed before one from much: where colour alone explains what colour, texture and place together explain, as in a
sky, texture would only blur it; where it does not, as in grey tissue, colour is not chosen. Learned features may then
join, but never judge: only if the groups they help to make explain the plain evidence better than it explained itself.

Ours: docs/grouping-measured.md says how the rule was found and how it did on images that it was not found on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64

from fs4cli.clustering.kmeans import fit_kmeans
from fs4cli.clustering.mixture import TiedMixture, fit_mixture, guess_clusters, make_round_mixture, measure_gain

ENOUGH = 0.97
"""Share of the best candidate's gain that a candidate from less evidence must reach."""


@dataclass(frozen=True)
class Grouping:
    """Clusters in some of the axes of the evidence.

    Args:
        name: Of the evidence.
        axes: Which it is.
        mixture: The clusters there.
        is_plain: They are those of plain k-means, and to stay so.
    """

    name: str
    axes: tuple[int, ...]
    mixture: TiedMixture
    is_plain: bool = False

    def logits(self, vectors: Float[np.ndarray, "n d"]) -> Float64[np.ndarray, "n k"]:
        """Of vectors of all the evidence."""
        return self.mixture.logits(vectors[:, self.axes])


def choose_grouping(
    vectors: Float32[np.ndarray, "n d"],
    clusters: int,
    evidence: Mapping[str, tuple[int, ...]],
    *,
    seed: int,
    spread: bool = True,
) -> tuple[Grouping, dict[str, float]]:
    """The first grouping, in the order of the evidence, that explains nearly as much as the best.

    Args:
        vectors: All the evidence, finite.
        clusters: How many.
        evidence: By name, the axes of each candidate, the most trusted first. If the first has three axes, it also
            stands as plain k-means.
        seed: Of k-means.
        spread: Start plain k-means from vectors that lie far apart, too: from random ones alone it takes luck to find
            small groups that lie apart.

    Returns:
        The grouping, and by name the gain of each candidate, in nats per vector.

    Raises:
        ValueError: There are fewer vectors than clusters.
    """
    candidates = []
    name, axes = next(iter(evidence.items()))
    if len(axes) == 3:
        part = np.ascontiguousarray(vectors[:, axes])
        starts = (False, True) if spread else (False,)
        found = (fit_kmeans(part, clusters, seed=seed, spread=start) for start in starts)
        plain = make_round_mixture(part, min(found, key=lambda one: one.objective).centroids)
        candidates.append(Grouping(f"{name}, plain k-means", axes, plain, is_plain=True))
    candidates += [_group(vectors, clusters, name, axes, seed) for name, axes in evidence.items()]
    gains = {one.name: measure_gain(vectors, one.logits(vectors).argmax(1), clusters) for one in candidates}
    bar = min(ENOUGH * max(gains.values()), max(gains.values()))
    return next(one for one in candidates if gains[one.name] >= bar), gains


def join_features(
    grouping: Grouping,
    vectors: Float32[np.ndarray, "n d"],
    features: Float32[np.ndarray, "n c"],
    clusters: int,
    *,
    counts: tuple[int, ...],
    seed: int,
) -> tuple[Grouping, dict[str, float]]:
    """The grouping, or one that also knows learned features, if that explains the plain evidence better.

    Features that follow something else (the place under a fixed camera, the light) cut across the evidence and explain
    it worse; features that say the same and more explain it better, as the clusters then lie where both agree.

    Args:
        grouping: From the plain evidence.
        vectors: All the plain evidence, finite.
        features: Of the same pixels, the most important axis first; their axes in the result follow the evidence's.
        clusters: How many.
        counts: How many of the features' axes to try.
        seed: Of k-means.

    Returns:
        The grouping of the largest gain, the one given before others of the same, and by name the gains.
    """
    width = vectors.shape[1]
    together = np.concatenate([vectors, features], axis=1)
    candidates = [grouping] + [
        _group(
            together,
            clusters,
            f"{grouping.name}, {count} learned features",
            grouping.axes + tuple(range(width, width + count)),
            seed,
        )
        for count in counts
        if count <= features.shape[1]
    ]
    gains = {one.name: measure_gain(vectors, one.logits(together).argmax(1), clusters) for one in candidates}
    return max(candidates, key=lambda one: gains[one.name]), gains


def _group(vectors: Float32[np.ndarray, "n d"], clusters: int, name: str, axes: tuple[int, ...], seed: int) -> Grouping:
    part = np.ascontiguousarray(vectors[:, axes])
    shorter = np.ascontiguousarray(part[:, :3])
    guesses = [
        guess_clusters(view, clusters, seed=seed, whiten=whiten)
        for view in ((part,) if len(axes) == 3 else (shorter, part))
        for whiten in (False, True)
    ]
    return Grouping(name, axes, fit_mixture(part, clusters, guesses))
