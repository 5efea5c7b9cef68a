"""Pixel clustering: from maps of features and cues of some images to soft ids for the pixels of any image.

In: `PixelMaps`. Out: `PixelClusters`, which assigns each pixel of an image a share in each of the clusters.

Follows: FS^4's abstract: "we perform pixel clustering and assignments for segmentation supervision".
Ours: what is clustered and how, docs/grouping.md.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32
from scipy.ndimage import gaussian_filter

from fs4cli.clustering.mixture import TiedMixture, fit_mixture

SCALES = (0.0, 0.7, 2.0)
"""How far colour is softened again for the grouping, in cells of the grid."""

LAB_UNITS = (25.0, 10.0, 10.0)
"""Differences of L, a and b that count alike: chroma tells materials apart, lightness mostly light from shade."""

VECTORS = 20_000
"""Pixels that the clusters are found on."""


@dataclass(frozen=True)
class PixelMaps:
    """What is known of the pixels of one image, on one grid.

    Args:
        features: Learned features; of width 0 if there are none.
        cues: Of `fs4cli.model.cues`, in Lab units: L, a, b, then mean and contrast of L at three scales.
    """

    features: Float32[np.ndarray, "h w d"]
    cues: Float32[np.ndarray, "h w c"]


@dataclass(frozen=True)
class PixelClusters:
    """Clusters of pixels, found on some images and applied to any.

    Args:
        mixture: The clusters, in the space of `_describe`.
        summary: What was found out from the images; goes into JSON.
    """

    mixture: TiedMixture
    summary: dict = field(default_factory=dict)

    def assign(self, maps: PixelMaps) -> Float32[np.ndarray, "h w k"]:
        """The share of each pixel in each cluster; each pixel's sum to 1."""
        vectors = _describe(maps)
        height, width, channels = vectors.shape
        logits = self.mixture.logits(vectors.reshape(-1, channels))
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return shares.reshape(height, width, -1).astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `from_arrays` needs."""
        return {
            "whitening": self.mixture.whitening,
            "means": self.mixture.means,
            "log_shares": self.mixture.log_shares,
            "log_likelihood": np.array(self.mixture.log_likelihood),
            "summary": np.frombuffer(json.dumps(self.summary).encode(), dtype=np.uint8),
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> "PixelClusters":
        """The same clusters, to the last bit."""
        mixture = TiedMixture(
            arrays["whitening"], arrays["means"], arrays["log_shares"], float(arrays["log_likelihood"])
        )
        return PixelClusters(mixture, json.loads(bytes(arrays["summary"]).decode()))


def fit_pixel_clusters(images: Sequence[PixelMaps], classes: int, *, seed: int) -> PixelClusters:
    """Find `classes` clusters in the pixels of the images.

    Args:
        images: Some of all images; their grids may differ in size.
        classes: How many clusters, at least 1 and at most as many as there are pixels.
        seed: Of the sampling and the starts.

    Raises:
        ValueError: There are fewer pixels than classes.
    """
    random = np.random.default_rng([seed, 31])
    rows = np.concatenate([_describe(maps).reshape(-1, len(LAB_UNITS) * len(SCALES)) for maps in images])
    sample = rows[random.permutation(len(rows))[:VECTORS]]
    mixture = fit_mixture(sample, classes, seed=seed)
    summary = {"shares": [round(float(share), 4) for share in np.exp(mixture.log_shares)]}
    return PixelClusters(mixture, summary)


def _describe(maps: PixelMaps) -> Float32[np.ndarray, "h w c"]:
    colour = maps.cues[..., :3] / np.array(LAB_UNITS, dtype=np.float32)
    softer = [gaussian_filter(colour, (sigma, sigma, 0)) if sigma else colour for sigma in SCALES]
    return np.concatenate(softer, axis=2).astype(np.float32)
