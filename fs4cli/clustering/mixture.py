"""A mixture of Gaussians that share one covariance: clusters of unequal shares, in a metric found with them.

In: vectors, and first guesses at their clusters. Out: the shares, means and common covariance under which the
vectors are likeliest. What varies inside every cluster alike (shading, noise) comes to count for little, what tells
clusters apart for much: k-means in the space that discriminant analysis would choose, had it been given the clusters.

Ours: the abstract says "pixel clustering and assignments" and no more; compared with k-means in
docs/grouping-measured.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from fs4cli.clustering.kmeans import assign_nearest, fit_kmeans

ITERATIONS = 50
_FEWEST_STEPS, _LEAST_STEP = 10, 1e-5
"""Iterations after which one ends that gains less than so many nats a vector."""

_TOGETHER = 700_000
"""Guesses, clusters and vectors that are worked on at once, multiplied: more leave a core's cache."""

RIDGE = 0.04
"""Share of the common covariance that is replaced by the variance of all vectors, axis by axis."""

NOISE = 0.02
"""Spread on every axis that means nothing, a half unit of L: an axis that hardly varies must not tell clusters."""


@dataclass(frozen=True)
class TiedMixture:
    """Clusters in a whitened space.

    Args:
        whitening: To the space where every cluster is round with variance 1.
        means: Of the clusters, in that space.
        log_shares: Logarithms of the clusters' shares.
    """

    whitening: Float64[np.ndarray, "d d"]
    means: Float64[np.ndarray, "k d"]
    log_shares: Float64[np.ndarray, " k"]

    def logits(self, vectors: Float[np.ndarray, "n d"]) -> Float64[np.ndarray, "n k"]:
        """Log of share times density, up to what is the same for all clusters."""
        white = vectors.astype(np.float64) @ self.whitening.T
        return white @ self.means.T - 0.5 * (self.means**2).sum(1) + self.log_shares


def guess_clusters(
    vectors: Float32[np.ndarray, "n d"], clusters: int, *, seed: int, whiten: bool, spread: bool = False
) -> Int64[np.ndarray, " n"]:
    """A first guess: k-means of the vectors as they are, or with all axes uncorrelated and of one spread.

    Args:
        vectors: Finite.
        clusters: How many.
        seed: Of k-means.
        whiten: Make all axes uncorrelated and of one spread first.
        spread: Start k-means from vectors that lie far apart, once; else the better of two random starts is kept.

    Raises:
        ValueError: There are fewer vectors than clusters.
    """
    if whiten:
        rows = vectors.astype(np.float64)
        variances = rows.var(0) + NOISE**2
        covariance = np.cov(rows.T).reshape(len(variances), -1)
        covariance += 0.02 * np.diag(variances) + NOISE**2 * np.eye(len(variances))
        factor = np.linalg.cholesky(covariance)
        vectors = ((rows - rows.mean(0)) @ np.linalg.inv(factor).T).astype(np.float32)
    found = fit_kmeans(vectors, clusters, seed=seed, restarts=1 if spread else 2, spread=spread)
    return assign_nearest(vectors, found.centroids)[0]


def fit_mixture(
    vectors: Float32[np.ndarray, "n d"], clusters: int, guesses: Sequence[Int64[np.ndarray, " n"]]
) -> TiedMixture:
    """Expectation maximization from each guess; the likeliest mixture is kept, the first of equals.

    Args:
        vectors: Finite.
        clusters: How many.
        guesses: The cluster of each vector, in [0, clusters); at least one guess.
    """
    return max(_maximize(vectors, clusters, guesses), key=lambda found: found[0])[1]


def fit_mixtures(
    vectors: Float32[np.ndarray, "n d"], clusters: int, guesses: Sequence[Int64[np.ndarray, " n"]]
) -> list[TiedMixture]:
    """Expectation maximization from each guess: what each comes to, in order.

    Args:
        vectors: Finite.
        clusters: How many.
        guesses: The cluster of each vector, in [0, clusters).
    """
    return [mixture for _, mixture in _maximize(vectors, clusters, guesses)]


def make_round_mixture(vectors: Float32[np.ndarray, "n d"], centroids: Float32[np.ndarray, "k d"]) -> TiedMixture:
    """The mixture that assigns each vector to its nearest centroid: equal shares, one variance on all axes.

    Args:
        vectors: Their mean squared distance to the nearest centroid gives the variance.
        centroids: Of k-means.
    """
    width = vectors.shape[1]
    variance = float(assign_nearest(vectors, centroids)[1].mean()) / width + NOISE**2
    whitening = np.eye(width) / np.sqrt(variance)
    return TiedMixture(
        whitening, centroids.astype(np.float64) @ whitening, np.full(len(centroids), -np.log(len(centroids)))
    )


def make_mixture(vectors: Float[np.ndarray, "n d"], ids: Int64[np.ndarray, " n"], clusters: int) -> TiedMixture:
    """The mixture whose clusters are the groups: in other axes, say, than those they were found in.

    Args:
        vectors: Finite.
        ids: The group of each vector, in [0, clusters).
        clusters: How many groups there may be.
    """
    return _Vectors(vectors).fit(_list_members(ids, clusters)[None]).mixture(0)


def make_soft_mixture(vectors: Float[np.ndarray, "n d"], shares: Float[np.ndarray, "n k"]) -> TiedMixture:
    """The mixture whose clusters hold those shares of each vector.

    Args:
        vectors: Finite.
        shares: Each row sums to 1.
    """
    return _Vectors(vectors).fit(np.ascontiguousarray(shares.T, np.float32)[None]).mixture(0)


def measure_gain(vectors: Float32[np.ndarray, "n d"], ids: Int64[np.ndarray, " n"], clusters: int) -> float:
    """How much better a grouping explains vectors than no grouping does, in nats per vector.

    The mean log-likelihood under the tied mixture whose clusters are the groups, less that under a single Gaussian. To
    cut one round cloud in two gains nothing or less; to tell two apart that have a gap between them gains much. The
    vectors may have axes that the grouping knew nothing of, so groupings from different evidence can be compared.

    Args:
        vectors: Finite.
        ids: The group of each vector, in [0, clusters).
        clusters: How many groups there may be.
    """
    rows = _Vectors(vectors)
    together = rows.fit(np.ones((1, 1, len(vectors)), np.float32))
    return float(rows.assign(rows.fit(_list_members(ids, clusters)[None]))[1][0] - rows.assign(together)[1][0])


@dataclass(frozen=True)
class _Mixtures:
    """Several tied mixtures of the same vectors, less their mean.

    Args:
        center: Mean of the vectors.
        whitening: As `TiedMixture` has it.
        means: In the whitened space, of vectors less the center.
        log_shares: As `TiedMixture` has them.
    """

    center: Float64[np.ndarray, " d"]
    whitening: Float64[np.ndarray, "g d d"]
    means: Float64[np.ndarray, "g k d"]
    log_shares: Float64[np.ndarray, "g k"]

    def mixture(self, number: int) -> TiedMixture:
        """One of them, of the vectors as they are."""
        whitening = self.whitening[number]
        return TiedMixture(whitening, self.means[number] + whitening @ self.center, self.log_shares[number])


class _Vectors:
    """Vectors less their mean, and what both halves of expectation maximization need of them.

    Several mixtures are fitted to them at once: a call of numpy costs as much as its work on one of them does, and
    threads that make many small calls wait for each other. What is as long as the vectors are many is in single
    precision, what is as small as a covariance in double.
    """

    def __init__(self, vectors: Float[np.ndarray, "n d"]):
        rows = vectors.astype(np.float64)
        self.center = rows.mean(0)
        rows -= self.center
        self.spread = (rows**2).mean(0)
        self.square = rows.T @ rows
        # a last axis of ones: sums and offsets come with the products
        self.rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1).astype(np.float32)
        self.columns = np.ascontiguousarray(self.rows.T)

    def fit(self, weights: Float32[np.ndarray, "g k n"]) -> _Mixtures:
        """The mixtures whose clusters hold those shares of each vector."""
        groups, clusters, count = weights.shape
        sums = (weights.reshape(-1, count) @ self.rows).astype(np.float64).reshape(groups, clusters, -1)
        sizes = sums[:, :, -1] + 1e-6  # an empty cluster has share 0 and any mean
        means = sums[:, :, :-1] / sizes[:, :, None]
        within = (self.square - (means * sizes[:, :, None]).transpose(0, 2, 1) @ means) / count
        within = (1 - RIDGE) * within + RIDGE * np.diag(self.spread) + NOISE**2 * np.eye(len(self.spread))
        whitening = np.linalg.inv(np.linalg.cholesky(within))
        log_shares = np.log(sizes / sizes.sum(1, keepdims=True))
        return _Mixtures(self.center, whitening, means @ whitening.transpose(0, 2, 1), log_shares)

    def assign(self, found: _Mixtures) -> tuple[Float32[np.ndarray, "g k n"], Float64[np.ndarray, " g"]]:
        """The share of each vector in each cluster of each mixture, and the mean log-likelihood under each mixture."""
        groups, clusters, width = found.means.shape
        offsets = found.log_shares - 0.5 * (found.means**2).sum(2)
        directions = np.concatenate([found.means @ found.whitening, offsets[:, :, None]], axis=2)
        logits = directions.reshape(-1, width + 1).astype(np.float32) @ self.columns
        logits = logits.reshape(groups, clusters, -1)
        highest = logits.max(1)
        logits -= highest[:, None]
        shares = np.exp(logits, out=logits)
        total = shares.sum(1)
        shares /= total[:, None]
        density = (np.log(total, out=total) + highest).mean(1, dtype=np.float64)
        # the mean squared length of the whitened vectors is a trace
        lengths = (found.whitening @ self.square * found.whitening).sum((1, 2)) / len(self.rows)
        volumes = np.log(np.diagonal(found.whitening, axis1=1, axis2=2)).sum(1)
        return shares, density - 0.5 * lengths + volumes


def _list_members(ids: Int64[np.ndarray, " n"], clusters: int) -> Float32[np.ndarray, "k n"]:
    """1 where a vector is in that cluster, else 0."""
    return (ids == np.arange(clusters)[:, None]).astype(np.float32)


def _maximize(
    vectors: Float32[np.ndarray, "n d"], clusters: int, guesses: Sequence[Int64[np.ndarray, " n"]]
) -> list[tuple[float, TiedMixture]]:
    """For each guess the mean log-likelihood that is reached from it, and the mixture that reaches it."""
    rows = _Vectors(vectors)
    together = max(1, _TOGETHER // (clusters * len(vectors)))
    parts = [guesses[first : first + together] for first in range(0, len(guesses), together)]
    return [found for part in parts for found in _maximize_together(rows, clusters, part)]


def _maximize_together(
    rows: _Vectors, clusters: int, guesses: Sequence[Int64[np.ndarray, " n"]]
) -> list[tuple[float, TiedMixture]]:
    """The same of a few guesses, step by step side by side; each stops when it no longer gains."""
    reached: dict[int, tuple[float, TiedMixture]] = {}
    going, before = np.arange(len(guesses)), np.full(len(guesses), -np.inf)
    weights = np.stack([_list_members(guess, clusters) for guess in guesses])
    for iteration in range(ITERATIONS):
        found = rows.fit(weights)
        weights, likelihood = rows.assign(found)
        is_last = iteration == ITERATIONS - 1
        ends = (likelihood - before < _LEAST_STEP) & (iteration > _FEWEST_STEPS) | is_last
        for place in np.flatnonzero(ends).tolist():
            reached[int(going[place])] = float(likelihood[place]), found.mixture(place)
        if ends.all():
            break
        if ends.any():
            weights = weights[~ends]
        going, before = going[~ends], likelihood[~ends]
    return [reached[number] for number in range(len(guesses))]
