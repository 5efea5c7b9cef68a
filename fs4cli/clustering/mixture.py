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
    prepared = _prepare(vectors)
    found = [_maximize(prepared, guess, clusters) for guess in guesses]
    return max(found, key=lambda pair: pair[0])[1]


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
    return _step(_prepare(vectors), np.eye(clusters)[:, ids])[2]


def make_soft_mixture(vectors: Float[np.ndarray, "n d"], shares: Float[np.ndarray, "n k"]) -> TiedMixture:
    """The mixture whose clusters hold those shares of each vector.

    Args:
        vectors: Finite.
        shares: Each row sums to 1.
    """
    return _step(_prepare(vectors), shares.astype(np.float64).T)[2]


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
    prepared = _prepare(vectors)
    return _step(prepared, np.eye(clusters)[:, ids])[1] - _step(prepared, np.ones((1, len(vectors))))[1]


@dataclass(frozen=True)
class _Prepared:
    """Vectors, and what every step needs of them."""

    rows: Float64[np.ndarray, "n d"]
    square: Float64[np.ndarray, "d d"]
    spread: Float64[np.ndarray, " d"]


def _prepare(vectors: Float[np.ndarray, "n d"]) -> _Prepared:
    rows = vectors.astype(np.float64)
    return _Prepared(rows, rows.T @ rows, rows.var(0))


def _maximize(vectors: _Prepared, guess: Int64[np.ndarray, " n"], clusters: int) -> tuple[float, TiedMixture]:
    """The mean log-likelihood that is reached from a guess, and the mixture that reaches it."""
    weights, likelihood, mixture = _step(vectors, np.eye(clusters)[:, guess])
    for iteration in range(1, ITERATIONS):
        before = likelihood
        weights, likelihood, mixture = _step(vectors, weights)
        if iteration > 10 and likelihood - before < 1e-5:
            break
    return likelihood, mixture


def _step(
    vectors: _Prepared, weights: Float64[np.ndarray, "k n"]
) -> tuple[Float64[np.ndarray, "k n"], float, TiedMixture]:
    """The mixture that the weights make, the weights that it makes, and the likelihood under it.

    Vectors lie along the last axis: sums over a few clusters are several times as fast as along rows of them.
    """
    count, width = vectors.rows.shape
    sizes = weights.sum(1) + 1e-6  # an empty cluster has share 0 and any mean
    means = (weights @ vectors.rows) / sizes[:, None]
    within = (vectors.square - (means * sizes[:, None]).T @ means) / count
    within = (1 - RIDGE) * within + RIDGE * np.diag(vectors.spread) + NOISE**2 * np.eye(width)
    whitening = np.linalg.inv(np.linalg.cholesky(within))
    mixture = TiedMixture(whitening, means @ whitening.T, np.log(sizes / sizes.sum()))
    offsets = mixture.log_shares - 0.5 * (mixture.means**2).sum(1)
    logits = (mixture.means @ whitening) @ vectors.rows.T + offsets[:, None]
    highest = logits.max(0)
    logits -= highest
    shares = np.exp(logits, out=logits)
    total = shares.sum(0)
    # the mean squared length of the whitened vectors is a trace
    density = (highest + np.log(total)).mean() - 0.5 * float((whitening @ vectors.square * whitening).sum()) / count
    shares /= total
    return shares, float(density + np.log(np.diag(whitening)).sum()), mixture
