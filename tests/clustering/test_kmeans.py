"""k-means by faiss."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from fs4cli.clustering.kmeans import assign_nearest, fit_kmeans


@pytest.fixture
def blobs(random) -> np.ndarray:
    """300 vectors around 4 corners of a square of side 10."""
    corners = np.array([[0, 0], [0, 10], [10, 0], [10, 10]])
    return (corners.repeat(75, axis=0) + random.normal(size=(300, 2))).astype(np.float32)


def _sorted(centroids: np.ndarray) -> np.ndarray:
    return centroids[np.lexsort(centroids.round().T)]


def test_separated_blobs_are_found_as_by_scikit_learn(blobs):
    found = fit_kmeans(blobs, 4, seed=0)
    expected = KMeans(4, n_init=5, random_state=0).fit(blobs)
    assert np.allclose(_sorted(found.centroids), _sorted(expected.cluster_centers_), atol=1e-3)
    assert found.objective == pytest.approx(expected.inertia_ / 300, rel=1e-3)
    ids, distances = assign_nearest(blobs, found.centroids)
    assert len(set(zip(ids.tolist(), expected.labels_.tolist(), strict=True))) == 4
    assert distances.mean() == pytest.approx(found.objective, rel=1e-3)


def test_the_same_seed_gives_the_same_centroids(blobs):
    one, same, other = (fit_kmeans(blobs, 7, seed=seed).centroids for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_spherical_clusters_are_directions(random):
    axes = np.eye(3).repeat(50, axis=0) + random.normal(scale=0.05, size=(150, 3))
    vectors = (axes / np.linalg.norm(axes, axis=1, keepdims=True)).astype(np.float32)
    found = fit_kmeans(vectors, 3, seed=0, spherical=True)
    assert np.linalg.norm(found.centroids, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert sorted(found.centroids.argmax(1).tolist()) == [0, 1, 2]
    ids, cosines = assign_nearest(vectors, found.centroids, spherical=True)
    assert cosines.mean() == pytest.approx(found.objective, abs=1e-3)
    assert np.allclose((vectors * found.centroids[ids]).sum(1), cosines, atol=1e-5)


def test_a_warm_start_keeps_the_numbers_of_the_clusters(blobs):
    start = np.array([[10, 10], [0, 0], [10, 0], [0, 10]], np.float32)
    assert np.allclose(fit_kmeans(blobs, 4, seed=0, start=start).centroids, start, atol=0.5)


def test_every_vector_counts(random):
    # faiss left alone looks at 256 vectors a cluster and no more
    vectors = random.normal(size=(5000, 2)).astype(np.float32)
    assert np.allclose(fit_kmeans(vectors, 1, seed=0).centroids[0], vectors.mean(0), atol=1e-4)


def test_there_may_be_as_few_vectors_as_clusters_but_no_fewer():
    vectors = np.array([[0, 0], [1, 1], [5, 5]], np.float32)
    assert np.allclose(_sorted(fit_kmeans(vectors, 3, seed=0).centroids), vectors)
    with pytest.raises(ValueError, match="4 clusters need"):
        fit_kmeans(vectors, 4, seed=0)


def test_the_nearest_centroid_is_the_nearest():
    centroids = np.array([[0, 0], [3, 4]], np.float32)
    ids, distances = assign_nearest(np.array([[0, 1], [3, 2]], np.float32), centroids)
    assert ids.tolist() == [0, 1]
    assert distances.tolist() == [1, 4]


@pytest.fixture
def crowd(random) -> np.ndarray:
    """Two round crowds of 2000 vectors each, and 20 vectors far off."""
    centres = np.array([[0, 0], [6, 0], [0, 60]]).repeat([2000, 2000, 20], axis=0)
    return (centres + random.normal(size=centres.shape)).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
def test_a_few_vectors_far_off_are_found_from_starts_that_lie_far_apart(crowd, seed):
    found = fit_kmeans(crowd, 3, seed=seed, restarts=1, spread=True)

    assert found.centroids[:, 1].max() == pytest.approx(60, abs=1)
    assert np.array_equal(found.centroids, fit_kmeans(crowd, 3, seed=seed, restarts=1, spread=True).centroids)


@pytest.mark.parametrize("spread", [False, True])
def test_more_clusters_than_different_vectors_are_no_error(spread):
    vectors = np.ones((50, 3), np.float32)
    vectors[:3] = 2

    found = fit_kmeans(vectors, 5, seed=0, spread=spread)

    assert np.isfinite(found.centroids).all() and found.objective == pytest.approx(0, abs=1e-3)
