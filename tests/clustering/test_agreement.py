"""NMI and the adjusted Rand index, from counts alone."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from fs4cli.clustering.agreement import adjusted_rand, mutual_information


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_both_equal_those_of_scikit_learn(random, noise):
    labels = random.integers(0, 5, 4000)
    clusters = np.where(random.random(4000) < noise, random.integers(0, 8, 4000), (labels * 3) % 7)
    confusion = np.zeros((8, 5), int)
    np.add.at(confusion, (clusters, labels), 1)
    assert mutual_information(confusion) == pytest.approx(normalized_mutual_info_score(labels, clusters), abs=1e-12)
    assert adjusted_rand(confusion) == pytest.approx(adjusted_rand_score(labels, clusters), abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "clusters"), [([0, 0, 0], [0, 0, 0]), ([0, 0, 0], [0, 1, 2]), ([0, 1, 2], [0, 0, 0]), ([0, 1], [1, 0])]
)
def test_degenerate_partitions_score_as_in_scikit_learn(labels, clusters):
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, (clusters, labels), 1)
    assert mutual_information(confusion) == pytest.approx(normalized_mutual_info_score(labels, clusters))
    assert adjusted_rand(confusion) == pytest.approx(adjusted_rand_score(labels, clusters))


def test_billions_of_pixels_do_not_overflow():
    confusion = np.diag([2_000_000_000, 3_000_000_000])
    assert mutual_information(confusion) == pytest.approx(1)
    assert adjusted_rand(confusion) == pytest.approx(1)


def test_nothing_counted_is_nan():
    assert np.isnan(mutual_information(np.zeros((2, 2), int)))
    assert np.isnan(adjusted_rand(np.zeros((2, 2), int)))
