"""Pixel clustering: from maps of features and cues of some images to soft ids for the pixels of any image.

In: `PixelMaps`. Out: `PixelClusters`, which assigns each pixel of an image a share in each of the clusters.

Follows: FS^4's abstract: "we perform pixel clustering and assignments for segmentation supervision".
Ours: what is clustered and how, docs/grouping.md. The clusters are found in fixed cues; features learned in minutes
from a few hundred images join only where the cues bear them out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float32, Int64

from fs4cli.clustering.agreement import adjusted_rand
from fs4cli.clustering.evidence import (
    AXES,
    COLOUR_AXES,
    FEWEST_IMAGES,
    PLACE_MATTERS,
    TEXTURE_AXES,
    are_images_grey,
    are_lines_bright,
    describe_pixels,
    list_evidence,
    measure_place,
    spread_axes,
)
from fs4cli.clustering.grouping import Grouping, choose_grouping, join_features
from fs4cli.clustering.mixture import NOISE, TiedMixture, make_mixture

VECTORS = 12_000
"""Pixels that each run finds the clusters on, about as many of each image."""

RUNS = 5
"""How often the clusters are found."""

SHARE = 0.6
"""Of the images that each run sees."""

FEATURE_COUNTS = (3, 4)
"""How many axes of the learned features may join: fewer say too little, more drown the cues."""

FEATURE_UNIT = 0.5
"""Standard deviation, on the first axis of the features, that counts as one."""


@dataclass(frozen=True)
class PixelMaps:
    """What is known of the pixels of one image, on one grid.

    Args:
        features: Learned features; of width 0 if there are none.
        cues: Of `fs4cli.model.cues`, in Lab units, as `describe_pixels` reads them.
    """

    features: Float32[np.ndarray, "h w d"]
    cues: Float32[np.ndarray, "h w c"]


@dataclass(frozen=True)
class FeatureAxes:
    """The directions in which learned features vary most.

    Args:
        mean: Of the features.
        directions: To the axes, the one of most variance first, already divided by the unit.
    """

    mean: Float[np.ndarray, " c"]
    directions: Float[np.ndarray, "c a"]

    def project(self, features: Float[np.ndarray, "n c"]) -> Float32[np.ndarray, "n a"]:
        """The axes of each feature."""
        return ((features - self.mean) @ self.directions).astype(np.float32)


@dataclass(frozen=True)
class LinearRule:
    """Clusters as a linear rule on plain cues: what a finished model keeps of them.

    Args:
        weights: Of each axis of the evidence, as `spread_axes` counts them.
        offsets: Of each cluster.
    """

    weights: Float[np.ndarray, "k a"]
    offsets: Float[np.ndarray, " k"]


@dataclass(frozen=True)
class PixelClusters:
    """Clusters of pixels, found on some images and applied to any.

    Args:
        grouping: The clusters, in some of the axes of `describe_pixels` and, after them, of `feature_axes`.
        rule: The same in plain cues alone, as near as they come.
        with_place: Whether the place of a pixel in its image is among the axes.
        bright_lines: Whether lines that are looked for are bright ones.
        feature_axes: Of learned features; None if the grouping knows nothing of them.
        summary: What was found out from the images; goes into JSON.
    """

    grouping: Grouping
    rule: LinearRule
    with_place: bool
    bright_lines: bool = False
    feature_axes: FeatureAxes | None = None
    summary: dict = field(default_factory=dict)

    def assign(self, maps: PixelMaps) -> Float32[np.ndarray, "h w k"]:
        """The share of each pixel in each cluster; each pixel's sum to 1."""
        height, width = maps.cues.shape[:2]
        described = describe_pixels(maps.cues, with_place=self.with_place, bright_lines=self.bright_lines)
        vectors = described.reshape(height * width, -1)
        if self.feature_axes is not None:
            features = self.feature_axes.project(maps.features.reshape(height * width, -1))
            vectors = np.concatenate([vectors, features], axis=1)
        logits = self.grouping.logits(vectors)
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return shares.reshape(height, width, -1).astype(np.float32)


def fit_pixel_clusters(images: Iterable[PixelMaps], classes: int, *, number: int, seed: int) -> PixelClusters:
    """Find `classes` clusters in the pixels of the images: seconds, whatever their number and size.

    They are found `RUNS` times, each time on other images and from other guesses, and those that agree best with all
    the others are taken: what comes out only once is chance.

    Args:
        images: Some of all images, read once, one after the other; their grids may differ in size.
        classes: How many clusters, at least 1 and at most as many as there are pixels.
        number: How many images there are, at least 1.
        seed: Of the sampling and of k-means.

    Raises:
        ValueError: There are fewer pixels than classes.
    """
    seen = max(1, round(SHARE * number))
    least = -(-200 * classes // seen)
    chosen, features, cues = _sample(images, max(-(-VECTORS // seen), least), least, seed)
    place, bright_lines = measure_place(cues), are_lines_bright(cues)
    sample = np.concatenate(
        [
            describe_pixels(one, with_place=True, bright_lines=bright_lines).reshape(one.shape[0] * one.shape[1], -1)[
                ids
            ]
            for one, ids in zip(cues, chosen, strict=True)
        ]
    )
    with_place = place > PLACE_MATTERS
    if not with_place:
        sample = np.ascontiguousarray(sample[:, :-2])
    evidence = list_evidence(place, is_grey=are_images_grey(cues))
    feature_axes = _find_axes(features) if features.shape[1] >= max(FEATURE_COUNTS) else None
    learned = features[:, :0] if feature_axes is None else feature_axes.project(features)
    rows = np.concatenate([sample, learned], axis=1)
    runs = []
    for run, part in enumerate(_draw_parts([len(ids) for ids in chosen], seed)):
        grouping, gains = choose_grouping(sample[part], classes, evidence, seed=seed + run)
        if feature_axes is not None:
            grouping, more = join_features(
                grouping, sample[part], learned[part], classes, counts=FEATURE_COUNTS, seed=seed + run
            )
            gains |= more
        runs.append((grouping, gains, grouping.logits(rows).argmax(1)))
    best, agreement = _choose_typical([ids for _, _, ids in runs], classes)
    grouping, gains, ids = runs[best]
    return PixelClusters(
        grouping,
        _find_rule(grouping, sample, ids, bright_lines=bright_lines),
        with_place,
        bright_lines,
        feature_axes if max(grouping.axes) >= sample.shape[1] else None,
        {
            "images": number,
            "vectors": len(sample),
            "place_foretells": round(place, 3),
            "with_place": with_place,
            "bright_lines": bright_lines,
            "chosen": grouping.name,
            "gains": {name: round(gain, 4) for name, gain in gains.items()},
            "agreement": round(agreement, 3),
            "shares": [round(share / len(ids), 4) for share in np.bincount(ids, minlength=classes).tolist()],
            "explained": _explain(sample, ids),
        },
    )


def _draw_parts(pixels: Sequence[int], seed: int) -> list[Int64[np.ndarray, " _"]]:
    """For each run, the rows of the images that it sees.

    Args:
        pixels: How many rows each image has, in order.
        seed: Of the choice.
    """
    owners = np.repeat(np.arange(len(pixels)), pixels)
    parts = []
    for run in range(RUNS):
        random = np.random.default_rng([seed, 41, run])
        seen = random.permutation(len(pixels))[: max(min(len(pixels), FEWEST_IMAGES), round(SHARE * len(pixels)))]
        parts.append(np.flatnonzero(np.isin(owners, seen)))
    return parts


def _choose_typical(runs: Sequence[Int64[np.ndarray, " n"]], classes: int) -> tuple[int, float]:
    """Which run divides the same vectors most as the others do, and its mean adjusted Rand index with them."""
    alike = np.ones((len(runs), len(runs)))
    for one in range(len(runs)):
        for other in range(one):
            joint = np.bincount(runs[one] * classes + runs[other], minlength=classes * classes)
            alike[one, other] = alike[other, one] = adjusted_rand(joint.reshape(classes, classes))
    means = (alike.sum(1) - 1) / (len(runs) - 1)
    return int(means.argmax()), float(means.max())


def _find_rule(
    grouping: Grouping, sample: Float32[np.ndarray, "n d"], ids: Int64[np.ndarray, " n"], *, bright_lines: bool
) -> LinearRule:
    """A tied mixture is linear in its axes; of one that knows learned features, the nearest that knows none."""
    axes = [axis for axis in grouping.axes if axis < sample.shape[1]]
    clusters = len(grouping.mixture.log_shares)
    plain = len(axes) == len(grouping.axes)
    mixture: TiedMixture = grouping.mixture if plain else make_mixture(sample[:, axes], ids, clusters)
    weights = np.zeros((clusters, AXES))
    weights[:, spread_axes(axes, bright_lines=bright_lines)] = mixture.means @ mixture.whitening
    return LinearRule(weights, mixture.log_shares - 0.5 * (mixture.means**2).sum(1))


def _find_axes(features: Float32[np.ndarray, "n c"]) -> FeatureAxes:
    rows = features.astype(np.float64)
    mean = rows.mean(0)
    values, vectors = np.linalg.eigh(np.cov((rows - mean).T))
    order = np.argsort(values)[::-1][: max(FEATURE_COUNTS)]
    directions = vectors[:, order]
    # the sign of an axis is free: fixed, so that other libraries give the same clusters
    directions *= np.where(directions[np.abs(directions).argmax(0), np.arange(len(order))] < 0, -1, 1)
    unit = FEATURE_UNIT * np.sqrt(max(values[order[0]], 1e-12))
    return FeatureAxes(mean, directions / unit)


def _sample(
    images: Iterable[PixelMaps], count: int, least: int, seed: int
) -> tuple[list[Int64[np.ndarray, " _"]], Float32[np.ndarray, "n d"], list[Float32[np.ndarray, "_ _ c"]]]:
    """Up to `count` pixels of each image: which, their learned features, and the cues of all pixels.

    A quarter of an image's pixels, and `least`, is enough: neighbours say the same.
    """
    random = np.random.default_rng([seed, 31])
    pixels, features, cues = [], [], []
    for maps in images:
        height, width = maps.cues.shape[:2]
        pixels.append(random.permutation(height * width)[: min(count, max(least, height * width // 4))])
        features.append(maps.features.reshape(height * width, -1)[pixels[-1]])
        cues.append(maps.cues)
    return pixels, np.concatenate(features), cues


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
