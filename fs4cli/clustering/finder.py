"""How a run finds clusters in some of the pixels: in plain evidence, with learned features, and from other starts.

In: the plain evidence of sampled pixels, and their learned features. Out: runs, for `fs4cli.clustering.repeats` to
compare.

Ours: docs/grouping.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int64

from fs4cli.clustering.grouping import (
    Grouping,
    choose_name,
    guess_far_apart,
    join_features,
    learn_from,
    list_groupings,
)
from fs4cli.clustering.repeats import Run

FEATURE_COUNTS = (3, 4)
"""How many axes of the learned features may join: fewer say too little, more drown the cues."""


@dataclass(frozen=True)
class PlainGroupings:
    """Groupings of draws of the pixels in plain evidence alone, each made once, however often it is asked for.

    Args:
        sample: All the plain evidence of the pixels, as clusters are looked for in it.
        judge: The same as each pixel says it itself: what a grouping has to explain.
        classes: How many clusters.
        evidence: What they may be made from, from `fs4cli.clustering.evidence.list_evidence`.
        spread: Start plain k-means from vectors that lie far apart, too.
    """

    sample: Float32[np.ndarray, "n d"]
    judge: Float32[np.ndarray, "n d"]
    classes: int
    evidence: Mapping[str, tuple[int, ...]]
    spread: bool
    _made: dict[tuple[int, bytes], tuple[list[Grouping], dict[str, float]]] = field(default_factory=dict, repr=False)

    def group(self, part: Int64[np.ndarray, " _"], seed: int) -> tuple[list[Grouping], dict[str, float]]:
        """One from each kind of evidence, and what each explains, in nats a pixel.

        Args:
            part: Rows that are drawn, in [0, n).
            seed: Of k-means.

        Raises:
            ValueError: There are fewer rows than clusters.
        """
        key = seed, part.tobytes()
        if key not in self._made:
            self._made[key] = list_groupings(
                self.sample[part],
                self.classes,
                self.evidence,
                seed=seed,
                spread=self.spread,
                judge=self.judge[part],
            )
        return self._made[key]


@dataclass(frozen=True)
class Finder:
    """Finds clusters in some of the sampled pixels; `fs4cli.clustering.repeats` says in which.

    Args:
        plain: Groupings that know nothing else.
        rows: Plain evidence, and after it the axes of learned features, if there are any, the most important first.
    """

    plain: PlainGroupings
    rows: Float32[np.ndarray, "n e"]

    def weigh(self, part: Int64[np.ndarray, " _"], seed: int) -> Mapping[str, float]:
        """By name, what each kind of plain evidence explains of those rows, in nats a pixel."""
        return self.plain.group(part, seed)[1]

    def find(self, part: Int64[np.ndarray, " _"], seed: int, name: str | None, reach: bool) -> Run:
        """Clusters in those rows.

        Args:
            part: Rows, in [0, n).
            seed: Of k-means.
            name: The kind of plain evidence to believe, as `weigh` names it; None to choose it by these rows alone.
            reach: Try starts that lie far apart, too.

        Raises:
            ValueError: There are fewer rows than clusters.
        """
        groupings, gains = self.plain.group(part, seed)
        chosen = name or choose_name([gains])
        grouping = next(one for one in groupings if one.name == chosen)
        sample = self.plain.sample[part]
        learned = self.rows[part][:, sample.shape[1] :]
        if learned.shape[1]:
            grouping, more = join_features(
                grouping,
                sample,
                learned,
                self.plain.classes,
                counts=FEATURE_COUNTS,
                seed=seed,
                judge=self.plain.judge[part],
            )
            gains = gains | more
        run = Run(grouping, gains, grouping.logits(self.rows).argmax(1))
        if not reach:
            return run
        return self._try(run, part, guess_far_apart(grouping, self.rows[part], self.plain.classes, seed=seed))

    def learn(self, run: Run, part: Int64[np.ndarray, " _"], others: Sequence[Run]) -> Run:
        """What the run comes to, once it has seen what others found."""
        return self._try(run, part, [other.ids[part] for other in others])

    def _try(self, run: Run, part: Int64[np.ndarray, " _"], guesses: Sequence[Int64[np.ndarray, " _"]]) -> Run:
        plain, rows = self.plain, self.rows[part]
        grouping, gain = learn_from(run.grouping, rows, guesses, plain.classes, judge=plain.judge[part])
        if grouping is run.grouping:
            return run
        return Run(grouping, run.gains | {grouping.name: gain}, grouping.logits(self.rows).argmax(1))
