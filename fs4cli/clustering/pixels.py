"""Pixel clustering: from maps of features and cues of some images to soft ids for the pixels of any image.

In: `PixelMaps`. Out: `PixelClusters`, which assigns each pixel of an image a share in each of the clusters.

Follows: FS^4's abstract: "we perform pixel clustering and assignments for segmentation supervision".
Ours: what is clustered and how, docs/grouping.md. The clusters are found in fixed cues; features learned in minutes
from a few hundred images join only where the cues bear them out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from fs4cli.clustering.evidence import (
    PLACE_LEADS,
    PLACE_MATTERS,
    are_images_grey,
    are_lines_bright,
    find_insides,
    list_axes,
    list_evidence,
    measure_place,
)
from fs4cli.clustering.explained import measure_explained
from fs4cli.clustering.finder import FEATURE_COUNTS
from fs4cli.clustering.frame import Frame, add_frame, find_frame, leave_out_frame
from fs4cli.clustering.grouping import Grouping
from fs4cli.clustering.light import LIGHT_ALIKE, measure_light, take_axes
from fs4cli.clustering.regions import average_texture, find_regions
from fs4cli.clustering.repeats import SHARE, draw_parts
from fs4cli.clustering.rule import DOUBTED, LinearRule, find_power, find_rule
from fs4cli.clustering.search import Search
from fs4cli.clustering.usual import find_usual
from fs4cli.model.axes import TEXTURE
from fs4cli.model.guidance import PyramidGuidance
from fs4cli.model.place_map import PlaceMap

VECTORS = 12_000
"""Pixels that each run finds the clusters on, about as many of each image."""

_EACH, _FEWEST_EACH = 200, 20
"""Pixels for each cluster, at least; where there are very many clusters."""

_PRODUCT = 3_000_000
"""Of clusters and pixels, from which on there are fewer pixels for each: 24 MB an array."""

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
class PixelClusters:
    """Clusters of pixels, found on some images and applied to any.

    Args:
        grouping: The clusters, in some of `axes` and, after them, of `feature_axes`.
        rule: The same in plain cues alone, as near as they come; of less power if its runs agree little.
        axes: Which of `fs4cli.model.axes` count.
        is_relative: Colour counts less the mean of its image.
        feature_axes: Of learned features; None if the grouping knows nothing of them.
        guidance: What the places of its pixels say of them; None if they tell nothing.
        frame: Where all images show the last cluster; None if they have no frame.
        by_region: The grouping knows the texture of a pixel's region, not the pixel's own.
        place_map: What usually lies at each place, which stands for row and column; None if they are told themselves.
        summary: What was found out from the images; goes into JSON.
    """

    grouping: Grouping
    rule: LinearRule
    axes: tuple[int, ...]
    is_relative: bool = False
    feature_axes: FeatureAxes | None = None
    guidance: PyramidGuidance | None = None
    frame: Frame | None = None
    by_region: bool = False
    place_map: PlaceMap | None = None
    summary: dict = field(default_factory=dict)

    def assign(self, maps: PixelMaps) -> Float32[np.ndarray, "h w k"]:
        """The share of each pixel in each cluster, guided if its place tells; each pixel's sum to 1."""
        logits = self.judge_alone(self.describe(maps), maps.axes.shape[:2])
        if self.guidance is not None:
            logits = self.guidance(logits)
        shares = torch.softmax(logits, 1)[0].permute(1, 2, 0).contiguous().numpy()
        return shares if self.frame is None else self.frame.mind(shares)

    def judge_alone(self, described: Float32[np.ndarray, "n d"], size: tuple[int, ...]) -> Float32[Tensor, "1 k h w"]:
        """Log-likelihoods of each cluster, up to what is the same for all, before anything guides them.

        Args:
            described: All pixels of an image, from `describe`.
            size: (height, width) of its maps.
        """
        logits = self.grouping.logits(described).reshape(*size, -1)
        return torch.from_numpy(logits - logits.max(2, keepdims=True)).float().permute(2, 0, 1)[None]

    def describe(self, maps: PixelMaps) -> Float32[np.ndarray, "n d"]:
        """What the grouping may know of each pixel, row by row: plain cues, then learned features if any count."""
        vectors = self._take(average_texture(maps.axes, find_regions(maps.axes)) if self.by_region else maps.axes)
        if self.feature_axes is None:
            return vectors
        features = self.feature_axes.project(maps.features.reshape(len(vectors), -1))
        return np.concatenate([vectors, features], axis=1)

    def describe_pixels(self, maps: PixelMaps) -> Float32[np.ndarray, "n d"]:
        """The plain cues of each pixel, row by row, as it says them itself: what a rule that a model keeps may know."""
        return self._take(maps.axes)

    def _take(self, axes: Float32[np.ndarray, "h w a"]) -> Float32[np.ndarray, "n d"]:
        if self.place_map is not None:
            axes = _map_places(axes, self.place_map)
        return take_axes(axes.reshape(-1, axes.shape[2]), self.axes, is_relative=self.is_relative)


def fit_pixel_clusters(
    images: Iterable[PixelMaps],
    classes: int,
    *,
    number: int,
    seed: int,
    vote: bool = True,
    thorough: bool = True,
    is_exposed: bool = False,
) -> PixelClusters:
    """Find `classes` clusters in the pixels of the images: seconds, whatever their number and size.

    Args:
        images: Some of all images, read once, one after the other; their grids may differ in size.
        classes: How many clusters, at least 1 and at most as many as there are pixels.
        number: How many images there are, at least 1.
        seed: Of the sampling and of k-means.
        vote: Let several groupings vote where they agree little; see `fs4cli.clustering.repeats.settle_runs`.
        thorough: Try starts that lie far apart, too, and let the groupings learn from each other. Not where it is their
            agreement that counts: it then is better than the number of clusters deserves.
        is_exposed: The images were put in one light, as it changes alike all over them (`fs4cli.model.exposure`).

    Raises:
        ValueError: There are fewer pixels than classes.
    """
    seen = max(1, round(SHARE * number))
    least = -(-count_needed(classes) // seen)
    chosen, features, whole = _sample(images, max(-(-VECTORS // seen), least), least, seed)
    frame, chosen, features, framed = _set_frame_aside(find_frame(whole, classes), chosen, features, whole, classes)
    inner = classes - (frame is not None)
    shown = leave_out_frame(whole, frame)
    place, light, bright_lines = measure_place(shown), measure_light(shown), are_lines_bright(shown)
    with_place = place > PLACE_MATTERS
    axes = list_axes(with_place=with_place, bright_lines=bright_lines)
    described = _describe_chosen(whole, chosen)
    is_grey = are_images_grey(whole)
    evidence = list_evidence(place, is_grey=is_grey)
    has_texture = any(not set(TEXTURE).isdisjoint(known) for known in evidence.values())
    averaged = (average_texture(one, find_regions(one)) for one in whole)
    feature_axes = _find_axes(features) if features.shape[1] >= max(FEATURE_COUNTS) else None
    learned = features[:, :0] if feature_axes is None else feature_axes.project(features)
    leads = place > PLACE_LEADS
    asks_usual = leads and is_exposed and thorough and frame is None
    place_map = PlaceMap(torch.from_numpy(find_usual(whole, seed=seed))) if asks_usual else None
    found = Search(
        described=described,
        told=_describe_chosen(averaged, chosen) if thorough and has_texture else described,
        usual=None if place_map is None else _describe_chosen((_map_places(one, place_map) for one in whole), chosen),
        learned=learned,
        inside=np.concatenate([find_insides(one).ravel()[ids] for one, ids in zip(whole, chosen, strict=True)]),
        axes=axes,
        evidence=evidence,
        classes=inner,
        parts=draw_parts([len(ids) for ids in chosen], seed),
        leads=leads,
        is_alike=is_exposed or light > LIGHT_ALIKE,
        is_grey=is_grey,
        seed=seed,
        vote=vote,
        thorough=thorough,
    ).settle()
    settled, is_relative = found.settled, found.is_relative
    sample, judge = found.plain.sample, found.plain.judge
    grouping, ids = settled.run.grouping, settled.run.ids
    if framed is not None:
        outer = take_axes(framed[0], axes, is_relative=is_relative)
        rows = np.concatenate([sample, learned], axis=1)
        more = framed[1][:, :0] if feature_axes is None else feature_axes.project(framed[1])
        grouping = add_frame(grouping, rows, np.concatenate([outer, more], axis=1))
        judge, ids = np.concatenate([judge, outer]), np.append(ids, np.full(len(outer), inner))
    power = find_power(settled.agreement, place) if frame is None else DOUBTED
    by_region = sample is not found.plain.judge and not set(TEXTURE).isdisjoint(grouping.axes)
    return PixelClusters(
        grouping,
        find_rule(grouping, judge, ids, axes, is_relative=is_relative, power=power, by_region=by_region),
        axes,
        is_relative,
        feature_axes if max(grouping.axes) >= judge.shape[1] else None,
        frame=frame,
        by_region=by_region,
        place_map=place_map if found.by_usual else None,
        summary={
            "images": number,
            "vectors": len(judge),
            "place_foretells": round(place, 3),
            "with_place": with_place,
            "light_alike": round(light, 3),
            "one_light": is_exposed,
            "usual_places": found.by_usual,
            "joined_from": found.joined_from,
            "bright_lines": bright_lines,
            "relative_colour": is_relative,
            "chosen": grouping.name,
            "inside": settled.is_inside,
            "votes": settled.votes,
            "framed": frame is not None,
            "texture_of_regions": by_region,
            "gains": {name: round(gain, 4) for name, gain in settled.run.gains.items()},
            "agreement": round(settled.agreement, 3),
            "rule_power": power,
            "shares": [round(share / len(ids), 4) for share in np.bincount(ids, minlength=classes).tolist()],
            "explained": {kind: round(share, 3) for kind, share in measure_explained(judge, ids).items()},
        },
    )


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


def count_needed(classes: int) -> int:
    """Vectors that so many clusters are found in, at least.

    200 for each, but of many clusters fewer: a pass over the vectors takes time and memory for each of them in each.
    """
    return round(classes * max(_FEWEST_EACH, min(_EACH, _PRODUCT / classes**2)))


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


def _describe_chosen(
    whole: Iterable[Float32[np.ndarray, "_ _ a"]], chosen: Sequence[Int64[np.ndarray, " _"]]
) -> Float32[np.ndarray, "n a"]:
    """The axes of the chosen pixels of each image."""
    return np.concatenate([axes.reshape(-1, axes.shape[2])[ids] for axes, ids in zip(whole, chosen, strict=True)])


def _map_places(axes: Float32[np.ndarray, "h w a"], place_map: PlaceMap) -> Float32[np.ndarray, "h w a"]:
    """The same axes, with what usually lies at each place for row and column."""
    return place_map(torch.from_numpy(axes).permute(2, 0, 1)[None])[0].permute(1, 2, 0).contiguous().numpy()


def _set_frame_aside(
    frame: Frame | None,
    chosen: list[Int64[np.ndarray, " _"]],
    features: Float32[np.ndarray, "n d"],
    whole: Sequence[Float32[np.ndarray, "_ _ a"]],
    classes: int,
) -> tuple[
    Frame | None,
    list[Int64[np.ndarray, " _"]],
    Float32[np.ndarray, "_ d"],
    tuple[Float32[np.ndarray, "f a"], Float32[np.ndarray, "f d"]] | None,
]:
    """The pixels that are free of the frame, and axes and features of those that lie well inside it.

    No frame, and all pixels, if there are too few of either kind.
    """
    if frame is None:
        return None, chosen, features, None
    deep, free = zip(*(frame.split(axes.shape) for axes in whole), strict=True)
    is_deep, is_free = (
        np.concatenate([one.ravel()[ids] for one, ids in zip(masks, chosen, strict=True)]) for masks in (deep, free)
    )
    if not is_deep.any() or is_free.sum() < _FEWEST_EACH * classes:
        return None, chosen, features, None
    framed = np.concatenate(
        [
            axes.reshape(-1, axes.shape[2])[ids[one.ravel()[ids]]]
            for axes, one, ids in zip(whole, deep, chosen, strict=True)
        ]
    )
    left = [ids[one.ravel()[ids]] for one, ids in zip(free, chosen, strict=True)]
    return frame, left, features[is_free], (framed, features[is_deep])
