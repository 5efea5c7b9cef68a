"""Clusters that differ by little but lightness become one, and what is of a kind of its own stays."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from fs4cli.clustering import search
from fs4cli.clustering.joining import count_finer, join_clusters
from fs4cli.clustering.mixture import make_mixture
from fs4cli.clustering.pixels import PixelMaps, fit_pixel_clusters
from fs4cli.model.axes import describe_cues


def surround(means, counts, random):
    """Vectors around each mean, so many of each, and whose they are."""
    ids = np.repeat(np.arange(len(means)), counts)
    return np.asarray(means, float)[ids] + random.normal(0, 0.1, (len(ids), len(means[0]))), ids


@pytest.mark.parametrize(("classes", "clusters"), [(2, 3), (8, 12), (11, 16), (20, 30)])
def test_half_as_many_clusters_again_are_found_as_there_are_classes(classes, clusters):
    assert count_finer(classes) == clusters


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.data())
def test_clusters_of_one_size_are_joined_as_scipy_joins_them(seed, clusters, data):
    classes = data.draw(st.integers(1, clusters))
    random = np.random.default_rng(seed)
    vectors, ids = surround(random.normal(size=(clusters, 3)), 20, random)
    joined = join_clusters(vectors, ids, clusters, classes)
    means = make_mixture(vectors, ids, clusters).means
    expected = fcluster(linkage(means, "ward"), classes, "maxclust")

    assert adjusted_rand_score(joined, expected) == 1
    assert np.unique(joined).tolist() == list(range(classes))


def test_of_pairs_as_far_apart_the_smaller_is_joined_first(random):
    vectors, ids = surround([(0, 0), (1, 0), (0, 50), (1, 50)], [400, 400, 400, 40], random)

    assert join_clusters(vectors, ids, 4, 3).tolist() == [0, 1, 2, 2]
    assert join_clusters(vectors, ids, 4, 2).tolist() == [0, 0, 1, 1]


def test_a_cluster_without_pixels_costs_nothing_to_join(random):
    vectors, ids = surround([(0, 0), (9, 0)], [50, 50], random)

    assert len(np.unique(join_clusters(vectors, ids, 3, 2)[ids])) == 2


def draw_walls(random, *, is_grey):
    """Cues of a road below dark walls and light ones with small red things, and what a network says of them."""
    truth = np.zeros((24, 32), int)
    truth[12:] = 1
    for row, column in random.integers((2, 0), (9, 28), (3, 2)):
        truth[row : row + 3, column : column + 4] = 2
    cues = random.normal(0, 1.5, (24, 32, 16)).astype(np.float32)
    walls = np.repeat(random.choice([40, 70], 8), 4)
    cues[..., 0] += np.where(truth == 0, walls, np.array([0, 30, 55])[truth])
    cues[..., 1] += 0 if is_grey else np.array([0, 0, 14])[truth]
    cues[..., 1:3] *= 0.1 if is_grey else 1
    features = random.normal(0, 0.3, (24, 32, 4)).astype(np.float32)
    features[..., 0] += np.array([0, 2, 4])[truth]
    axes = describe_cues(torch.from_numpy(cues).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    return PixelMaps(features, axes), truth


def fit_walls(random, *, is_grey=False, has_features=True):
    drawn = [draw_walls(random, is_grey=is_grey) for _ in range(12)]
    width = 4 if has_features else 0
    maps = [PixelMaps(one.features[..., :width], one.axes) for one, _ in drawn]
    return fit_pixel_clusters(maps, 3, number=12, seed=0, is_exposed=True), maps, [truth for _, truth in drawn]


def score_worst(clusters, maps, truths):
    """Of the classes, matched one to one, the least share of its pixels that is found."""
    counts = np.zeros((3, 3), int)
    for one, truth in zip(maps, truths, strict=True):
        counts += np.bincount((truth * 3 + clusters.assign(one).argmax(2)).ravel(), minlength=9).reshape(3, 3)
    rows, columns = linear_sum_assignment(-counts)
    return (counts[rows, columns] / counts.sum(1)).min()


@pytest.fixture
def doubt(monkeypatch):
    """Groupings of images this plain agree; here that is not enough."""
    monkeypatch.setattr(search, "SURE", 1.1)
    monkeypatch.setattr(search, "USUAL_ENOUGH", 0.0)


@pytest.mark.usefixtures("doubt")
def test_dark_walls_and_light_ones_are_one_class_and_what_stands_before_them_another(random, monkeypatch):
    joined = fit_walls(random)
    monkeypatch.setattr(search, "count_finer", lambda classes: classes)
    alone = fit_walls(random)

    assert joined[0].summary["joined_from"] == count_finer(3)
    assert score_worst(*joined) > 0.8 > score_worst(*alone)


@pytest.mark.usefixtures("doubt")
@pytest.mark.parametrize("options", [{"is_grey": True}, {"has_features": False}])
def test_nothing_is_joined_where_lightness_is_all_there_is_or_nothing_was_learned(random, options):
    clusters, _, _ = fit_walls(random, **options)

    assert clusters.summary["usual_places"] and clusters.summary["joined_from"] == 0


@pytest.mark.usefixtures("doubt")
def test_nothing_is_joined_where_there_are_too_few_pixels_for_more_clusters(random, monkeypatch):
    monkeypatch.setattr(search, "FEWEST_VECTORS", 10_000)

    assert fit_walls(random)[0].summary["joined_from"] == 0


def test_nothing_is_joined_where_groupings_agree(random, monkeypatch):
    monkeypatch.setattr(search, "SURE", -1.0)

    assert fit_walls(random)[0].summary["joined_from"] == 0
