"""Which grouping of pixels to believe: each candidate knows a part of the evidence, and all of it is the judge.

In: vectors of all the evidence. Out: groupings, what each is worth, and which one to believe. A grouping from little
evidence is believed before one from much: where colour alone explains what colour, texture and place together explain,
as in a sky, texture would only blur it; where it does not, as in grey tissue, colour is not chosen. Learned features
may then join, but never judge: only if the groups they help to make explain the plain evidence better than it
explained itself.

Ours: docs/grouping-measured.md says how the rule was found and how it did on images that it was not found on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from fs4cli.clustering.kmeans import fit_kmeans
from fs4cli.clustering.mixture import (
    TiedMixture,
    fit_mixture,
    fit_mixtures,
    guess_clusters,
    make_round_mixture,
    measure_gain,
)

ENOUGH = 0.97
"""Share of the best candidate's gain that a candidate from less evidence must reach."""

CLEARLY = 1.05
"""How many times as much as a grouping other clusters in the same evidence must explain to be taken in its place."""

LEAST_GAIN = 0.05
"""Nats a vector that clusters in noise may explain: how many times as much others explain then means nothing."""

FAR_STARTS = 2
"""Starts from vectors that lie far apart, of each kind of guess."""

_PLAIN = ", plain k-means"


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


def list_groupings(
    vectors: Float32[np.ndarray, "n d"],
    clusters: int,
    evidence: Mapping[str, tuple[int, ...]],
    *,
    seed: int,
    spread: bool = True,
    judge: Float32[np.ndarray, "n e"] | None = None,
) -> tuple[list[Grouping], dict[str, float]]:
    """A grouping from each kind of evidence, and what each of them explains.

    Args:
        vectors: All the evidence, finite.
        clusters: How many.
        evidence: By name, the axes of each candidate, the most trusted first. If the first has three axes, it also
            stands as plain k-means.
        seed: Of k-means.
        spread: Start plain k-means from vectors that lie far apart, too: from random ones alone it takes luck to find
            small groups that lie apart.
        judge: All the evidence as it is to be explained; the vectors themselves if it is not given.

    Returns:
        The groupings, in the order of the evidence, and by name the gain of each, in nats per vector.

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
        candidates.append(Grouping(name + _PLAIN, axes, plain, is_plain=True))
    candidates += [_group(vectors, clusters, name, axes, seed) for name, axes in evidence.items()]
    told = vectors if judge is None else judge
    return candidates, {one.name: measure_gain(told, one.logits(vectors).argmax(1), clusters) for one in candidates}


def choose_name(gains: Sequence[Mapping[str, float]]) -> str:
    """The first kind of evidence, in its order, that explains nearly as much as the best, over all draws together.

    Of one draw it often is chance which kind comes to `ENOUGH` of the best and which just does not.

    Args:
        gains: For each draw of the images, what `list_groupings` says; at least one, all of the same names.
    """
    sums = {name: sum(one[name] for one in gains) for name in gains[0]}
    best = max(sums.values())
    return next(name for name, total in sums.items() if total >= min(ENOUGH * best, best))


def join_features(
    grouping: Grouping,
    vectors: Float32[np.ndarray, "n d"],
    features: Float32[np.ndarray, "n c"],
    clusters: int,
    *,
    counts: tuple[int, ...],
    seed: int,
    judge: Float32[np.ndarray, "n e"] | None = None,
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
        judge: All the plain evidence as it is to be explained; the vectors themselves if it is not given.

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
    told = vectors if judge is None else judge
    gains = {one.name: measure_gain(told, one.logits(together).argmax(1), clusters) for one in candidates}
    return max(candidates, key=lambda one: gains[one.name]), gains


def _group(vectors: Float32[np.ndarray, "n d"], clusters: int, name: str, axes: tuple[int, ...], seed: int) -> Grouping:
    part = np.ascontiguousarray(vectors[:, axes])
    guesses = [guess_clusters(view, clusters, seed=seed, whiten=whiten) for view, whiten in _list_views(part)]
    return Grouping(name, axes, fit_mixture(part, clusters, guesses))


def guess_far_apart(
    grouping: Grouping, rows: Float32[np.ndarray, "n d"], clusters: int, *, seed: int
) -> list[Int64[np.ndarray, " n"]]:
    """Guesses at the clusters in a grouping's own evidence, from vectors that lie far apart: they may be small.

    Args:
        grouping: Found on these rows.
        rows: All that a grouping may know.
        clusters: How many.
        seed: Of k-means; `FAR_STARTS` count on from it.

    Returns:
        For each start, the cluster of each row, in [0, clusters).

    Raises:
        ValueError: There are fewer rows than clusters.
    """
    part = np.ascontiguousarray(rows[:, grouping.axes])
    return [
        guess_clusters(view, clusters, seed=start, whiten=whiten, spread=True)
        for view, whiten in _list_views(part)
        for start in range(seed, seed + FAR_STARTS)
    ]


def learn_from(
    grouping: Grouping,
    rows: Float32[np.ndarray, "n d"],
    guesses: Sequence[Int64[np.ndarray, " n"]],
    clusters: int,
    *,
    judge: Float32[np.ndarray, "n e"],
) -> tuple[Grouping, float]:
    """The grouping, or one of the same evidence that starts from one of the guesses, if it explains clearly more.

    The likeliest clusters in some cues may cut a large cloud in two where others find a small group of their own kind,
    and explain all the evidence better. By a little they are as often wrong as right, so only what explains `CLEARLY`
    more is taken.

    Args:
        grouping: Found on these rows.
        rows: All that a grouping may know.
        guesses: The cluster of each row as somebody else sees it, in [0, clusters).
        clusters: How many.
        judge: All the plain evidence of the same rows, finite.

    Returns:
        The grouping, and its gain on the judge in nats per row.
    """
    own = measure_gain(judge, grouping.logits(rows).argmax(1), clusters)
    part = np.ascontiguousarray(rows[:, grouping.axes])
    mixtures = fit_mixtures(part, clusters, guesses)
    gains = [measure_gain(judge, one.logits(part).argmax(1), clusters) for one in mixtures]
    if max(gains, default=own) <= CLEARLY * max(own, LEAST_GAIN):
        return grouping, own
    best = int(np.argmax(gains))
    return Grouping(grouping.name.replace(_PLAIN, ""), grouping.axes, mixtures[best]), gains[best]


def _list_views(part: Float32[np.ndarray, "n d"]) -> list[tuple[Float32[np.ndarray, "n _"], bool]]:
    """What k-means guesses from: the first three axes and all of them, as they are and whitened."""
    views = (part,) if part.shape[1] == 3 else (np.ascontiguousarray(part[:, :3]), part)
    return [(view, whiten) for view in views for whiten in (False, True)]
