"""Which cluster stands for which class, and what that scores."""

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import accuracy_score, jaccard_score

from fs4cli.evaluation.matching import fit_majority, fit_one_to_one, match_clusters, score_clusters


def test_pixels_of_a_spare_cluster_count_as_errors():
    scores = match_clusters(np.array([[6, 0], [0, 2], [2, 0]]))

    assert scores.class_of.tolist() == [0, 1, -1]
    assert scores.accuracy == pytest.approx(8 / 10)
    assert scores.class_iou.tolist() == pytest.approx([6 / 8, 2 / 2])
    assert scores.miou == pytest.approx((6 / 8 + 1) / 2)


def test_the_most_pixels_are_matched_even_if_no_pair_is_the_best_of_its_own():
    # greedy takes 10 and is left with 0; the best sum is 9 + 9
    assert fit_one_to_one(np.array([[10, 9], [9, 0]])).tolist() == [1, 0]


@pytest.mark.parametrize(("clusters", "classes"), [(3, 3), (5, 3), (3, 5), (1, 4), (4, 1)])
def test_the_matching_is_the_best_of_all(random, clusters, classes):
    for _ in range(20):
        confusion = random.integers(0, 30, (clusters, classes)) * random.integers(0, 2, (clusters, classes))
        side = max(clusters, classes)
        square = np.zeros((side, side), int)
        square[:clusters, :classes] = confusion
        best = max(sum(square[row, column] for row, column in enumerate(order)) for order in permutations(range(side)))
        class_of = fit_one_to_one(confusion)
        taken = class_of[class_of >= 0]
        assert sum(confusion[row, column] for row, column in enumerate(class_of) if column >= 0) == best
        assert len(set(taken.tolist())) == taken.size


def test_scores_equal_those_of_scikit_learn(random):
    labels = random.integers(0, 4, 3000)
    clusters = np.where(random.random(3000) < 0.7, (labels + 1) % 4, random.integers(0, 4, 3000))
    confusion = np.zeros((4, 4), int)
    np.add.at(confusion, (clusters, labels), 1)
    rows, columns = linear_sum_assignment(-confusion)
    named = dict(zip(rows, columns, strict=True))
    predicted = np.array([named[cluster] for cluster in clusters])

    scores = match_clusters(confusion)

    assert scores.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert scores.class_iou == pytest.approx(jaccard_score(labels, predicted, average=None))
    assert scores.miou == pytest.approx(jaccard_score(labels, predicted, average="macro"))


def test_the_numbering_of_clusters_does_not_matter(random):
    confusion = random.integers(0, 50, (6, 4)) * random.integers(0, 2, (6, 4))
    confusion[:, 2] = 0
    confusion[4] = 0
    expected = match_clusters(confusion)
    for _ in range(10):
        scores = match_clusters(confusion[random.permutation(6)])
        assert scores.accuracy == expected.accuracy
        assert scores.miou == expected.miou


def test_a_class_without_labels_and_without_a_cluster_is_left_out():
    scores = match_clusters(np.array([[5, 0, 0], [0, 5, 0]]))
    assert np.isnan(scores.class_iou[2])
    assert scores.miou == 1


def test_a_class_without_labels_that_a_cluster_was_left_for_counts_as_zero():
    scores = match_clusters(np.array([[5, 0, 0], [0, 5, 0], [1, 1, 0]]))
    assert scores.class_of.tolist() == [0, 1, 2]
    assert scores.class_iou.tolist() == pytest.approx([5 / 6, 5 / 6, 0])
    assert scores.miou == pytest.approx((5 / 6 + 5 / 6 + 0) / 3)
    assert scores.miou_present == pytest.approx(5 / 6)


def test_a_class_in_the_labels_without_a_cluster_counts_as_zero():
    assert match_clusters(np.array([[6, 2]])).class_iou.tolist() == pytest.approx([6 / 8, 0])


def test_a_cluster_without_a_pixel_stands_for_nothing():
    assert fit_one_to_one(np.array([[0, 0], [3, 0], [0, 3]])).tolist() == [-1, 0, 1]


def test_pixels_without_an_answer_are_errors():
    scores = match_clusters(np.array([[6, 0], [0, 3]]), unanswered=np.array([0, 1]))
    assert scores.accuracy == pytest.approx(9 / 10)
    assert scores.class_iou.tolist() == pytest.approx([1, 3 / 4])


def test_many_clusters_may_share_a_class():
    confusion = np.array([[6, 1], [5, 0], [0, 4], [0, 0]])
    class_of = fit_majority(confusion)
    assert class_of.tolist() == [0, 0, 1, -1]
    scores = score_clusters(confusion, class_of)
    assert scores.accuracy == pytest.approx(15 / 16)
    assert scores.class_iou.tolist() == pytest.approx([11 / 12, 4 / 5])


def test_a_matching_from_other_images_can_be_scored():
    scores = score_clusters(np.array([[1, 3], [0, 4]]), np.array([0, 1]))
    assert scores.accuracy == pytest.approx(5 / 8)
    assert scores.class_iou.tolist() == pytest.approx([1 / 4, 4 / 7])


def test_a_part_of_the_classes_keeps_what_it_loses_to_the_others():
    # things are classes 0 and 1; cluster 2 stands for the stuff class 2 but takes two pixels of thing 0
    confusion = np.array([[6, 0, 0], [0, 3, 1], [2, 0, 8]])
    scores = score_clusters(confusion, np.array([0, 1, 2]), classes=[0, 1])
    assert scores.accuracy == pytest.approx(9 / 11)
    assert scores.miou == pytest.approx((6 / 8 + 3 / 4) / 2)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 2)])
def test_nothing_counted_scores_nan_without_a_warning(shape, recwarn):
    nothing = np.zeros(shape, int)
    for scores in (match_clusters(nothing), score_clusters(nothing, fit_majority(nothing))):
        assert np.isnan(scores.accuracy)
        assert np.isnan(scores.miou)
    assert not recwarn
