"""Clusters of learned features alone: k-means by cosine. No cue joins, nothing is chosen.

In: features of the pixels of some images. Out: `FeatureClusters`, which assigns each pixel of any image a share in each
of the clusters. What fs4's own grouping (`fs4cli.clustering.pixels`) is measured against.

Follows: DeepCluster, PiCIE and their kin: classes are what k-means finds in the features.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from fs4cli.clustering.kmeans import fit_kmeans
from fs4cli.clustering.pixels import PixelMaps

VECTORS = 60_000
"""Pixels that the clusters are found on, about as many of each image."""

TEMPERATURE = 0.1
"""Of the shares: cosines lie between -1 and 1."""


@dataclass(frozen=True)
class FeatureClusters:
    """Clusters of features by direction, found on some images and applied to any.

    Args:
        centroids: Unit length.
        summary: What was found; goes into JSON.
    """

    centroids: Float32[np.ndarray, "k c"]
    summary: dict = field(default_factory=dict)

    def assign(self, maps: PixelMaps) -> Float32[np.ndarray, "h w k"]:
        """The share of each pixel in each cluster; each pixel's sum to 1."""
        logits = normalize(maps.features) @ self.centroids.T / TEMPERATURE
        shares = np.exp(logits - logits.max(2, keepdims=True))
        return (shares / shares.sum(2, keepdims=True)).astype(np.float32)


def fit_feature_clusters(images: Iterable[PixelMaps], classes: int, *, number: int, seed: int) -> FeatureClusters:
    """Find `classes` clusters in the features of the images.

    Args:
        images: Some of all images, read once, one after the other.
        classes: How many clusters.
        number: How many images there are, at least 1.
        seed: Of the sampling and of k-means.

    Raises:
        ValueError: There are fewer pixels than classes.
    """
    random = np.random.default_rng([seed, 43])
    rows = []
    for maps in images:
        flat = maps.features.reshape(-1, maps.features.shape[2])
        rows.append(flat[random.permutation(len(flat))[: -(-VECTORS // number)]])
    vectors = normalize(np.concatenate(rows))
    found = fit_kmeans(vectors, classes, seed=seed, spherical=True)
    shares = np.bincount((vectors @ found.centroids.T).argmax(1), minlength=classes) / len(vectors)
    return FeatureClusters(
        found.centroids,
        {
            "images": number,
            "vectors": len(vectors),
            "with_place": False,
            "chosen": "k-means of learned features",
            "shares": [round(share, 4) for share in shares.tolist()],
        },
    )


def normalize(features: Float32[np.ndarray, "*any c"]) -> Float32[np.ndarray, "*any c"]:
    """Each feature at unit length; zeros stay zeros."""
    return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-8)
