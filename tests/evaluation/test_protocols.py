"""Each protocol's arithmetic on counts small enough to check by hand, and against the published formulas."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from fs4cli.errors import UsageError
from fs4cli.evaluation.confusion import Tally
from fs4cli.evaluation.matching import score_classes
from fs4cli.evaluation.protocols import PROTOCOLS, choose_halves, find_protocol, judge, slice_as_released

SPARE = [[6, 0], [0, 4], [2, 3]]  # two classes, three clusters: the third is left over


def tally(confusion, unanswered=None) -> Tally:
    confusion = np.array(confusion, np.int64)
    missing = np.zeros(confusion.shape[1], np.int64) if unanswered is None else np.array(unanswered, np.int64)
    return Tally(confusion=confusion, unanswered=missing, images=1)


def scores(name, confusion, *, other=None, unanswered=None):
    first = tally(confusion, unanswered)
    verdict = judge(PROTOCOLS[name], (first, tally(np.zeros_like(first.confusion) if other is None else other)))
    return score_classes(verdict.one_to_one, zeros=verdict.zeros), verdict


@pytest.mark.parametrize(
    ("name", "accuracy", "miou"),
    [
        ("full", 10 / 15, (6 / 8 + 4 / 7) / 2),  # its pixels are errors
        ("iic", 10 / 15, (6 / 8 + 4 / 7) / 2),
        ("picie", 10 / 15, (6 / 8 + 4 / 7 + 0) / 3),  # it is a class of its own, with IoU 0
        ("stego", 10 / 10, 1.0),  # its pixels are not looked at
    ],
)
def test_a_spare_cluster_is_what_the_protocol_makes_of_it(name, accuracy, miou):
    found, _ = scores(name, SPARE)
    assert found.accuracy == pytest.approx(accuracy)
    assert found.miou == pytest.approx(miou)


def test_stego_drops_by_id_whatever_the_cluster_is_worth():
    found, verdict = scores("stego", [[2, 3], [0, 4], [6, 0]], unanswered=[1, 0])
    # cluster 2 is the best for class 0, but its id is no class: 6 pixels go, and the one without an answer
    assert found.accuracy == pytest.approx(6 / 9)
    assert verdict.dropped.tolist() == [7, 0]


def test_pixels_without_an_answer_are_errors_elsewhere():
    for name in ("full", "picie", "iic"):
        found, verdict = scores(name, [[3, 0], [0, 4]], unanswered=[1, 0])
        assert found.accuracy == pytest.approx(7 / 8)
        assert verdict.dropped.sum() == 0


def test_honest_scores_each_half_with_the_matching_of_the_other():
    found, verdict = scores("honest", [[5, 0], [0, 5]], other=[[1, 4], [3, 2]])
    # the halves disagree: 1 + 2 of 10 are right with the first's matching, none of 10 with the second's
    assert [fold.class_of.tolist() for fold in verdict.folds] == [[0, 1], [1, 0]]
    assert found.accuracy == pytest.approx((1 + 2 + 0) / 20)
    assert scores("full", [[5, 0], [0, 5]], other=[[1, 4], [3, 2]])[0].accuracy == pytest.approx((6 + 7) / 20)


def test_honest_does_not_count_a_class_that_the_other_half_never_shows():
    found, verdict = scores("honest", [[5, 0, 0], [0, 5, 0], [0, 0, 0]], other=[[5, 0, 0], [0, 4, 0], [0, 1, 7]])
    assert verdict.dropped.tolist() == [0, 0, 7]
    # of the second half, 9 of 10 pixels are right: cluster 2 stands for nothing in the first
    assert found.accuracy == pytest.approx((10 + 9) / 20)
    assert np.isnan(found.class_iou[2])
    assert found.class_iou[1] == pytest.approx(9 / 10)


def test_a_cluster_left_over_in_the_fitting_half_takes_no_free_class():
    _, verdict = scores("honest", [[5, 0], [2, 0]], other=[[5, 0], [0, 3]])
    assert verdict.folds[0].class_of.tolist() == [0, -1]


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_perfect_counts_score_one_whatever_the_ids_and_wrong_ones_do_not(name, random):
    perfect = np.diag([50, 40, 30, 20])
    for order in (np.arange(4), random.permutation(4)):
        found, _ = scores(name, perfect[order], other=perfect[order])
        assert (found.accuracy, found.miou) == (1.0, 1.0)
    merged = perfect.copy()
    merged[2] += merged[3]
    merged[3] = 0
    found, _ = scores(name, merged, other=merged)
    assert found.accuracy == pytest.approx(120 / 140)


def test_picie_and_stego_agree_with_their_formulas_on_a_random_matrix(random):
    confusion = random.integers(0, 1000, (9, 9))
    # utils.py of PiCIE: rows are classes, columns clusters
    histogram = confusion.T.astype(float)
    rows, columns = linear_sum_assignment(histogram.max() - histogram)
    ordered = np.zeros((9, 9))
    ordered[columns] = histogram[rows]
    hit, low, high = np.diag(ordered), ordered.sum(0), ordered.sum(1)
    iou = hit / (low + high - hit)
    for name in ("picie", "stego", "iic", "full"):
        found, _ = scores(name, confusion)
        assert found.accuracy == pytest.approx(hit.sum() / ordered.sum())
        assert found.miou == pytest.approx(np.nanmean(iou))
    # and its Table 2, cut out of the rows in the clusters' order
    released = slice_as_released(tally(confusion), 4)
    for part, cut in (("things", ordered[:4, :4]), ("stuff", ordered[4:, 4:])):
        hit = np.diag(cut)
        assert released[part]["accuracy"] == pytest.approx(hit.sum() / cut.sum())
        assert released[part]["miou"] == pytest.approx(np.nanmean(hit / (cut.sum(0) + cut.sum(1) - hit)))


def test_partitions_by_class_keep_what_they_lose_to_the_other_and_the_released_ones_do_not():
    # two things, one stuff class; half of the first thing is taken for stuff
    counts = [[5, 0, 0], [0, 4, 0], [5, 0, 6]]
    verdict = judge(PROTOCOLS["full"], (tally(counts), tally(np.zeros((3, 3)))))
    things = score_classes(verdict.one_to_one, classes=[0, 1])
    assert things.accuracy == pytest.approx(9 / 14)
    assert things.miou == pytest.approx((5 / 10 + 1) / 2)
    assert score_classes(verdict.one_to_one, classes=[2]).miou == pytest.approx(6 / 11)
    assert slice_as_released(tally(counts), 2) == {
        "things": {"accuracy": 1.0, "miou": 1.0},
        "stuff": {"accuracy": 1.0, "miou": 1.0},
    }


def test_released_partitions_hang_on_the_numbering_of_the_clusters():
    counts = np.array([[5, 1, 2], [1, 4, 1], [3, 1, 6]])
    assert slice_as_released(tally(counts), 2) != slice_as_released(tally(counts[[2, 0, 1]]), 2)


def test_halves_are_the_same_each_time_and_equal_within_one():
    names = [f"{index:012}" for index in range(21)]
    halves = choose_halves(names)
    assert sorted(np.bincount(halves).tolist()) == [10, 11]
    order = np.random.default_rng(1).permutation(21)
    assert (choose_halves([names[index] for index in order]) == halves[order]).all()
    assert 0 < np.count_nonzero(np.diff(halves)) < 20


def test_an_unknown_protocol_is_refused():
    with pytest.raises(UsageError, match="no protocol `paper`"):
        find_protocol("paper")
