import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from fs4cli.clustering import mixture
from fs4cli.clustering.kmeans import assign_nearest, fit_kmeans
from fs4cli.clustering.mixture import fit_mixture, fit_mixtures, guess_clusters, make_round_mixture, measure_gain


def draw_clusters(random, sizes, means, spread):
    rows = [random.normal(mean, spread, (size, len(mean))) for size, mean in zip(sizes, means, strict=True)]
    return np.concatenate(rows).astype(np.float32), np.repeat(np.arange(len(sizes)), sizes)


def agreement(found, truth):
    """Share of vectors that lie in the cluster that most of their class lie in."""
    return sum(np.bincount(found[truth == one]).max() for one in np.unique(truth)) / len(truth)


def test_a_class_of_nine_tenths_stays_whole_where_k_means_halves_it(random):
    vectors, truth = draw_clusters(random, (1800, 200), ((0, 0), (4, 0)), (1.0, 5.0))
    plain, whitened = (guess_clusters(vectors, 2, seed=0, whiten=whiten) for whiten in (False, True))
    found = fit_mixture(vectors, 2, [plain, whitened]).logits(vectors).argmax(1)

    assert max(np.bincount(plain)) < 1300
    assert max(np.bincount(found)) > 1700
    assert agreement(found, truth) > 0.95


def test_an_axis_on_which_all_clusters_vary_alike_does_not_count(random):
    vectors, truth = draw_clusters(random, (500, 500), ((0, 0), (3, 0)), (0.5, 4.0))
    whitened = guess_clusters(vectors, 2, seed=0, whiten=True)
    found = fit_mixture(vectors, 2, [whitened]).logits(vectors).argmax(1)
    by_distance = assign_nearest(vectors, fit_kmeans(vectors, 2, seed=0).centroids)[0]

    assert agreement(by_distance, truth) < 0.7
    assert agreement(found, truth) > 0.99


def test_the_likeliest_guess_is_kept(random):
    vectors, truth = draw_clusters(random, (500, 500), ((0, 0), (10, 0)), (1.0, 1.0))
    found = fit_mixture(vectors, 2, [np.zeros_like(truth), truth]).logits(vectors).argmax(1)

    np.testing.assert_array_equal(found, truth)


def test_telling_two_clouds_apart_gains_and_cutting_one_cloud_gains_nothing(random):
    two, truth = draw_clusters(random, (500, 500), ((0, 0), (10, 0)), (1.0, 1.0))
    across = (two[:, 1] > 0).astype(np.int64)

    assert measure_gain(two, truth, 2) > 0.8
    assert measure_gain(two, across, 2) < 0.05
    assert measure_gain(two, np.zeros_like(truth), 2) == pytest.approx(0, abs=1e-3)


def test_a_round_mixture_assigns_to_the_nearest_centroid(random):
    vectors, _ = draw_clusters(random, (300, 300, 300), ((0, 0), (2, 1), (1, 3)), (1.0, 2.0))
    centroids = fit_kmeans(vectors, 3, seed=0).centroids

    found = make_round_mixture(vectors, centroids).logits(vectors).argmax(1)
    np.testing.assert_array_equal(found, assign_nearest(vectors, centroids)[0])


def test_without_ridge_it_is_the_tied_mixture_of_scikit_learn(random, monkeypatch):
    monkeypatch.setattr(mixture, "RIDGE", 0.0)
    monkeypatch.setattr(mixture, "NOISE", 1e-4)
    vectors, truth = draw_clusters(random, (600, 300, 100), ((0, 0), (4, 1), (1, 5)), (1.0, 1.0))
    fitted = fit_mixture(vectors, 3, [truth])
    means = np.stack([vectors[truth == one].mean(0) for one in range(3)])
    oracle = GaussianMixture(3, covariance_type="tied", means_init=means, tol=1e-7, max_iter=200).fit(vectors)

    np.testing.assert_allclose(np.exp(fitted.log_shares), oracle.weights_, atol=0.01)
    np.testing.assert_allclose(fitted.means @ np.linalg.inv(fitted.whitening).T, oracle.means_, atol=0.05)
    assert (fitted.logits(vectors).argmax(1) == oracle.predict(vectors)).mean() > 0.995


def test_an_axis_without_variance_changes_nothing(random):
    vectors, truth = draw_clusters(random, (500, 500), ((0, 0), (6, 0)), (1.0, 1.0))
    padded = np.concatenate([vectors, np.full((1000, 2), 3, np.float32)], axis=1)
    plain = fit_mixture(vectors, 2, [truth]).logits(vectors)
    found = fit_mixture(padded, 2, [truth]).logits(padded)

    np.testing.assert_allclose(found[:, 0] - found[:, 1], plain[:, 0] - plain[:, 1], rtol=1e-5, atol=1e-5)


def test_mixtures_from_several_guesses_are_those_of_each_guess_alone(random):
    vectors, truth = draw_clusters(random, (500, 300, 200), ((0, 0), (4, 0), (0, 5)), (1.0, 1.0))
    guesses = [truth, random.permutation(truth), np.arange(1000) % 3, (truth + 1) % 3]

    for number, found in enumerate(fit_mixtures(vectors, 3, guesses)):
        alone = fit_mixture(vectors, 3, [guesses[number]])
        np.testing.assert_allclose(found.logits(vectors), alone.logits(vectors), rtol=1e-3, atol=1e-3)


def test_so_many_guesses_that_they_are_worked_on_in_parts_are_all_there(random, monkeypatch):
    vectors, truth = draw_clusters(random, (500, 500), ((0, 0), (6, 0)), (1.0, 1.0))
    monkeypatch.setattr(mixture, "_TOGETHER", 4_000)  # two guesses of two clusters and a thousand vectors
    found = fit_mixtures(vectors, 2, [truth, 1 - truth, truth])

    assert [one.logits(vectors).argmax(1)[0] for one in found] == [truth[0], 1 - truth[0], truth[0]]


def test_vectors_far_from_nought_are_told_apart_as_those_about_it(random):
    vectors, truth = draw_clusters(random, (500, 500), ((0, 0), (4, 0)), (1.0, 1.0))
    plain = fit_mixture(vectors, 2, [truth]).logits(vectors)
    moved = vectors + np.float32(1000)
    found = fit_mixture(moved, 2, [truth]).logits(moved)

    # 1000 in single precision is told to 6e-5
    np.testing.assert_allclose(found[:, 0] - found[:, 1], plain[:, 0] - plain[:, 1], atol=5e-3)
