"""Do the borders lie where the labels have them?"""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, distance_transform_edt

from fs4cli.evaluation.boundary import BoundaryScore, find_borders, score_boundaries, widen


def halves(width: int, at: int, height: int = 6) -> np.ndarray:
    """0 left of column `at`, 1 from there on."""
    return np.repeat((np.arange(width) >= at).astype(int)[None], height, axis=0)


def test_a_border_lies_where_the_right_or_lower_neighbour_differs():
    assert find_borders(np.array([[0, 0, 1], [0, 0, 1], [2, 2, 2]])).astype(int).tolist() == [
        [0, 1, 0],
        [1, 1, 1],
        [0, 0, 0],
    ]


@pytest.mark.parametrize("radius", [1, 2, 3, 6, 11])
def test_widening_is_dilation_by_a_disk(random, radius):
    marks = random.random((40, 33)) < 0.01
    grid = np.arange(-radius, radius + 1)
    disk = grid[:, None] ** 2 + grid**2 <= radius**2
    expected = binary_dilation(marks, disk)
    assert marks.any()
    assert (widen(marks, radius) == expected).all()
    assert (expected == (distance_transform_edt(~marks) <= radius)).all()


def test_widening_beyond_the_picture_and_of_nothing():
    corner = np.zeros((3, 4), bool)
    assert not widen(corner, 5).any()
    corner[0, 0] = True
    assert widen(corner, 9).all()


def test_the_same_borders_score_one_whatever_the_ids():
    labels = np.array([[0, 0, 1, 1], [2, 2, 2, 2]])
    assert score_boundaries(np.array([[9, 9, 0, 0], [3, 3, 3, 3]]), labels) == BoundaryScore(1.0, 1.0)


def test_a_border_within_the_tolerance_is_right_and_one_beyond_is_wrong():
    # 200 x 6 pixels: the diagonal is 200.09, 0.75 % of it 1.5, so borders may be 2 pixels off
    labels = halves(200, 100)
    assert score_boundaries(halves(200, 102), labels).f == 1
    assert score_boundaries(halves(200, 103), labels).f == 0


def test_an_extra_border_costs_precision_and_a_missing_one_recall():
    one, two = halves(200, 100), halves(200, 100) + halves(200, 150)
    assert score_boundaries(two, one) == BoundaryScore(precision=0.5, recall=1.0)
    assert score_boundaries(one, two) == BoundaryScore(precision=1.0, recall=0.5)
    assert score_boundaries(two, one).f == pytest.approx(2 / 3)


def test_no_borders_on_either_side_is_right_and_on_one_side_is_wrong():
    plain = np.zeros((6, 200), int)
    assert score_boundaries(plain, plain).f == 1
    assert score_boundaries(plain, halves(200, 100)).f == 0
    assert score_boundaries(halves(200, 100), plain).f == 0


def test_a_border_on_or_near_void_is_held_against_nobody():
    labels = halves(200, 100)
    labels[:, 140:160] = -1
    in_void = labels.copy()
    in_void[:, 150:] = 7
    in_void[in_void < 0] = 1
    far = in_void.copy()
    far[:, 180:] = 8
    assert score_boundaries(in_void, labels) == BoundaryScore(1.0, 1.0)
    assert score_boundaries(far, labels) == BoundaryScore(precision=0.5, recall=1.0)
