"""Counts of clusters on classes."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from fs4cli.errors import InputError
from fs4cli.evaluation.confusion import Tally, close_classes, count_confusion, count_image


def test_each_pixel_is_counted_where_its_cluster_meets_its_class():
    clusters = np.array([[0, 0, 1], [1, 2, 2]])
    labels = np.array([[0, 0, 0], [1, 1, 1]])
    counts = count_image(clusters, labels)
    assert counts.confusion.tolist() == [[2, 0], [1, 1], [0, 2]]
    assert counts.void == 0


def test_void_and_pixels_without_an_answer_stand_apart():
    clusters = np.array([[0, -1, -1, 1]])
    labels = np.array([[0, 1, -1, -1]])
    counts = count_image(clusters, labels)
    assert counts.confusion.tolist() == [[1, 0], [0, 0]]
    assert counts.unanswered.tolist() == [0, 1]
    assert counts.void == 2


def test_counts_equal_those_of_scikit_learn(random):
    clusters = random.integers(0, 7, (50, 40))
    labels = random.integers(0, 5, (50, 40))
    # its rows are the truth, ours are the clusters
    expected = confusion_matrix(labels.ravel(), clusters.ravel(), labels=range(7)).T[:, :5]
    assert (count_confusion(clusters, labels)[1:, 1:] == expected).all()


def test_an_image_of_void_adds_nothing():
    tally = Tally()
    tally.add(count_image(np.zeros((2, 2), int), np.full((2, 2), -1)))
    assert (tally.images, tally.pixels, tally.void, tally.boundary_images) == (1, 0, 4, 0)


def test_the_sum_grows_as_ids_turn_up():
    tally = Tally()
    tally.add(count_image(np.array([[0]]), np.array([[2]])))
    tally.add(count_image(np.array([[3, 0]]), np.array([[0, 2]])))
    assert tally.confusion.tolist() == [[0, 0, 2], [0, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert tally.class_pixels.tolist() == [1, 0, 2]
    assert tally.pixels == 3
    tally.reserve(5, 3)
    assert tally.confusion.shape == (5, 3)


def test_small_types_do_not_overflow():
    clusters = np.full((300, 300), 250, np.uint8)
    labels = np.full((300, 300), 200, np.int32)
    assert count_image(clusters.astype(np.int16), labels).confusion[250, 200] == 90000


def test_classes_seen_make_the_table_where_there_is_none():
    tally = Tally()
    tally.add(count_image(np.array([[0, 1, 1]]), np.array([[5, 2, -1]])))
    table = close_classes(tally, 255)
    assert table.names == ("class-2", "class-5")
    assert tally.confusion.tolist() == [[0, 1], [1, 0]]


def test_a_thousand_ids_are_too_many_for_classes():
    tally = Tally()
    tally.add(count_image(np.zeros((1, 1001), int), np.arange(1001)[None]))
    with pytest.raises(InputError, match="1001 different ids"):
        close_classes(tally, 255)
