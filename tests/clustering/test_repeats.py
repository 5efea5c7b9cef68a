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


def find_as(divisions, rows, names=None):
    """A finder that divides all rows as the next of the divisions says, by cues of the next of the names."""
    left = iter(zip(names or repeat("all"), divisions, strict=False))

    def find(part, seed, reach):
        name, ids = next(left)
        return Run(Grouping(name, (0, 1), make_mixture(rows, ids, 2)), {}, ids)

    return find


def test_each_run_sees_three_of_five_images_whole():
    for part in draw_parts([10] * 20, seed=0):
        assert np.bincount(part // 10).tolist().count(10) == len(part) // 10 == 12


def same_division(found, expected):
    return (found == expected).all() or (found == 1 - expected).all()


def settle(divisions, rows, **options):
    find = find_as(divisions, rows, options.pop("names", None))
    inside = options.pop("inside", np.zeros(len(rows), bool))
    return settle_runs(find, rows, rows, [np.arange(len(rows))] * VOTERS, inside, 2, seed=0, **options)


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
    assert settled.votes == VOTERS
    # the odd ones are alike to two of the other four, and to the truth by chance
    assert settled.agreement == pytest.approx(0.5, abs=0.03)
    assert settled.run.grouping.name == "all (10 of 10 groupings)"


def test_three_kinds_of_voters_are_named_and_the_others_counted(random):
    rows, truth = show_two_heaps(random)
    divisions = [random.permutation(truth) for _ in range(VOTERS)]
    settled = settle(divisions, rows, names=["colour"] * 4 + ["texture"] * 3 + ["place", "grain", "lines"])

    said = "colour (4 of 10 groupings), texture (3 of 10 groupings), place (1 of 10 groupings), others (2 of 10)"
    assert settled.run.grouping.name == said


@pytest.mark.parametrize(("plain", "known"), [(2, (0, 1, 2)), (3, (0, 1))])
def test_clusters_voted_for_know_all_learned_features_but_no_plain_cue_that_no_voter_believed(random, plain, known):
    rows, truth = show_two_heaps(random)
    wider = np.concatenate([rows, random.normal(0, 1, (200, 1)).astype(np.float32)], axis=1)
    odd = random.permutation(truth)
    # every run is of the first two axes; the third is a learned feature, or a plain cue
    find = find_as([odd, odd, odd, truth, truth] + [truth] * 5, rows)
    parts, inside = [np.arange(200)] * VOTERS, np.zeros(200, bool)
    settled = settle_runs(find, wider, wider[:, :plain], parts, inside, 2, seed=0)

    assert settled.votes == VOTERS
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
    settled = settle_first(find_as([odd, odd, odd, truth, truth], rows), [np.arange(200)] * VOTERS, 2, seed=0)

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

    def learn(run, part, others):
        seen.append((run.ids.tolist(), sorted(one.ids.tolist() for one in others)))
        return Run(run.grouping, run.gains, others[0].ids if (run.ids == odd).all() else run.ids)

    settled = settle([truth, odd, truth, truth, truth], rows, learn=learn)

    assert settled.agreement == pytest.approx(1)
    assert settled.votes == 0
    assert len(seen) == RUNS
    for own, others in seen:
        # the four beside it, and not itself
        assert sorted([*others, own]) == sorted([truth.tolist()] * 4 + [odd.tolist()])


def test_runs_made_because_the_first_ones_agree_little_stand_alone(random):
    rows, truth = show_two_heaps(random)
    divisions = [random.permutation(truth) for _ in range(VOTERS)]
    asked, learned, left = [], [], iter(divisions)

    def find(part, seed, reach):
        ids = next(left)
        asked.append((seed, reach))
        return Run(Grouping("all", (0, 1), make_mixture(rows, ids, 2)), {}, ids)

    def learn(run, part, others):
        learned.append(run)
        return run

    parts, inside = [np.arange(200)] * VOTERS, np.zeros(200, bool)
    settled = settle_runs(find, rows, rows, parts, inside, 2, seed=3, learn=learn)

    assert settled.votes == VOTERS
    assert sorted(asked) == [(3 + run, run < RUNS) for run in range(VOTERS)]
    assert len(learned) == RUNS
