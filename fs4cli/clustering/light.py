"""Whether light differs more from image to image than things do: then colour counts less the mean of its image.

In: the axes of `fs4cli.model.axes` for some pixels of some images. Out: those that count, as they are or relative.
Where the place leads, images show the same things in the same places, and what changes alike all over them is light;
elsewhere it may as well be what an image shows, and clusters have to stand out more clearly without it.

Ours: the measurements behind it, and those behind what it leaves alone, are in docs/grouping-measured.md.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int64

from fs4cli.clustering.evidence import PLACE_LEADS, measure_place
from fs4cli.clustering.frame import find_frame
from fs4cli.clustering.grouping import LEAST_GAIN, list_groupings
from fs4cli.clustering.mixture import NOISE
from fs4cli.model.axes import LIGHT, SOFT_COLOUR

LIGHT_ALIKE = 0.3
"""Where the place leads: how alike lightness must change all over the images for it to be light that changes. A street
at dusk is darker everywhere; a sky with clouds is brighter where the clouds are."""

LIGHT_BETTER = 1.1
"""Else colour counts less the mean of its image if clusters explain the evidence so many times as well then:
light that differs between images hides what differs within them."""

LIGHT_RUNS = 3
"""How many draws of the images must say so, each: of one, clusters may be found poorly in either case."""

_SQUARES = 4
"""Places told apart, per side, when changes of lightness are compared."""


def take_axes(
    described: Float32[np.ndarray, "n a"], axes: tuple[int, ...], *, is_relative: bool
) -> Float32[np.ndarray, "n d"]:
    """The axes that count; the colours, which come first, less the image's own mean if that is asked for.

    Args:
        described: All of `fs4cli.model.axes`.
        axes: Which count, from `fs4cli.clustering.evidence.list_axes`.
        is_relative: Colour counts less the mean.
    """
    taken = described[:, axes]
    if is_relative:
        taken[:, SOFT_COLOUR] -= np.tile(described[:, LIGHT], len(SOFT_COLOUR) // len(LIGHT))
    return taken


def measure_light(images: Sequence[Float32[np.ndarray, "_ _ a"]]) -> float:
    """How alike lightness changes from image to image, place by place: -1 to 1.

    Of each of sixteen places, how far its change is correlated with that of all others; the second lowest of these, as
    light leaves hardly any place as it was. 1 where images differ by one number each; 0 where something stays as dark
    as it is, as the frame around a sky does; below where some places darken as others become brighter.

    Args:
        images: All axes of whole images, at least one; their sizes may differ.
    """
    lightness = np.stack([_average_squares(axes[..., SOFT_COLOUR[0]]) for axes in images])
    change = lightness - lightness.mean(0)
    others = (change.sum(1, keepdims=True) - change) / (change.shape[1] - 1)
    spread = change.std(0) * others.std(0)
    return float(np.sort((change * others).mean(0) / np.maximum(spread, NOISE**2))[1])


def is_light_alike(images: Sequence[Float32[np.ndarray, "_ _ a"]], classes: int) -> bool:
    """Whether images show the same things in the same places, in light that changes alike all over them.

    Not where they have a frame: it stays as dark as it is.

    Args:
        images: Of whole images all axes of `fs4cli.model.axes`, or the first three of them; sizes may differ.
        classes: How many are to be told apart.
    """
    if find_frame(images, classes) is not None:
        return False
    return measure_place(images) > PLACE_LEADS and measure_light(images) > LIGHT_ALIKE


def _average_squares(values: Float32[np.ndarray, "h w"]) -> Float64[np.ndarray, " s"]:
    """The mean of each square, row by row; 0 of squares that a map of fewer rows or columns has no pixel of."""
    rows, columns = (np.linspace(0, length, _SQUARES + 1).astype(int) for length in values.shape)
    # sums of what lies above and left, so that squares do not mix as they would if softened
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    sums[1:, 1:] = values.cumsum(0, dtype=np.float64).cumsum(1)
    corners = sums[np.ix_(rows, columns)]
    areas = np.outer(np.diff(rows), np.diff(columns))
    return (np.diff(np.diff(corners, axis=0), axis=1) / np.maximum(areas, 1)).ravel()


def is_light_uneven(
    described: Float32[np.ndarray, "n a"],
    axes: tuple[int, ...],
    classes: int,
    evidence: Mapping[str, tuple[int, ...]],
    parts: Sequence[Int64[np.ndarray, " _"]],
    *,
    seed: int,
) -> bool:
    """Whether clusters stand out more clearly once each image's mean colour is taken off.

    Args:
        described: All axes of some pixels.
        axes: Which count.
        classes: How many clusters.
        evidence: By name, what each candidate knows of the axes that count; the last knows most and is the one tried.
        parts: Rows of each draw; `LIGHT_RUNS` of them are tried, at most.
        seed: Of k-means.
    """
    name, known = list(evidence.items())[-1]
    whole = {name: tuple(range(len(known)))}

    def explain(part: Int64[np.ndarray, " _"], run: int, *, is_relative: bool) -> float:
        rows = take_axes(described[part], axes, is_relative=is_relative)[:, known]
        return list_groupings(np.ascontiguousarray(rows), classes, whole, seed=seed + run)[1][name]

    return all(
        explain(part, run, is_relative=True) > LIGHT_BETTER * max(explain(part, run, is_relative=False), LEAST_GAIN)
        for run, part in enumerate(parts[:LIGHT_RUNS])
    )
