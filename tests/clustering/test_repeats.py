from itertools import repeat

import numpy as np
import pytest

from fs4cli.clustering.grouping import Grouping
from fs4cli.clustering.mixture import make_mixture
from fs4cli.clustering.repeats import RUNS, VOTERS, Run, draw_parts, settle_first, settle_runs


def show_two_heaps(random):
    """A hundred points about 0 and a hundred about 10."""
    truth = np.repeat([0, 1], 100)
    return (random.normal(0, 1, (200, 2)) + 10 * truth[:, None]).astype(np.float32), truth


def show_four_heaps(random):
    """A hundred points about each of (0, 0), (0, 10), (10, 0) and (10, 10), and how either axis alone divides them."""
    first, second = np.repeat([0, 0, 1, 1], 100), np.repeat([0, 1, 0, 1], 100)
    means = 10 * np.stack([first, second], axis=1)
    return (random.normal(0, 1, (400, 2)) + means).astype(np.float32), first, second


class FakeFinder:
    """Divides all rows as the next of the divisions says, by cues of the next of the names; learns nothing."""

    def __init__(self, divisions, rows, names=None):
        self.left = iter(zip(names or repeat("all"), divisions, strict=False))
        self.vectors = rows
        self.asked = []

    def weigh(self, part, seed):
        return {"all": 1.0}

    def find(self, part, seed, name, reach):
        own, ids = next(self.left)
        self.asked.append((seed, name, reach))
        return Run(Grouping(own, (0, 1), make_mixture(self.vectors, ids, 2)), {}, ids)

    def learn(self, run, part, others):
        return run


def test_each_run_sees_three_of_five_images_whole():
    for part in draw_parts([10] * 20, seed=0):
        assert np.bincount(part // 10).tolist().count(10) == len(part) // 10 == 12


def same_division(found, expected):
    return (found == expected).all() or (found == 1 - expected).all()


def settle(divisions, rows, **options):
    finder = FakeFinder(divisions, rows, options.pop("names", None))
    inside = options.pop("inside", np.zeros(len(rows), bool))
    return settle_runs(finder, rows, rows, [np.arange(len(rows))] * VOTERS, inside, 2, seed=0, **options)


def test_runs_that_agree_do_not_vote(random):
    rows, truth = show_two_heaps(random)
    nearly = np.where(np.arange(200) == 0, 1, truth)
    settled = settle([nearly, truth, 1 - truth, truth, 1 - truth], rows)

    assert same_division(settled.run.ids, truth)
    assert settled.run.grouping.name == "all"
    assert settled.votes == 0
    # alike to three of the other four, and a little less to the one that has one pixel wrong
    assert 0.99 < settled.agreement < 1


def test_runs_that_agree_little_are_outvoted_by_more_runs(random):
    rows, truth = show_two_heaps(random)
    odd = random.permutation(truth)
    settled = settle([odd, odd, odd, truth, 1 - truth] + [truth, 1 - truth] * 2 + [truth], rows)

    assert same_division(settled.run.ids, truth)
    # the odd ones are alike to two of the other four, and to the truth by chance
    assert settled.agreement == pytest.approx(0.5, abs=0.03)
    # and explain next to nothing, so they have no vote
    assert settled.votes == 7
    assert settled.run.grouping.name == "all (7 of 7 groupings)"


def test_all_runs_vote_that_explain_as_much_as_each_other(random):
    rows, first, second = show_four_heaps(random)

    assert settle([first, second] * (VOTERS // 2), rows).votes == VOTERS


def test_five_runs_vote_even_if_one_explains_far_more_than_any_other(random):
    rows, truth = show_two_heaps(random)
    settled = settle([random.permutation(truth) for _ in range(VOTERS - 1)] + [truth], rows)

    assert settled.votes == RUNS


def test_three_kinds_of_voters_are_named_and_the_others_counted(random):
    rows, first, second = show_four_heaps(random)
    names = ["colour"] * 4 + ["texture"] * 3 + ["place", "grain", "lines"]
    settled = settle([first, second] * (VOTERS // 2), rows, names=names)

    said = "colour (4 of 10 groupings), texture (3 of 10 groupings), place (1 of 10 groupings), others (2 of 10)"
    assert settled.run.grouping.name == said


@pytest.mark.parametrize(("plain", "known"), [(2, (0, 1, 2)), (3, (0, 1))])
def test_clusters_voted_for_know_all_learned_features_but_no_plain_cue_that_no_voter_believed(random, plain, known):
    rows, truth = show_two_heaps(random)
    wider = np.concatenate([rows, random.normal(0, 1, (200, 1)).astype(np.float32)], axis=1)
    odd = random.permutation(truth)
    # every run is of the first two axes; the third is a learned feature, or a plain cue
    finder = FakeFinder([odd, odd, odd, truth, truth] + [truth] * 5, rows)
    parts, inside = [np.arange(200)] * VOTERS, np.zeros(200, bool)
    settled = settle_runs(finder, wider, wider[:, :plain], parts, inside, 2, seed=0)

    assert settled.votes == 7
    assert settled.run.grouping.axes == known


def test_without_a_vote_five_runs_say_how_well_they_agree(random):
    rows, truth = show_two_heaps(random)
    odd = random.permutation(truth)
    settled = settle([odd, odd, odd, truth, truth], rows, vote=False)

    assert settled.votes == 0
    assert settled.agreement == pytest.approx(0.5, abs=0.03)


def test_the_first_runs_are_settled_alone_however_little_they_agree(random):
    rows, truth = show_two_heaps(random)
    odd = random.permutation(truth)
    settled = settle_first(FakeFinder([odd, odd, odd, truth, truth], rows), [np.arange(200)] * VOTERS, 2, seed=0)

    assert same_division(settled.run.ids, odd)
    assert (settled.votes, settled.is_inside) == (0, False)
    assert settled.agreement == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("is_better", [False, True])
def test_insides_alone_are_taken_only_if_they_explain_more(random, is_better):
    rows, truth = show_two_heaps(random)
    everywhere = [random.permutation(truth) for _ in range(RUNS)]
    alone = [truth] * RUNS if is_better else everywhere
    inside = np.arange(200) % 2 == 0
    settled = settle(everywhere + alone + alone, rows, inside=inside)

    assert settled.is_inside is is_better


def test_runs_see_what_those_beside_them_found_before_they_are_compared(random):
    rows, truth = show_two_heaps(random)
    odd, seen = random.permutation(truth), []

    class Learning(FakeFinder):
        def learn(self, run, part, others):
            seen.append((run.ids.tolist(), sorted(one.ids.tolist() for one in others)))
            return Run(run.grouping, run.gains, others[0].ids if (run.ids == odd).all() else run.ids)

    finder = Learning([truth, odd, truth, truth, truth], rows)
    settled = settle_first(finder, [np.arange(200)] * VOTERS, 2, seed=0)

    assert settled.agreement == pytest.approx(1)
    assert len(seen) == RUNS
    for own, others in seen:
        # the four beside it, and not itself
        assert sorted([*others, own]) == sorted([truth.tolist()] * 4 + [odd.tolist()])


class Weighing(FakeFinder):
    """What colour explains of each draw, and what texture does."""

    def __init__(self, divisions, rows, gains):
        super().__init__(divisions, rows)
        self.gains = gains

    def weigh(self, part, seed):
        return dict(zip(("colour", "texture"), self.gains[seed % RUNS], strict=True))


def test_the_first_runs_believe_one_kind_of_evidence_that_all_of_them_together_choose(random):
    rows, truth = show_two_heaps(random)
    # colour is enough by three draws of five, but not by their sum: 4.8 of 5
    finder = Weighing([truth] * RUNS, rows, [(0.98, 1), (0.98, 1), (0.98, 1), (0.93, 1), (0.93, 1)])
    settle_first(finder, [np.arange(200)] * VOTERS, 2, seed=0)

    assert sorted(finder.asked) == [(run, "texture", True) for run in range(RUNS)]


def test_runs_made_because_the_first_ones_agree_little_stand_alone(random):
    rows, first, second = show_four_heaps(random)
    finder = FakeFinder([first, second] * (VOTERS // 2), rows)
    parts, inside = [np.arange(400)] * VOTERS, np.zeros(400, bool)
    settled = settle_runs(finder, rows, rows, parts, inside, 2, seed=3)

    assert settled.votes == VOTERS
    first, others = [(3 + run, "all", True) for run in range(RUNS)], [(8 + run, None, False) for run in range(RUNS)]
    assert sorted(finder.asked, key=lambda asked: asked[0]) == first + others


def test_runs_that_are_not_to_be_thorough_each_choose_alone(random):
    rows, truth = show_two_heaps(random)
    finder = Weighing([truth] * RUNS, rows, [(1, 1)] * RUNS)
    settle_first(finder, [np.arange(200)] * VOTERS, 2, seed=0, thorough=False)

    assert sorted(finder.asked) == [(run, None, False) for run in range(RUNS)]


def test_groupings_that_part_one_thing_differently_are_compared_once_it_is_joined(random):
    rows, truth = show_two_heaps(random)
    odd = np.arange(200) % 2
    finder = FakeFinder([truth, odd, 1 - truth, odd, truth], rows)
    shown = []

    def join(run):
        shown.append(run)
        return Run(run.grouping, run.gains, truth) if run.ids is odd else run

    settled = settle_first(finder, [np.arange(200)] * VOTERS, 2, seed=0, join=join)

    assert same_division(settled.run.ids, truth)
    assert settled.agreement == pytest.approx(1) and settled.votes == 0
    assert len(shown) == RUNS
    assert [reach for _, _, reach in finder.asked] == [True] * RUNS
