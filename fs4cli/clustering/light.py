"""Whether light differs more from image to image than things do: then colour counts less the mean of its image.

In: the axes of `fs4cli.model.axes` for some pixels of some images. Out: those that count, as they are or relative.

Ours: the measurements behind it, and those behind what it leaves alone, are in docs/grouping-measured.md.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32, Int64

from fs4cli.clustering.grouping import LEAST_GAIN, choose_grouping
from fs4cli.model.axes import LIGHT, SOFT_COLOUR

LIGHT_BETTER = 1.1
"""Colour counts less the mean of its image if clusters explain the evidence so many times as well then: light that
differs between images hides what differs within them."""

LIGHT_RUNS = 3
"""How many draws of the images that is averaged over."""


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
        parts: Rows to try it on; `LIGHT_RUNS` of them are.
        seed: Of k-means.
    """
    name, known = list(evidence.items())[-1]
    tried = parts[:LIGHT_RUNS]

    def explain(*, is_relative: bool) -> float:
        rows = take_axes(described, axes, is_relative=is_relative)[:, known]
        whole = {name: tuple(range(len(known)))}
        return sum(
            choose_grouping(np.ascontiguousarray(rows[part]), classes, whole, seed=seed + run)[1][name]
            for run, part in enumerate(tried)
        )

    return explain(is_relative=True) > LIGHT_BETTER * max(explain(is_relative=False), LEAST_GAIN * len(tried))
