"""k-means by faiss: vectors in, centroids and ids out.

Every default of faiss that matters is set here: how many points it looks at, how few it accepts, its seed.
"""

from dataclasses import dataclass

import faiss
import numpy as np
from jaxtyping import Float32, Int64


@dataclass(frozen=True)
class KMeansResult:
    """Centroids and how well they fit.

    Args:
        centroids: One row a cluster; unit length if spherical.
        objective: Mean squared distance (or mean cosine, if spherical) of the vectors to their centroid.
    """

    centroids: Float32[np.ndarray, "k d"]
    objective: float


def fit_kmeans(
    vectors: Float32[np.ndarray, "n d"],
    clusters: int,
    *,
    seed: int,
    spherical: bool = False,
    iterations: int = 25,
    restarts: int = 3,
    spread: bool = False,
    start: Float32[np.ndarray, "k d"] | None = None,
) -> KMeansResult:
    """Lloyd's algorithm from random vectors, from such that lie far apart, or from given centroids.

    Args:
        vectors: Finite; unit length if spherical.
        clusters: How many, at most as many as vectors.
        seed: Of the random start.
        spherical: Compare by cosine and keep centroids at unit length.
        iterations: Of assigning and averaging.
        restarts: From different random starts; the best is kept. One, if `start` is given.
        spread: Start from vectors drawn far apart (k-means++, Arthur and Vassilvitskii, 2007): small groups that lie
            apart from all others are found, which from random vectors takes luck.
        start: Centroids to start from (warm start).

    Raises:
        ValueError: There are fewer vectors than clusters.
    """
    count, width = vectors.shape
    if count < clusters:
        raise ValueError(f"{clusters} clusters need at least as many vectors, not {count}")
    algorithm = faiss.Kmeans(
        width,
        clusters,
        niter=iterations,
        nredo=1 if start is not None else restarts,
        seed=seed,
        spherical=spherical,
        min_points_per_centroid=1,
        max_points_per_centroid=max(256, -(-count // clusters)),  # faiss silently subsamples beyond this
        init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS if spread else faiss.ClusteringInitMethod_RANDOM,
    )
    algorithm.train(np.ascontiguousarray(vectors), init_centroids=start)
    assert algorithm.centroids is not None and algorithm.obj is not None, "train sets both"
    centroids = algorithm.centroids.reshape(clusters, width).copy()
    best = float(algorithm.obj[-1]) if len(algorithm.obj) else 0.0
    return KMeansResult(centroids, best / count)


def assign_nearest(
    vectors: Float32[np.ndarray, "n d"], centroids: Float32[np.ndarray, "k d"], *, spherical: bool = False
) -> tuple[Int64[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """The nearest centroid of each vector, and its squared distance (or cosine, if spherical)."""
    index = faiss.IndexFlatIP(centroids.shape[1]) if spherical else faiss.IndexFlatL2(centroids.shape[1])
    index.add(np.ascontiguousarray(centroids))
    values, ids = index.search(np.ascontiguousarray(vectors), 1)
    return ids[:, 0], values[:, 0]
