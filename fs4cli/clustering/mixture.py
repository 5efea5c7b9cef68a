"""A mixture of Gaussians that share one covariance: clusters of unequal shares, in a metric found with them.

In: vectors. Out: share, mean and common covariance of the clusters, and how probable each is for any vector. What varies inside every cluster alike (shading, noise) comes to count for little, what tells clusters apart for much:
k-means in the space that linear discriminant analysis would choose, had it been given the clusters.

Ours: the paper speaks of "pixel clustering and assignments"; measured against k-means in docs/grouping.md.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64
from scipy.linalg import solve_triangular

from fs4cli.clustering.kmeans import assign_nearest, fit_kmeans


@dataclass(frozen=True)
class TiedMixture:
    """Clusters in a whitened space.

    Args:
        whitening: To the space where every cluster is round with variance 1.
        means: Of the clusters, in that space.
        log_shares: Logarithms of the clusters' shares.
        log_likelihood: Mean over the vectors it was fitted to.
    """

    whitening: Float64[np.ndarray, "d d"]
    means: Float64[np.ndarray, "k d"]
    log_shares: Float64[np.ndarray, " k"]
    log_likelihood: float

    def logits(self, vectors: Float[np.ndarray, "n d"]) -> Float64[np.ndarray, "n k"]:
        """Log of share times density, up to what is the same for all clusters."""
        white = vectors.astype(np.float64) @ self.whitening.T
        return white @ self.means.T - 0.5 * (self.means**2).sum(1) + self.log_shares


def fit_mixture(
    vectors: Float32[np.ndarray, "n d"],
    clusters: int,
    *,
    seed: int,
    iterations: int = 40,
    ridge: float = 0.02,
) -> TiedMixture:
    """Expectation maximization, started from k-means of the vectors as they are.

    Args:
        vectors: Finite, each axis on a scale where equal distances mean about the same.
        clusters: How many, at most as many as vectors.
        seed: Of k-means.
        iterations: Of expectation and maximization.
        ridge: Share of the common covariance that is replaced by the variance of all vectors.
    """
    rows = vectors.astype(np.float64)
    count, width = rows.shape
    spread = rows.var(0) + 1e-6 * max(rows.var(), 1e-12)
    centroids = fit_kmeans(vectors, clusters, seed=seed).centroids
    weights = np.eye(clusters)[assign_nearest(vectors, centroids)[0]]
    square = rows.T @ rows
    for _ in range(iterations):
        sizes = weights.sum(0) + 1e-6
        means = (weights.T @ rows) / sizes[:, None]
        within = (square - (means * sizes[:, None]).T @ means) / count
        within = (1 - ridge) * within + ridge * np.diag(spread)
        whitening = solve_triangular(_factor(within, spread), np.eye(width), lower=True)
        log_shares = np.log(sizes / sizes.sum())
        mixture = TiedMixture(whitening, means @ whitening.T, log_shares, 0.0)
        logits = mixture.logits(rows)
        highest = logits.max(1, keepdims=True)
        weights = np.exp(logits - highest)
        total = weights.sum(1, keepdims=True)
        weights /= total
    white = rows @ whitening.T
    likelihood = float((highest + np.log(total)).mean() - 0.5 * (white**2).sum(1).mean())
    likelihood += float(np.log(np.diag(whitening)).sum())
    return TiedMixture(whitening, mixture.means, mixture.log_shares, likelihood)


def _factor(within: Float64[np.ndarray, "d d"], spread: Float64[np.ndarray, " d"]) -> Float64[np.ndarray, "d d"]:
    """Cholesky's factor; rounding may have made the matrix barely indefinite."""
    for extra in (0.0, 1e-6, 1e-3, 1.0):
        try:
            return np.linalg.cholesky(within + extra * np.diag(spread))
        except np.linalg.LinAlgError:
            continue
    return np.diag(np.sqrt(spread))
