"""Pixel clustering: from maps of features and cues of some images to soft ids for the pixels of any image.

In: `PixelMaps`. Out: `PixelClusters`, which assigns each pixel of an image a share in each of the clusters.

Follows: FS^4's abstract: "we perform pixel clustering and assignments for segmentation supervision".
Ours: what is clustered and how, docs/grouping.md. The clusters are found in fixed cues; features learned in minutes
from a few hundred images join only where the cues bear them out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int64

from fs4cli.clustering.agreement import adjusted_rand, foretold_share
from fs4cli.clustering.evidence import (
    FEWEST_IMAGES,
    KINDS,
    PLACE_MATTERS,
    are_images_grey,
    are_lines_bright,
    find_insides,
    list_axes,
    list_evidence,
    measure_place,
)
from fs4cli.clustering.grouping import ENOUGH, Grouping, choose_grouping, join_features
from fs4cli.clustering.mixture import NOISE, TiedMixture, make_mixture, measure_gain
from fs4cli.model.axes import AXES, COLOUR, LIGHT, SOFT_COLOUR

VECTORS = 12_000
"""Pixels that each run finds the clusters on, about as many of each image."""

RUNS = 5
"""How often the clusters are found."""

SHARE = 0.6
"""Of the images that each run sees."""

UNSURE = 0.8
"""Agreement of the runs below which the insides of things are looked at alone."""

INSIDES_BETTER, INSIDES_ENOUGH = 1.03, 0.93
"""Clusters found in the insides of things alone are taken if they explain the insides so many times as well as clusters
found everywhere do, and everything at least this share as well."""

LIGHT_BETTER, LIGHT_RUNS = 1.1, 3
"""Colour counts less the mean of its image if clusters explain the evidence so many times as well then, on average over
so many runs: light that differs between images hides what differs within them."""

IMAGE_TELLS = 0.18
"""Share of what clusters say that the image alone foretells, above which they follow its light more than its things:
then colour counts less the mean if that explains the evidence nearly as well."""

LEAST_GAIN = 0.05
"""Nats a vector that clusters in noise may explain."""

FEATURE_COUNTS = (3, 4)
"""How many axes of the learned features may join: fewer say too little, more drown the cues."""

_FEWEST_VECTORS = 20
"""A class, for insides to be grouped alone."""

FEATURE_UNIT = 0.5
"""Standard deviation, on the first axis of the features, that counts as one."""


@dataclass(frozen=True)
class PixelMaps:
    """What is known of the pixels of one image, on one grid.

    Args:
        features: Learned features; of width 0 if there are none.
        axes: What plain cues say, as `fs4cli.model.axes` lists it.
    """

    features: Float32[np.ndarray, "h w d"]
    axes: Float32[np.ndarray, "h w a"]


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
        weights: Of each of `fs4cli.model.axes`.
        offsets: Of each cluster.
    """

    weights: Float[np.ndarray, "k a"]
    offsets: Float[np.ndarray, " k"]


@dataclass(frozen=True)
class PixelClusters:
    """Clusters of pixels, found on some images and applied to any.

    Args:
        grouping: The clusters, in some of `axes` and, after them, of `feature_axes`.
        rule: The same in plain cues alone, as near as they come.
        axes: Which of `fs4cli.model.axes` count.
        is_relative: Colour counts less the mean of its image.
        feature_axes: Of learned features; None if the grouping knows nothing of them.
        summary: What was found out from the images; goes into JSON.
    """

    grouping: Grouping
    rule: LinearRule
    axes: tuple[int, ...]
    is_relative: bool = False
    feature_axes: FeatureAxes | None = None
    summary: dict = field(default_factory=dict)

    def assign(self, maps: PixelMaps) -> Float32[np.ndarray, "h w k"]:
        """The share of each pixel in each cluster; each pixel's sum to 1."""
        height, width = maps.axes.shape[:2]
        vectors = _take_axes(maps.axes.reshape(height * width, -1), self.axes, is_relative=self.is_relative)
        if self.feature_axes is not None:
            features = self.feature_axes.project(maps.features.reshape(height * width, -1))
            vectors = np.concatenate([vectors, features], axis=1)
        logits = self.grouping.logits(vectors)
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return shares.reshape(height, width, -1).astype(np.float32)


@dataclass(frozen=True)
class _Run:
    """One finding of the clusters: what was chosen, what each candidate gained, and the cluster of every vector."""

    grouping: Grouping
    gains: dict[str, float]
    ids: Int64[np.ndarray, " n"]


def fit_pixel_clusters(images: Iterable[PixelMaps], classes: int, *, number: int, seed: int) -> PixelClusters:
    """Find `classes` clusters in the pixels of the images: seconds, whatever their number and size.

    They are found `RUNS` times, each time on other images and from other guesses, and those that agree best with all
    the others are taken: what comes out only once is chance. Where even those agree little, all of that is done again
    with the insides of things alone, so that no cluster is spent on the steps between them where that costs little;
    where small things are the classes it costs much.

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
    chosen, features, whole = _sample(images, max(-(-VECTORS // seen), least), least, seed)
    place, bright_lines = measure_place(whole), are_lines_bright(whole)
    with_place = place > PLACE_MATTERS
    axes = list_axes(with_place=with_place, bright_lines=bright_lines)
    described = np.concatenate([one.reshape(-1, one.shape[2])[ids] for one, ids in zip(whole, chosen, strict=True)])
    evidence = list_evidence(place, is_grey=are_images_grey(whole))
    parts = _draw_parts([len(ids) for ids in chosen], seed)
    absolute, relative = (_take_axes(described, axes, is_relative=less) for less in (False, True))
    owners = np.repeat(np.arange(len(chosen)), [len(ids) for ids in chosen])
    is_relative = _is_light_uneven(absolute, relative, classes, evidence, parts[:LIGHT_RUNS], owners, seed)
    sample = relative if is_relative else absolute
    feature_axes = _find_axes(features) if features.shape[1] >= max(FEATURE_COUNTS) else None
    learned = features[:, :0] if feature_axes is None else feature_axes.project(features)
    rows = np.concatenate([sample, learned], axis=1)
    inside = np.concatenate([find_insides(one).ravel()[ids] for one, ids in zip(whole, chosen, strict=True)])

    def find(part: Int64[np.ndarray, " _"], seed: int) -> _Run:
        grouping, gains = choose_grouping(sample[part], classes, evidence, seed=seed)
        if feature_axes is not None:
            options: dict[str, Any] = {"counts": FEATURE_COUNTS, "seed": seed}
            grouping, more = join_features(grouping, sample[part], learned[part], classes, **options)
            gains |= more
        return _Run(grouping, gains, grouping.logits(rows).argmax(1))

    runs = [find(part, seed + run) for run, part in enumerate(parts)]
    best, agreement = _choose_typical([run.ids for run in runs], classes)
    is_inside, insides = False, [part[inside[part]] for part in parts]
    if agreement < UNSURE and min(len(part) for part in insides) >= _FEWEST_VECTORS * classes:
        others = [find(part, seed + run) for run, part in enumerate(insides)]
        gained = {
            place: [_gain(sample, found, where, classes) for found in (runs, others)]
            for place, where in (("inside", insides), ("all", parts))
        }
        is_inside = (
            gained["inside"][1] >= INSIDES_BETTER * gained["inside"][0]
            and gained["all"][1] >= INSIDES_ENOUGH * gained["all"][0]
        )
        if is_inside:
            runs = others
            best, agreement = _choose_typical([run.ids for run in runs], classes)
    grouping, gains, ids = runs[best].grouping, runs[best].gains, runs[best].ids
    return PixelClusters(
        grouping,
        _find_rule(grouping, sample, ids, axes, is_relative=is_relative),
        axes,
        is_relative,
        feature_axes if max(grouping.axes) >= sample.shape[1] else None,
        {
            "images": number,
            "vectors": len(sample),
            "place_foretells": round(place, 3),
            "with_place": with_place,
            "bright_lines": bright_lines,
            "relative_colour": is_relative,
            "chosen": grouping.name,
            "inside": is_inside,
            "gains": {name: round(gain, 4) for name, gain in gains.items()},
            "agreement": round(agreement, 3),
            "shares": [round(share / len(ids), 4) for share in np.bincount(ids, minlength=classes).tolist()],
            "explained": _explain(sample, ids),
        },
    )


def _gain(
    sample: Float32[np.ndarray, "n d"], runs: Sequence[_Run], parts: Sequence[Int64[np.ndarray, " _"]], classes: int
) -> float:
    """What runs explain of the rows of their parts, all runs together, in nats per vector each."""
    return sum(measure_gain(sample[part], run.ids[part], classes) for run, part in zip(runs, parts, strict=True))


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


def _take_axes(
    described: Float32[np.ndarray, "n a"], axes: tuple[int, ...], *, is_relative: bool
) -> Float32[np.ndarray, "n d"]:
    """The axes that count; the colours, which come first, less the image's own mean if that is asked for."""
    taken = described[:, axes]
    if is_relative:
        taken[:, SOFT_COLOUR] -= np.tile(described[:, LIGHT], len(SOFT_COLOUR) // len(LIGHT))
    return taken


def _is_light_uneven(
    absolute: Float32[np.ndarray, "n d"],
    relative: Float32[np.ndarray, "n d"],
    classes: int,
    evidence: Mapping[str, tuple[int, ...]],
    parts: Sequence[Int64[np.ndarray, " _"]],
    owners: Int64[np.ndarray, " n"],
    seed: int,
) -> bool:
    """Whether clusters stand out more clearly once each image's mean colour is taken off, or follow images without.

    Args:
        absolute: All the evidence.
        relative: The same with colours less their image's mean.
        classes: How many clusters.
        evidence: By name, the axes of each candidate; the last knows most and is the one that is tried.
        parts: Rows to try it on.
        owners: The image of each row.
        seed: Of k-means.
    """
    name, axes = list(evidence.items())[-1]
    whole = {name: tuple(range(len(axes)))}
    gains, told = np.zeros((2, len(parts))), []
    for kind, rows in enumerate((absolute, relative)):
        for run, part in enumerate(parts):
            vectors = np.ascontiguousarray(rows[part][:, axes])
            grouping, gained = choose_grouping(vectors, classes, whole, seed=seed + run)
            gains[kind, run] = gained[name]
            if kind == 0:
                joint = np.zeros((classes, int(owners[-1]) + 1), np.int64)
                np.add.at(joint, (grouping.logits(vectors).argmax(1), owners[part]), 1)
                told.append(foretold_share(joint))
    plain, less = gains.mean(1)
    if np.mean(told) > IMAGE_TELLS:
        return bool(less >= max(ENOUGH * plain, LEAST_GAIN))
    return bool(less > LIGHT_BETTER * max(plain, LEAST_GAIN))


def _find_rule(
    grouping: Grouping,
    sample: Float32[np.ndarray, "n d"],
    ids: Int64[np.ndarray, " n"],
    axes: tuple[int, ...],
    *,
    is_relative: bool,
) -> LinearRule:
    """A tied mixture is linear in its axes; of one that knows learned features, the nearest that knows none."""
    plain = [axis for axis in grouping.axes if axis < len(axes)]
    mixture: TiedMixture = grouping.mixture
    if len(plain) < len(grouping.axes):
        mixture = make_mixture(sample[:, plain], ids, len(mixture.log_shares))
    weights = np.zeros((len(mixture.log_shares), AXES))
    weights[:, [axes[axis] for axis in plain]] = mixture.means @ mixture.whitening
    if is_relative:
        weights[:, LIGHT] = -weights[:, SOFT_COLOUR].reshape(len(weights), -1, len(COLOUR)).sum(1)
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
) -> tuple[list[Int64[np.ndarray, " _"]], Float32[np.ndarray, "n d"], list[Float32[np.ndarray, "_ _ a"]]]:
    """Up to `count` pixels of each image: which, their learned features, and the axes of all pixels.

    A quarter of an image's pixels, and `least`, is enough: neighbours say the same.
    """
    random = np.random.default_rng([seed, 31])
    pixels, features, whole = [], [], []
    for maps in images:
        height, width = maps.axes.shape[:2]
        pixels.append(random.permutation(height * width)[: min(count, max(least, height * width // 4))])
        features.append(maps.features.reshape(height * width, -1)[pixels[-1]])
        whole.append(maps.axes)
    return pixels, np.concatenate(features), whole


def _explain(sample: Float32[np.ndarray, "n d"], ids: Int64[np.ndarray, " n"]) -> dict[str, float]:
    """By kind of evidence: the share of its variance that lies between the clusters."""
    rows = sample.astype(np.float64) - sample.mean(0, dtype=np.float64)
    sizes = np.bincount(ids)
    sums = np.stack([np.bincount(ids, axis) for axis in rows.T], axis=1)
    between = (sums**2 / np.maximum(sizes, 1)[:, None]).sum(0)
    total = (rows**2 + NOISE**2).sum(0)
    known = {kind: [axis for axis in axes if axis < rows.shape[1]] for kind, axes in KINDS.items()}
    return {kind: round(float(between[axes].sum() / total[axes].sum()), 3) for kind, axes in known.items() if axes}
