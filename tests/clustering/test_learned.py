import numpy as np
import pytest

from fs4cli.clustering.learned import fit_feature_clusters, normalize
from fs4cli.clustering.pixels import PixelMaps


def make_maps(directions: list[tuple[float, float]], random: np.random.Generator) -> PixelMaps:
    """A row of pixels for each direction, of any length and with a little noise; the cues are all alike."""
    rows = [np.array(one) * random.uniform(1, 9, (6, 1)) + random.normal(0, 0.01, (6, 2)) for one in directions]
    return PixelMaps(np.stack(rows).astype(np.float32), np.zeros((len(rows), 6, 9), np.float32))


def test_features_are_grouped_by_direction_whatever_their_length(random):
    maps = make_maps([(1, 0), (0, 1)], random)
    clusters = fit_feature_clusters([maps], 2, number=1, seed=0)

    shares = clusters.assign(maps)
    ids = shares.argmax(2)
    assert set(ids[0]) != set(ids[1]) and len(set(ids[0])) == len(set(ids[1])) == 1
    assert shares.sum(2) == pytest.approx(1, abs=1e-5)
    assert clusters.summary["shares"] == [0.5, 0.5] and not clusters.summary["with_place"]


def test_the_same_seed_finds_the_same_clusters(random):
    images = [make_maps([(1, 0), (0, 1), (-1, 0.5)], random) for _ in range(3)]
    first, second = (fit_feature_clusters(iter(images), 3, number=3, seed=5) for _ in range(2))

    assert (first.centroids == second.centroids).all()


def test_a_feature_of_nothing_but_zeros_stays_so():
    assert not normalize(np.zeros((2, 3), np.float32)).any()


def test_there_must_be_as_many_pixels_as_classes(random):
    with pytest.raises(ValueError, match="13 clusters need at least as many vectors"):
        fit_feature_clusters([make_maps([(1, 0), (0, 1)], random)], 13, number=1, seed=0)
