"""Which grouping of pixels to believe: each candidate knows a part of the evidence, and all of it is the judge.

In: vectors of all the evidence. Out: one grouping, and what each candidate was worth. A grouping from little evidence
is believed before one from much: where colour alone explains what colour, texture and place together explain, as in a
sky, texture would only blur it; where it does not, as in grey tissue, colour is not chosen. Learned features may then
join, but never judge: only if the groups they help to make explain the plain evidence better than it explained itself.

Ours: docs/grouping-measured.md says how the rule was found and how it did on images that it was not found on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from fs4cli.clustering.kmeans import fit_kmeans
from fs4cli.clustering.mixture import TiedMixture, fit_mixture, guess_clusters, make_round_mixture, measure_gain

ENOUGH = 0.97
"""Share of the best candidate's gain that a candidate from less evidence must reach."""

CLEARLY = 1.05
"""How many times as much as a grouping has found by itself another's must explain to be taken in its place."""

LEAST_GAIN = 0.05
"""Nats a vector that clusters in noise may explain: how many times as much another explains then means nothing."""

_PLAIN = ", plain k-means"

_SECOND = 1000
"""Added to the seed of the second start from vectors that lie far apart."""


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
    thorough: bool = True,
) -> tuple[Grouping, dict[str, float]]:
    """The first grouping, in the order of the evidence, that explains nearly as much as the best.

    Args:
        vectors: All the evidence, finite.
        clusters: How many.
        evidence: By name, the axes of each candidate, the most trusted first. If the first has three axes, it also
            stands as plain k-means.
        seed: Of k-means.
        thorough: Start k-means from vectors that lie far apart, too: from random ones alone it takes luck to find small
            groups that lie apart. Two to three times as many seconds.

    Returns:
        The grouping, and by name the gain of each candidate, in nats per vector.

    Raises:
        ValueError: There are fewer vectors than clusters.
    """
    candidates = []
    name, axes = next(iter(evidence.items()))
    if len(axes) == 3:
        part = np.ascontiguousarray(vectors[:, axes])
        starts = (False, True) if thorough else (False,)
        found = (fit_kmeans(part, clusters, seed=seed, spread=start) for start in starts)
        mixture = make_round_mixture(part, min(found, key=lambda one: one.objective).centroids)
        plain = Grouping(name + _PLAIN, axes, mixture, is_plain=True)
        candidates.append((plain, measure_gain(vectors, plain.logits(vectors).argmax(1), clusters)))
    candidates += [
        _group(vectors, clusters, name, axes, seed, judge=vectors, thorough=thorough) for name, axes in evidence.items()
    ]
    gains = {one.name: gain for one, gain in candidates}
    bar = min(ENOUGH * max(gains.values()), max(gains.values()))
    return next(one for one, gain in candidates if gain >= bar), gains


def join_features(
    grouping: Grouping,
    vectors: Float32[np.ndarray, "n d"],
    features: Float32[np.ndarray, "n c"],
    clusters: int,
    *,
    counts: tuple[int, ...],
    seed: int,
    thorough: bool = True,
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
        thorough: As in `choose_grouping`.

    Returns:
        The grouping of the largest gain, or the one given if none explains clearly more (`ENOUGH`); by name the gains.
    """
    width = vectors.shape[1]
    together = np.concatenate([vectors, features], axis=1)
    candidates = [
        _group(
            together,
            clusters,
            f"{grouping.name}, {count} learned features",
            grouping.axes + tuple(range(width, width + count)),
            seed,
            judge=vectors,
            thorough=thorough,
        )
        for count in counts
        if count <= features.shape[1]
    ]
    own = measure_gain(vectors, grouping.logits(together).argmax(1), clusters)
    gains = {grouping.name: own} | {one.name: gain for one, gain in candidates}
    joined, gain = max(candidates, key=lambda pair: pair[1], default=(grouping, own))
    return joined if ENOUGH * gain > own else grouping, gains


def learn_from(
    grouping: Grouping,
    rows: Float32[np.ndarray, "n d"],
    guesses: Sequence[Int64[np.ndarray, " n"]],
    clusters: int,
    *,
    judge: Float32[np.ndarray, "n e"],
) -> tuple[Grouping, float]:
    """The grouping, or one of the same evidence that starts from how others divide the rows, if it is clearly better.

    Which clusters are found from random starts is partly luck. What a little more is explained by is as often wrong as
    right, so only what explains `CLEARLY` more is taken.

    Args:
        grouping: Found on these rows.
        rows: All that a grouping may know.
        guesses: The cluster of each row as others see it, in [0, clusters).
        clusters: How many.
        judge: All the plain evidence of the same rows, finite.

    Returns:
        The grouping, and its gain.
    """
    own = measure_gain(judge, grouping.logits(rows).argmax(1), clusters)
    if not guesses:
        return grouping, own
    mixture, gain = fit_mixture(np.ascontiguousarray(rows[:, grouping.axes]), clusters, guesses, judge=judge)
    if gain <= CLEARLY * max(own, LEAST_GAIN):
        return grouping, own
    return Grouping(grouping.name.replace(_PLAIN, ""), grouping.axes, mixture), gain


def _group(
    vectors: Float32[np.ndarray, "n d"],
    clusters: int,
    name: str,
    axes: tuple[int, ...],
    seed: int,
    *,
    judge: Float32[np.ndarray, "n e"],
    thorough: bool,
) -> tuple[Grouping, float]:
    part = np.ascontiguousarray(vectors[:, axes])
    shorter = np.ascontiguousarray(part[:, :3])
    starts = ((False, seed), (True, seed), (True, seed + _SECOND)) if thorough else ((False, seed),)
    guesses = [
        guess_clusters(view, clusters, seed=start, whiten=whiten, spread=spread)
        for view in ((part,) if len(axes) == 3 else (shorter, part))
        for whiten in (False, True)
        for spread, start in starts
    ]
    mixture, gain = fit_mixture(part, clusters, guesses, judge=judge)
    return Grouping(name, axes, mixture), gain
