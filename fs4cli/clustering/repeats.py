"""A grouping found several times, on other images and from other guesses: what comes out only once is chance.

In: vectors of some pixels, and how to group a part of them. Out: the finding that is most like all the others. Where
even those agree little, all of that is done again with the insides of things alone, so that no cluster is spent on the
steps between them where that costs little; where small things are the classes it costs much.

Ours: docs/grouping.md.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64
from threadpoolctl import threadpool_limits

from fs4cli.clustering.agreement import adjusted_rand
from fs4cli.clustering.evidence import FEWEST_IMAGES
from fs4cli.clustering.grouping import Grouping
from fs4cli.clustering.kmeans import keep_to_one_core
from fs4cli.clustering.mixture import measure_gain
from fs4cli.model.device import usable_cores

RUNS = 5
"""How often the clusters are found."""

SHARE = 0.6
"""Of the images that each run sees."""

UNSURE = 0.8
"""Agreement of the runs below which the insides of things are looked at alone."""

INSIDES_BETTER, INSIDES_ENOUGH = 1.03, 0.9
"""Clusters found in the insides of things alone are taken if they explain the insides so many times as well as clusters
found everywhere do, and everything at least this share as well."""

_FEWEST_VECTORS = 20
"""A class, for insides to be grouped alone."""


@dataclass(frozen=True)
class Run:
    """One finding of the clusters.

    Args:
        grouping: What was chosen.
        gains: By name, what each candidate explains.
        ids: The cluster of every vector, whether it was looked at or not.
    """

    grouping: Grouping
    gains: dict[str, float]
    ids: Int64[np.ndarray, " n"]


Find = Callable[[Int64[np.ndarray, " _"], int], Run]
"""How to group some of the rows, with a seed."""


@dataclass(frozen=True)
class Typical:
    """The run that is most like the others.

    Args:
        run: That one.
        agreement: Its mean adjusted Rand index with the others.
        is_inside: It was found in the insides of things alone.
    """

    run: Run
    agreement: float
    is_inside: bool


def draw_parts(pixels: Sequence[int], seed: int) -> list[Int64[np.ndarray, " _"]]:
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


def find_typical(
    find: Find,
    evidence: Float32[np.ndarray, "n d"],
    parts: Sequence[Int64[np.ndarray, " _"]],
    inside: Bool[np.ndarray, " n"],
    classes: int,
    *,
    seed: int,
) -> Typical:
    """Group each part, everywhere and perhaps inside things alone, and take what agrees best with all the others.

    Args:
        find: Groups a part.
        evidence: That judges whether insides alone are better.
        parts: From `draw_parts`.
        inside: Which rows lie inside things, from `fs4cli.clustering.evidence.find_insides`.
        classes: How many clusters there are.
        seed: Of the first run; the others count on from it.
    """
    everywhere = _find_all(find, parts, seed)
    best, agreement = _choose_typical([run.ids for run in everywhere], classes)
    insides = [part[inside[part]] for part in parts]
    if agreement < UNSURE and min(len(part) for part in insides) >= _FEWEST_VECTORS * classes:
        alone = _find_all(find, insides, seed)

        def explain(runs: Sequence[Run], where: Sequence[Int64[np.ndarray, " _"]]) -> float:
            pairs = zip(runs, where, strict=True)
            return sum(measure_gain(evidence[rows], run.ids[rows], classes) for run, rows in pairs)

        is_better = explain(alone, insides) >= INSIDES_BETTER * explain(everywhere, insides)
        if is_better and explain(alone, parts) >= INSIDES_ENOUGH * explain(everywhere, parts):
            best, agreement = _choose_typical([run.ids for run in alone], classes)
            return Typical(alone[best], agreement, is_inside=True)
    return Typical(everywhere[best], agreement, is_inside=False)


def _find_all(find: Find, parts: Sequence[Int64[np.ndarray, " _"]], seed: int) -> list[Run]:
    """A run of each part: side by side, each on one core, as a single one is too small to be divided among cores."""
    workers = min(len(parts), usable_cores())
    # both: the limit holds for BLAS everywhere, but for OpenMP in this thread only
    with threadpool_limits(1), ThreadPoolExecutor(workers, initializer=keep_to_one_core) as pool:
        return list(pool.map(find, parts, range(seed, seed + len(parts))))


def _choose_typical(runs: Sequence[Int64[np.ndarray, " n"]], classes: int) -> tuple[int, float]:
    """Which run divides the same vectors most as the others do, and its mean adjusted Rand index with them."""
    alike = np.ones((len(runs), len(runs)))
    for one in range(len(runs)):
        for other in range(one):
            joint = np.bincount(runs[one] * classes + runs[other], minlength=classes * classes)
            alike[one, other] = alike[other, one] = adjusted_rand(joint.reshape(classes, classes))
    means = (alike.sum(1) - 1) / (len(runs) - 1)
    return int(means.argmax()), float(means.max())
