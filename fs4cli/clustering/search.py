"""From what sampled pixels say to the clusters in them: which colours and which texture to believe, and which run.

In: the axes of sampled pixels, as each says them and as its region does, and learned features. Out: the runs that were
settled on, and what they were made from.

Ours: docs/grouping.md, sections 1 to 9.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float32, Int64

from fs4cli.clustering.finder import FEATURE_COUNTS, Finder, PlainGroupings
from fs4cli.clustering.joining import count_finer, join_clusters
from fs4cli.clustering.light import is_light_uneven, take_axes
from fs4cli.clustering.mixture import make_mixture, measure_gain
from fs4cli.clustering.regions import REGIONS_ENOUGH
from fs4cli.clustering.repeats import (
    FEWEST_VECTORS,
    Run,
    Settled,
    settle_first,
    settle_runs,
    weigh_parts,
)
from fs4cli.model.axes import COLOUR, PLACE, SOFT_COLOUR

SURE = 0.95
"""Where the place leads and lightness changes alike all over the images, colours count less the mean of their image
only if first runs agree so far in that: else it is one more guess. What usually lies at a place is asked only where
they agree less."""

PLAIN_SURE = 0.93
"""Agreement of the first runs, in plain cues alone, from which on they are believed as they are. Learned features could
only take some of it away, and do not join."""

USUAL_ENOUGH = 0.8
"""Clusters that are told of a place by what usually lies there are taken if they explain the evidence at least so many
times as well as those that are told of its row and column."""


@dataclass(frozen=True)
class Found:
    """What a search comes to.

    Args:
        settled: The clusters, and how far they are to be believed.
        plain: In what plain evidence they were looked for.
        is_relative: Colour counts less the mean of its image there.
        by_usual: The place is what usually lies there.
        joined_from: How many clusters were joined to as many as there are classes; 0 if they were found as they are.
    """

    settled: Settled
    plain: PlainGroupings
    is_relative: bool
    by_usual: bool = False
    joined_from: int = 0


@dataclass(frozen=True)
class Search:
    """Looks for clusters.

    Args:
        described: All of `fs4cli.model.axes` of the sampled pixels, as each says them itself.
        told: The same with the texture of their regions; the very same array where regions are not to be asked.
        usual: The first with what usually lies at each place for row and column; None where that is not to be asked.
        learned: Axes of learned features, the most important first; of width 0 if there are none.
        inside: Which pixels lie inside things, from `fs4cli.clustering.evidence.find_insides`.
        axes: Which axes count.
        evidence: What clusters may be made from, from `fs4cli.clustering.evidence.list_evidence`.
        classes: How many clusters.
        parts: From `fs4cli.clustering.repeats.draw_parts`.
        leads: Whether the place leads.
        is_alike: Whether light changes alike all over the images.
        is_grey: Whether colour is nothing but lightness in them.
        seed: Of k-means.
        vote: See `fs4cli.clustering.pixels.fit_pixel_clusters`.
        thorough: See there.
    """

    described: Float32[np.ndarray, "n a"]
    told: Float32[np.ndarray, "n a"]
    usual: Float32[np.ndarray, "n a"] | None
    learned: Float32[np.ndarray, "n f"]
    inside: Bool[np.ndarray, " n"]
    axes: tuple[int, ...]
    evidence: Mapping[str, tuple[int, ...]]
    classes: int
    parts: Sequence[Int64[np.ndarray, " _"]]
    leads: bool
    is_alike: bool
    is_grey: bool
    seed: int
    vote: bool
    thorough: bool
    _known: dict[tuple[bool, bool], PlainGroupings] = field(default_factory=dict, repr=False)

    def settle(self) -> Found:
        """The clusters that are believed.

        Raises:
            ValueError: There are fewer pixels than classes.
        """
        is_relative, settled = self._compare_colours()
        plain = self._choose_texture(is_relative)
        if settled is None and self.learned.shape[1]:
            settled = self._settle_first(plain, plain.sample)
        if settled is None or settled.agreement < PLAIN_SURE:
            settled = self._settle_all(plain)
        if self.usual is not None and settled.agreement < SURE:
            usual = self._make_plain(self.usual, self.usual, is_relative=is_relative)
            joins = self._can_join()
            # what is to be joined is found anew: these need not vote
            other = self._settle_first(usual, self._add_learned(usual)) if joins else self._settle_all(usual)
            gains = [measure_gain(plain.judge, one.run.ids, self.classes) for one in (settled, other)]
            if gains[1] >= USUAL_ENOUGH * gains[0]:
                found = Found(other, usual, is_relative, by_usual=True)
                return self._join_finer(found) if joins else found
        return Found(settled, plain, is_relative)

    def _can_join(self) -> bool:
        """Whether images have colour, something was learned, and there are pixels enough for so many clusters."""
        fewest = FEWEST_VECTORS * count_finer(self.classes)
        has_cues = not self.is_grey and self.learned.shape[1] >= min(FEATURE_COUNTS)
        return has_cues and min(map(len, self.parts)) >= fewest

    def _join_finer(self, found: Found) -> Found:
        """More clusters in the same evidence, joined by what light does not change, and by where they lie."""
        clusters = count_finer(self.classes)
        chroma = [self.axes.index(axis) for axis in SOFT_COLOUR if axis % len(COLOUR)]
        plain = replace(found.plain, classes=clusters, _made={})
        told = [plain.judge[:, chroma], self.described[:, PLACE], self.learned[:, : min(FEATURE_COUNTS)]]
        vectors = np.concatenate(told, axis=1)
        rows = self._add_learned(plain)

        def join(run: Run) -> Run:
            ids = join_clusters(vectors, run.ids, clusters, self.classes)[run.ids]
            mixture = make_mixture(np.ascontiguousarray(rows[:, run.grouping.axes]), ids, self.classes)
            grouping = replace(run.grouping, mixture=mixture)
            return replace(run, grouping=grouping, ids=grouping.logits(rows).argmax(1))

        return replace(found, settled=self._settle_first(plain, rows, join), joined_from=clusters)

    def _compare_colours(self) -> tuple[bool, Settled | None]:
        """Whether colours count less the mean of their image, and the runs that said so, if runs did."""
        if self.leads and self.is_alike:
            relative = self._know(is_relative=True, by_region=False)
            settled = self._settle_first(relative, relative.sample)
            if settled.agreement >= SURE:
                return True, settled
        elif self.leads:
            return False, None
        asked = self.described, self.axes, self.classes, self.evidence, self.parts
        return is_light_uneven(*asked, seed=self.seed), None

    def _choose_texture(self, is_relative: bool) -> PlainGroupings:
        """Groupings in the texture of regions, unless they explain far less: then regions hold several textures."""
        of_cells = self._know(is_relative=is_relative, by_region=False)
        if self.told is self.described:
            return of_cells
        of_regions = self._know(is_relative=is_relative, by_region=True)
        regional, own = (
            weigh_parts(Finder(one, one.sample), self.parts, seed=self.seed) for one in (of_regions, of_cells)
        )
        return of_regions if regional >= REGIONS_ENOUGH * own else of_cells

    def _settle_all(self, plain: PlainGroupings) -> Settled:
        """With learned features, with insides, with votes: all that there is."""
        rows = self._add_learned(plain)
        return settle_runs(
            Finder(plain, rows),
            rows,
            plain.judge,
            self.parts,
            self.inside,
            self.classes,
            seed=self.seed,
            vote=self.vote,
            thorough=self.thorough,
        )

    def _settle_first(
        self, plain: PlainGroupings, rows: Float32[np.ndarray, "n e"], join: Callable[[Run], Run] = lambda run: run
    ) -> Settled:
        """Without insides and votes; in plain evidence alone, or with learned features in the rows after it."""
        asked = Finder(plain, rows), self.parts, self.classes
        return settle_first(*asked, seed=self.seed, thorough=self.thorough, join=join)

    def _add_learned(self, plain: PlainGroupings) -> Float32[np.ndarray, "n e"]:
        """All that a grouping may know of each pixel."""
        return np.concatenate([plain.sample, self.learned], axis=1)

    def _know(self, *, is_relative: bool, by_region: bool) -> PlainGroupings:
        """Groupings in that plain evidence; asked again, those that were made are there."""
        key = is_relative, by_region
        if key not in self._known:
            told = self.told if by_region else self.described
            self._known[key] = self._make_plain(told, self.described, is_relative=is_relative)
        return self._known[key]

    def _make_plain(
        self, told: Float32[np.ndarray, "n a"], own: Float32[np.ndarray, "n a"], *, is_relative: bool
    ) -> PlainGroupings:
        judge = take_axes(own, self.axes, is_relative=is_relative)
        sample = judge if told is own else take_axes(told, self.axes, is_relative=is_relative)
        return PlainGroupings(sample, judge, self.classes, self.evidence, self.thorough)
