"""A grouping found several times, on other images and from other guesses: what comes out only once is chance.

In: vectors of some pixels, and how to group a part of them. Out: the finding that is most like all the others, once
each has seen whether another one explains its part clearly better. Where they agree little even then, none of them is
to be believed. It is done again with the insides of things alone, so that no cluster is spent on the steps between them
where that costs little (where small things are the classes it costs much); then more findings are made, and those that
explain most of each kind of evidence vote.

Ours: docs/grouping.md.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64
from threadpoolctl import threadpool_limits

from fs4cli.clustering.agreement import adjusted_rand
from fs4cli.clustering.consensus import count_votes
from fs4cli.clustering.evidence import FEWEST_IMAGES
from fs4cli.clustering.explained import score_explained
from fs4cli.clustering.grouping import Grouping, choose_name
from fs4cli.clustering.mixture import make_soft_mixture, measure_gain
from fs4cli.machine import usable_cores
from fs4cli.model.device import keep_to_one_core

RUNS = 5
"""How often the clusters are found."""

VOTERS = 10
"""How often they are found in all where the first ones agree little: those that explain enough vote."""

VOTES_ENOUGH = 0.95
"""How much of what the best run explains a run must explain to have a vote, unless it is among the best `RUNS`."""

SHARE = 0.6
"""Of the images that each run sees."""

UNSURE = 0.85
"""Agreement of the runs below which none is believed alone, and the insides of things are looked at."""

INSIDES_BETTER, INSIDES_ENOUGH = 1.03, 0.9
"""Clusters found in the insides of things alone are taken if they explain the insides so many times as well as clusters
found everywhere do, and everything at least this share as well."""

FEWEST_VECTORS = 20
"""A cluster, for insides to be grouped alone, or for more clusters than classes to be found."""


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


@runtime_checkable
class FindsClusters(Protocol):
    """How to group some of the rows."""

    def weigh(self, part: Int64[np.ndarray, " _"], seed: int, /) -> Mapping[str, float]:
        """By name, what each kind of plain evidence explains of those rows."""
        ...

    def find(self, part: Int64[np.ndarray, " _"], seed: int, name: str | None, reach: bool, /) -> Run:
        """A run on those rows, in the evidence of that name or of its own choice; to reach is to try far starts."""
        ...

    def learn(self, run: Run, part: Int64[np.ndarray, " _"], others: Sequence[Run], /) -> Run:
        """What a run comes to on its rows once it has seen what others found."""
        ...


def weigh_parts(finder: FindsClusters, parts: Sequence[Int64[np.ndarray, " _"]], *, seed: int) -> float:
    """What the best kind of plain evidence explains of the first draws, in nats a row, summed over them.

    Args:
        finder: Weighs a part.
        parts: From `draw_parts`.
        seed: Of the first draw; the others count on from it.
    """
    first = parts[:RUNS]
    with _work_side_by_side(first) as pool:
        gains = list(pool.map(finder.weigh, first, range(seed, seed + len(first))))
    return max(sum(one[name] for one in gains) for name in gains[0])


@dataclass(frozen=True)
class Settled:
    """What the runs come to.

    Args:
        run: The one that is most like the others, or what all of them voted for.
        agreement: The mean adjusted Rand index of the first runs' most typical one with the others.
        is_inside: They were found in the insides of things alone.
        votes: How many runs voted; 0 if the most typical one was taken.
    """

    run: Run
    agreement: float
    is_inside: bool
    votes: int


def draw_parts(pixels: Sequence[int], seed: int) -> list[Int64[np.ndarray, " _"]]:
    """For each run that there may be, the rows of the images that it sees.

    Args:
        pixels: How many rows each image has, in order.
        seed: Of the choice.
    """
    owners = np.repeat(np.arange(len(pixels)), pixels)
    parts = []
    for run in range(VOTERS):
        random = np.random.default_rng([seed, 41, run])
        seen = random.permutation(len(pixels))[: max(min(len(pixels), FEWEST_IMAGES), round(SHARE * len(pixels)))]
        parts.append(np.flatnonzero(np.isin(owners, seen)))
    return parts


def settle_runs(
    finder: FindsClusters,
    rows: Float32[np.ndarray, "n d"],
    evidence: Float32[np.ndarray, "n e"],
    parts: Sequence[Int64[np.ndarray, " _"]],
    inside: Bool[np.ndarray, " n"],
    classes: int,
    *,
    seed: int,
    vote: bool = True,
    thorough: bool = True,
) -> Settled:
    """Group some of the parts, everywhere and perhaps inside things alone; take the most typical run, or let all vote.

    Args:
        finder: Groups a part.
        rows: All that a grouping may know.
        evidence: That judges whether insides alone are better.
        parts: From `draw_parts`.
        inside: Which rows lie inside things, from `fs4cli.clustering.evidence.find_insides`.
        classes: How many clusters there are.
        seed: Of the first run; the others count on from it.
        vote: Let runs vote where they agree little; without, it is told how well they agree, which takes less time.
        thorough: Choose one kind of evidence for all of the first runs by all of them together, and let each try starts
            that lie far apart and see what those beside it found. Runs that are made because the first ones agree
            little stand alone in either case: a vote lives on their differences.
    """
    runs = _find_first(finder, parts[:RUNS], seed, thorough)
    settled = _take_typical(runs, classes)
    if settled.agreement >= UNSURE:
        return settled
    insides = [part[inside[part]] for part in parts]
    if min(len(part) for part in insides) >= FEWEST_VECTORS * classes:
        alone = _find_all(finder, insides[:RUNS], seed)

        def explain(runs: Sequence[Run], where: Sequence[Int64[np.ndarray, " _"]]) -> float:
            pairs = zip(runs, where[:RUNS], strict=True)
            return sum(measure_gain(evidence[part], run.ids[part], classes) for run, part in pairs)

        is_better = explain(alone, insides) >= INSIDES_BETTER * explain(runs, insides)
        if is_better and explain(alone, parts) >= INSIDES_ENOUGH * explain(runs, parts):
            runs, settled = alone, replace(_take_typical(alone, classes), is_inside=True)
    if not vote:
        return settled
    runs = runs + _find_all(finder, (insides if settled.is_inside else parts)[RUNS:], seed + RUNS)
    runs = _choose_voters(runs, evidence)
    return replace(settled, run=_let_vote(runs, rows, evidence.shape[1], classes), votes=len(runs))


def settle_first(
    finder: FindsClusters,
    parts: Sequence[Int64[np.ndarray, " _"]],
    classes: int,
    *,
    seed: int,
    thorough: bool = True,
    join: Callable[[Run], Run] = lambda run: run,
) -> Settled:
    """The most typical of the first runs, however little they agree: no insides, no votes.

    Args:
        finder: Groups a part.
        parts: From `draw_parts`.
        classes: How many clusters there are, once they are joined.
        seed: Of the first run; the others count on from it.
        thorough: As `settle_runs` takes it.
        join: Makes a run of classes of one that the finder found with more clusters. Runs that part large things in
            different ways are alike once these are joined, so they are compared after that.
    """
    return _take_typical([join(run) for run in _find_first(finder, parts[:RUNS], seed, thorough)], classes)


def _take_typical(runs: Sequence[Run], classes: int) -> Settled:
    best, agreement = _choose_typical([run.ids for run in runs], classes)
    return Settled(runs[best], agreement, is_inside=False, votes=0)


def _choose_voters(runs: Sequence[Run], evidence: Float32[np.ndarray, "n e"]) -> list[Run]:
    """The runs that explain nearly as much as the best does, in order; at least `RUNS`: one alone is chance."""
    scores = np.array([score_explained(evidence, run.ids) for run in runs])
    enough = min(VOTES_ENOUGH * scores.max(), np.sort(scores)[-RUNS])
    return [run for run, score in zip(runs, scores, strict=True) if score >= enough]


def _let_vote(runs: Sequence[Run], rows: Float32[np.ndarray, "n d"], plain: int, classes: int) -> Run:
    """The clusters that most runs see, as one mixture in what any of them knows, and in all learned features.

    Plain cues that no run believed, as texture where the place leads, would bring clusters of their own.

    Args:
        runs: The voters.
        rows: All that a grouping may know.
        plain: How many of the axes are of plain cues; they come first.
        classes: How many clusters there are.
    """
    reference, _ = _choose_typical([run.ids for run in runs], classes)
    votes = count_votes([run.ids for run in runs], classes, reference=reference)
    name = _name_voters([run.grouping.name for run in runs])
    believed = {axis for run in runs for axis in run.grouping.axes}
    axes = tuple(sorted(believed.union(range(plain, rows.shape[1]))))
    grouping = Grouping(name, axes, make_soft_mixture(np.ascontiguousarray(rows[:, axes]), votes))
    return Run(grouping, runs[reference].gains, grouping.logits(rows).argmax(1))


def _name_voters(names: Sequence[str]) -> str:
    """What the voters chose, the most frequent first; one line has room for three."""
    shown = Counter(names).most_common(3)
    words = [f"{name} ({count} of {len(names)} groupings)" for name, count in shown]
    if others := len(names) - sum(count for _, count in shown):
        words.append(f"others ({others} of {len(names)})")
    return ", ".join(words)


def _find_first(
    finder: FindsClusters, parts: Sequence[Int64[np.ndarray, " _"]], seed: int, thorough: bool
) -> list[Run]:
    """A run of each part; if thorough, in one kind of evidence, from far starts too, and learning from each other."""
    if not thorough:
        return _find_all(finder, parts, seed)
    with _work_side_by_side(parts) as pool:
        seeds = range(seed, seed + len(parts))
        name = choose_name(list(pool.map(finder.weigh, parts, seeds)))
        runs = list(pool.map(finder.find, parts, seeds, repeat(name), repeat(True)))
        return list(pool.map(finder.learn, runs, parts, [[one for one in runs if one is not run] for run in runs]))


def _find_all(finder: FindsClusters, parts: Sequence[Int64[np.ndarray, " _"]], seed: int) -> list[Run]:
    """A run of each part that stands alone."""
    with _work_side_by_side(parts) as pool:
        seeds = range(seed, seed + len(parts))
        return list(pool.map(finder.find, parts, seeds, repeat(None), repeat(False)))


@contextmanager
def _work_side_by_side(parts: Sequence[Int64[np.ndarray, " _"]]) -> Iterator[ThreadPoolExecutor]:
    """Each run on one core, as a single one is too small to be divided among cores."""
    workers = min(len(parts), usable_cores())
    # both: the limit holds for BLAS everywhere, but for OpenMP in this thread only
    with threadpool_limits(1), ThreadPoolExecutor(workers, initializer=keep_to_one_core) as pool:
        yield pool


def _choose_typical(runs: Sequence[Int64[np.ndarray, " n"]], classes: int) -> tuple[int, float]:
    """Which run divides the same vectors most as the others do, and its mean adjusted Rand index with them."""
    alike = np.ones((len(runs), len(runs)))
    for one in range(len(runs)):
        for other in range(one):
            joint = np.bincount(runs[one] * classes + runs[other], minlength=classes * classes)
            alike[one, other] = alike[other, one] = adjusted_rand(joint.reshape(classes, classes))
    means = (alike.sum(1) - 1) / (len(runs) - 1)
    return int(means.argmax()), float(means.max())
