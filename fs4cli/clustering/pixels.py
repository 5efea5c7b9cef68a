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
from jaxtyping import Float32, Int64

from fs4cli.clustering.evidence import (
    COLOUR_AXES,
    EVIDENCE,
    PLACE_MATTERS,
    TEXTURE_AXES,
    describe_pixels,
    measure_place,
)
from fs4cli.clustering.grouping import Grouping, choose_grouping
from fs4cli.clustering.mixture import NOISE, TiedMixture

VECTORS = 12_000
"""Pixels that the clusters are found on, about as many of each image."""


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
        grouping: The clusters, in some of the axes of `describe_pixels`.
        with_place: Whether the place of a pixel in its image is among the axes.
        summary: What was found out from the images; goes into JSON.
    """

    grouping: Grouping
    with_place: bool
    summary: dict = field(default_factory=dict)

    def assign(self, maps: PixelMaps) -> Float32[np.ndarray, "h w k"]:
        """The share of each pixel in each cluster; each pixel's sum to 1."""
        vectors = describe_pixels(maps.cues, with_place=self.with_place)
        height, width, axes = vectors.shape
        logits = self.grouping.logits(vectors.reshape(-1, axes))
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return shares.reshape(height, width, -1).astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `from_arrays` needs."""
        return {
            "name": np.array(self.grouping.name),
            "axes": np.array(self.grouping.axes),
            "whitening": self.grouping.mixture.whitening,
            "means": self.grouping.mixture.means,
            "log_shares": self.grouping.mixture.log_shares,
            "with_place": np.array(self.with_place),
            "summary": np.frombuffer(json.dumps(self.summary).encode(), dtype=np.uint8),
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> "PixelClusters":
        """The same clusters, to the last bit."""
        mixture = TiedMixture(arrays["whitening"], arrays["means"], arrays["log_shares"])
        summary = json.loads(arrays["summary"].tobytes().decode())
        grouping = Grouping(str(arrays["name"]), tuple(int(axis) for axis in arrays["axes"]), mixture)
        return PixelClusters(grouping, bool(arrays["with_place"]), summary)


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
    evidence = {name: axes for name, axes in EVIDENCE.items() if max(axes) < sample.shape[1]}
    grouping, gains = choose_grouping(sample, classes, evidence, seed=seed)
    ids = grouping.logits(sample).argmax(1)
    return PixelClusters(
        grouping,
        with_place,
        {
            "images": len(images),
            "vectors": len(sample),
            "place_foretells": round(place, 3),
            "with_place": with_place,
            "chosen": grouping.name,
            "gains": {name: round(gain, 4) for name, gain in gains.items()},
            "shares": [round(share / len(ids), 4) for share in np.bincount(ids, minlength=classes).tolist()],
            "explained": _explain(sample, ids),
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


def _explain(sample: Float32[np.ndarray, "n d"], ids: Int64[np.ndarray, " n"]) -> dict[str, float]:
    """By kind of evidence: the share of its variance that lies between the clusters."""
    rows = sample.astype(np.float64) - sample.mean(0, dtype=np.float64)
    sizes = np.bincount(ids)
    sums = np.stack([np.bincount(ids, axis) for axis in rows.T], axis=1)
    between = (sums**2 / np.maximum(sizes, 1)[:, None]).sum(0)
    total = (rows**2 + NOISE**2).sum(0)
    kinds = {
        "lightness": list(range(0, COLOUR_AXES, 3)),
        "chroma": [axis for axis in range(COLOUR_AXES) if axis % 3],
        "texture": list(range(COLOUR_AXES, COLOUR_AXES + TEXTURE_AXES)),
        "place": list(range(COLOUR_AXES + TEXTURE_AXES, rows.shape[1])),
    }
    return {kind: round(float(between[axes].sum() / total[axes].sum()), 3) for kind, axes in kinds.items() if axes}
