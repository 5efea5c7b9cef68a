"""Pixel clustering: from maps of features and cues of some images to soft ids for the pixels of any image.

In: `PixelMaps`. Out: `PixelClusters`, which assigns each pixel of an image a share in each of the clusters.

Follows: FS^4's abstract: "we perform pixel clustering and assignments for segmentation supervision".
Ours: what is clustered and how, docs/grouping.md. The clusters are found in fixed cues alone: features learned in
minutes from a few hundred images made every measured grouping worse or no better.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from fs4cli.clustering.evidence import (
    COLOUR_AXES,
    PLACE_MATTERS,
    TEXTURE_AXES,
    describe_pixels,
    measure_place,
)
from fs4cli.clustering.mixture import TiedMixture, fit_mixture, guess_clusters

VECTORS = 12_000
"""Pixels that the clusters are found on, about as many of each image."""

_GUESSES = {
    "colour": slice(0, 3),
    "soft colour": slice(0, COLOUR_AXES),
    "texture": slice(COLOUR_AXES, COLOUR_AXES + TEXTURE_AXES),
    "colour and texture": slice(0, COLOUR_AXES + TEXTURE_AXES),
}


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
        mixture: The clusters, in the space of `describe_pixels`.
        with_place: Whether that space has the place of a pixel in its image.
        summary: What was found out from the images; goes into JSON.
    """

    mixture: TiedMixture
    with_place: bool
    summary: dict = field(default_factory=dict)

    def assign(self, maps: PixelMaps) -> Float32[np.ndarray, "h w k"]:
        """The share of each pixel in each cluster; each pixel's sum to 1."""
        vectors = describe_pixels(maps.cues, with_place=self.with_place)
        height, width, axes = vectors.shape
        logits = self.mixture.logits(vectors.reshape(-1, axes))
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return shares.reshape(height, width, -1).astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `from_arrays` needs."""
        return {
            "whitening": self.mixture.whitening,
            "means": self.mixture.means,
            "log_shares": self.mixture.log_shares,
            "with_place": np.array(self.with_place),
            "summary": np.frombuffer(json.dumps(self.summary).encode(), dtype=np.uint8),
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> "PixelClusters":
        """The same clusters, to the last bit."""
        mixture = TiedMixture(arrays["whitening"], arrays["means"], arrays["log_shares"])
        summary = json.loads(arrays["summary"].tobytes().decode())
        return PixelClusters(mixture, bool(arrays["with_place"]), summary)


def fit_pixel_clusters(images: Sequence[PixelMaps], classes: int, *, seed: int) -> PixelClusters:
    """Find `classes` clusters in the pixels of the images: seconds, whatever their number and size.

    Args:
        images: Some of all images, at least 1; their grids may differ in size.
        classes: How many clusters, at least 1 and at most as many as there are pixels.
        seed: Of the sampling and of k-means.

    Raises:
        ValueError: There are fewer pixels than classes.
    """
    place = measure_place([maps.cues for maps in images])
    with_place = place > PLACE_MATTERS
    sample = _sample(images, with_place, max(VECTORS, 200 * classes), seed)
    guesses = {
        f"{name}, whitened" if whiten else name: guess_clusters(
            np.ascontiguousarray(sample[:, axes]), classes, seed=seed, whiten=whiten
        )
        for name, axes in _GUESSES.items()
        for whiten in (False, True)
    }
    fitted = fit_mixture(sample, classes, guesses)
    return PixelClusters(
        fitted.mixture,
        with_place,
        {
            "images": len(images),
            "vectors": len(sample),
            "place_foretells": round(place, 3),
            "with_place": with_place,
            "start": fitted.start,
            "gains": {name: round(gain, 4) for name, gain in fitted.gains.items()},
            "shares": [round(float(share), 4) for share in np.exp(fitted.mixture.log_shares)],
            "explained": _explain(sample, fitted.mixture),
        },
    )


def _sample(images: Sequence[PixelMaps], with_place: bool, count: int, seed: int) -> Float32[np.ndarray, "n d"]:
    random = np.random.default_rng([seed, 31])
    rows = []
    for maps in images:
        vectors = describe_pixels(maps.cues, with_place=with_place)
        flat = vectors.reshape(-1, vectors.shape[2])
        rows.append(flat[random.permutation(len(flat))[: -(-count // len(images))]])
    return np.concatenate(rows)


def _explain(sample: Float32[np.ndarray, "n d"], mixture: TiedMixture) -> dict[str, float]:
    """By kind of evidence: the share of its variance that lies between the clusters."""
    cluster = mixture.logits(sample).argmax(1)
    rows = sample.astype(np.float64) - sample.mean(0, dtype=np.float64)
    sizes = np.bincount(cluster, minlength=len(mixture.means)).astype(np.float64)
    sums = np.stack([np.bincount(cluster, axis, minlength=len(sizes)) for axis in rows.T], axis=1)
    between = (sums**2 / np.maximum(sizes, 1)[:, None]).sum(0)
    total = (rows**2).sum(0)
    kinds = {
        "lightness": list(range(0, COLOUR_AXES, 3)),
        "chroma": [axis for axis in range(COLOUR_AXES) if axis % 3],
        "texture": list(range(COLOUR_AXES, COLOUR_AXES + TEXTURE_AXES)),
        "place": list(range(COLOUR_AXES + TEXTURE_AXES, rows.shape[1])),
    }
    return {
        kind: round(float(between[axes].sum() / max(total[axes].sum(), 1e-12)), 3)
        for kind, axes in kinds.items()
        if axes
    }
