"""PGG: cells of a level to soft labels."""

import numpy as np
import pytest

from fs4cli.clustering import pyramid
from fs4cli.clustering.pyramid import fit_whitening, group_cells


@pytest.fixture
def planted(random) -> tuple[np.ndarray, np.ndarray]:
    """40 images of 4 cells, each cell one of 3 kinds in equal numbers, 8 wide; and the kinds."""
    kinds = random.permutation(np.repeat(np.arange(3), [54, 53, 53])).reshape(40, 4)
    middles = random.normal(size=(3, 8)) * 5
    return (middles[kinds] + random.normal(size=(40, 4, 8)) * 0.3).astype(np.float32), kinds


def _pairs(ids: np.ndarray, kinds: np.ndarray) -> int:
    return len(set(zip(ids.ravel().tolist(), kinds.ravel().tolist(), strict=True)))


def test_whitened_vectors_are_uncorrelated_with_unit_variance(random):
    turned = np.linalg.qr(random.normal(size=(6, 6)))[0]
    vectors = (random.normal(size=(500, 6)) * [1, 2, 3, 4, 5, 6] @ turned + 3).astype(np.float32)
    mean, matrix = fit_whitening(vectors, 6)
    white = (vectors - mean) @ matrix
    assert np.allclose(np.cov(white.T), np.eye(6), atol=1e-2)
    assert np.abs(white.mean(0)).max() < 1e-3


def test_the_widest_directions_are_kept(random):
    vectors = (random.normal(size=(500, 3)) * [1, 10, 0.1]).astype(np.float32)
    _, matrix = fit_whitening(vectors, 2)
    assert np.abs(matrix).argmax(0).tolist() == [1, 0]
    assert (matrix[[1, 0], [0, 1]] > 0).all(), "an eigenvector's sign is arbitrary: the largest entry is positive"


def test_directions_without_variance_are_dropped(random):
    line = (random.normal(size=(100, 1)) * np.ones((1, 5))).astype(np.float32)
    assert fit_whitening(line, 5)[1].shape == (5, 1)


@pytest.mark.parametrize("balanced", [True, False])
def test_cells_of_one_kind_get_one_label(planted, balanced):
    features, kinds = planted
    level = group_cells(features, 3, seed=0, balanced=balanced)
    assert level.labels.shape == (40, 4, 3)
    assert np.allclose(level.labels.sum(2), 1, atol=1e-5)
    assert np.array_equal(level.confidence, level.labels.max(2))
    assert _pairs(level.labels.argmax(2), kinds) == 3
    assert np.allclose(np.linalg.norm(level.centroids, axis=1), 1, atol=1e-5)


def test_balanced_labels_are_nearer_to_equal_shares(random):
    # nine tenths of the cells are of one kind
    rare = random.random((100, 1, 1)) < 0.1
    features = (np.where(rare, 3, 0) + random.normal(size=(100, 1, 4))).astype(np.float32)
    balanced, nearest = (
        group_cells(features, 4, seed=0, balanced=balanced).labels.sum((0, 1)) for balanced in (True, False)
    )
    assert np.abs(balanced - 25).max() < 0.7 * np.abs(nearest - 25).max()


def test_labels_do_not_depend_on_the_scale_of_a_channel(planted):
    features, kinds = planted
    stretched = features * np.array([10, 1, 1, 1, 1, 1, 1, 0.5], np.float32)
    assert _pairs(group_cells(stretched, 3, seed=0).labels.argmax(2), kinds) == 3


def test_the_same_seed_gives_the_same_labels(planted):
    features, _ = planted
    one, same = (group_cells(features, 5, seed=2) for _ in range(2))
    assert np.array_equal(one.labels, same.labels)


def test_more_cells_than_are_looked_at_are_labelled_block_by_block(planted, monkeypatch):
    features, kinds = planted
    monkeypatch.setattr(pyramid, "SAMPLE", 64)
    level = group_cells(features, 3, seed=0)
    assert _pairs(level.labels.argmax(2), kinds) == 3
    assert np.allclose(level.labels.sum(2), 1, atol=1e-5)


def test_images_of_one_kind_in_a_row_are_not_cut_up_to_fill_all_labels(planted, monkeypatch):
    features, kinds = planted
    order = kinds.ravel().argsort(kind="stable")
    monkeypatch.setattr(pyramid, "SAMPLE", 54)  # as many as there are cells of the first kind
    level = group_cells(features.reshape(160, 1, 8)[order], 3, seed=0)
    assert _pairs(level.labels.argmax(2), kinds.ravel()[order]) == 3


def test_fewer_cells_than_clusters_are_refused():
    with pytest.raises(ValueError, match="5 clusters need"):
        group_cells(np.eye(4, dtype=np.float32)[None], 5, seed=0)


@pytest.mark.parametrize("count", [1, 6])
def test_cells_that_are_all_alike_have_labels_all_the_same(count):
    level = group_cells(np.full((count, 1, 4), 2.5, np.float32), 1, seed=0)
    assert level.labels.tolist() == [[[1.0]]] * count


def test_a_network_that_says_the_same_of_everything_does_not_stop_the_grouping():
    level = group_cells(np.full((10, 4, 4), 2.5, np.float32), 3, seed=0)
    assert np.allclose(level.labels, 1 / 3, atol=1e-3)
