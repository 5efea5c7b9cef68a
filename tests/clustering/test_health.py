"""Is the clustering collapsing?"""

from dataclasses import replace

import numpy as np
import pytest

from fs4cli.clustering.health import Health, count_edges, explain_unused, find_collapse, find_lost, measure_health


def _measure(counts: list[list[float]], edges: int = 0) -> Health:
    rows = np.array(counts, float)
    return measure_health(rows, np.full(len(rows), edges), rows.sum(1).astype(int))


def test_four_equal_clusters_are_four_effective_ones():
    health = _measure([[5, 5, 5, 5], [5, 5, 5, 5]])
    assert health.effective_clusters == pytest.approx(4)
    assert health.largest_share == pytest.approx(1 / 4)
    assert health.single_cluster_images == 0


def test_one_cluster_is_one_effective_cluster():
    health = _measure([[20, 0, 0], [20, 0, 0]])
    assert health.effective_clusters == pytest.approx(1)
    assert health.largest_share == 1
    assert health.single_cluster_images == 1


def test_effective_clusters_are_the_exponential_of_the_entropy():
    # shares 1/2, 1/4, 1/4: entropy 1.5 bits
    assert _measure([[2, 1, 1]]).effective_clusters == pytest.approx(2**1.5)


def test_images_nine_tenths_of_which_lie_in_one_cluster_are_counted():
    health = _measure([[9, 1], [1, 9], [8, 2], [5, 5]])
    assert health.single_cluster_images == 2 / 4


def test_borders_are_pairs_of_unlike_neighbours():
    assert count_edges(np.array([[0, 0], [0, 0]])) == 0
    assert count_edges(np.array([[0, 1], [1, 0]])) == 4
    assert count_edges(np.array([[0, 0, 1], [0, 0, 1]])) == 2
    assert _measure([[50, 50]], edges=10).borders == 100  # 10 of 100 pixels, a thousand times


def test_figures_are_json_with_four_digits():
    assert _measure([[2, 1, 1]]).as_dict()["effective_clusters"] == 2.8284


def test_what_was_not_measured_is_not_in_the_json_and_not_in_the_words():
    first, later = _measure([[2, 1, 1]]), replace(_measure([[2, 1, 1]]), view_agreement=0.914, round_nmi=0.5)
    assert "view_agreement" not in first.as_dict() and later.as_dict()["view_agreement"] == 0.914
    assert first.explain() == "2.8 effective clusters, the largest has 50 %, 0 % of the images in one"
    assert later.explain() == f"{first.explain()}, views agree on 91 %, NMI with the round before 0.50"


def _health(effective: float = 8.0, borders: float = 100.0) -> Health:
    return Health(effective, largest_share=0.3, single_cluster_images=0.1, borders=borders)


def test_half_the_clusters_gone_is_one_background():
    verdict = find_collapse(_health(8.0), _health(4.0))
    assert verdict is not None and verdict.kind == "merging"
    assert "one background: 8.0 effective clusters became 4.0" in verdict.words


def test_thrice_the_borders_is_clutter():
    verdict = find_collapse(_health(borders=100.0), _health(borders=300.0))
    assert verdict is not None and verdict.kind == "shattering"
    assert "shattering: 100 borders per thousand pixels became 300" in verdict.words


@pytest.mark.parametrize(
    "after", [_health(), _health(7.0), _health(20.0), _health(borders=219.0), _health(borders=0.0)]
)
def test_other_changes_are_training(after):
    assert find_collapse(_health(), after) is None


def test_a_background_that_always_was_there_is_no_collapse():
    assert find_collapse(_health(1.2), _health(1.1)) is None


def test_a_rare_cluster_that_is_gone_is_no_collapse_but_lost():
    before = np.array([0.5, 0.46, 0.01, 0.004, 0.026])
    after = np.array([0.52, 0.47, 0.0009, 0.0, 0.0091])

    assert find_lost(before, after) == (2,)  # 3 was as good as not there; of 4 a third is left
    assert find_lost(before, before) == ()


def test_classes_without_pixels_are_counted_in_words():
    assert explain_unused(np.array([0.5, 0.49, 0.01])) is None
    assert explain_unused(np.array([0.5, 0.5, 0.0])).startswith("1 of 3 classes holds no pixels")
    assert explain_unused(np.array([1.0, 0.0, 0.0])).startswith("2 of 3 classes hold no pixels")
