import numpy as np
import pytest
from skimage.color import rgb2lab
from sklearn.cluster import KMeans

from fs4cli.demo.materials import MATERIALS, PALETTE
from fs4cli.demo.scenes import HEIGHT, WIDTH, draw_scene
from fs4cli.evaluation.matching import match_clusters


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(0, index) for index in range(40)]


def test_a_scene_is_the_same_for_the_same_seed_and_index():
    one, again = draw_scene(3, 5), draw_scene(3, 5)

    assert np.array_equal(one.pixels, again.pixels)
    assert np.array_equal(one.labels, again.labels)


@pytest.mark.parametrize("seed, index", [(3, 6), (4, 5)])
def test_another_seed_or_index_is_another_scene(seed, index):
    assert (draw_scene(seed, index).labels != draw_scene(3, 5).labels).mean() > 0.1


def test_the_truth_covers_every_pixel(scenes):
    for scene in scenes:
        assert scene.pixels.shape == (HEIGHT, WIDTH, 3)
        assert scene.labels.shape == (HEIGHT, WIDTH)
        assert scene.labels.max() < len(MATERIALS) == len(PALETTE)


def test_every_material_has_its_share_and_none_rules(scenes):
    shares = np.bincount(np.stack([scene.labels for scene in scenes]).ravel(), minlength=len(MATERIALS)) / (
        len(scenes) * HEIGHT * WIDTH
    )

    assert shares.min() > 0.05
    assert shares.max() < 0.4


def test_the_picture_shows_what_the_truth_says(scenes):
    """The borders of the truth lie on edges of the picture: drawn and labelled by the same shapes."""
    on, off = [], []
    for scene in scenes:
        step = np.abs(np.diff(scene.pixels.astype(float), axis=1)).sum(axis=-1)
        border = np.diff(scene.labels.astype(int), axis=1) != 0
        on.append(step[border].mean())
        off.append(step[~border].mean())

    assert np.mean(on) > 1.5 * np.mean(off)


@pytest.mark.parametrize("height, width", [(96, 128), (33, 200), (200, 32)])
def test_scenes_come_in_any_size_from_32_pixels(height, width):
    assert draw_scene(0, 1, height=height, width=width).pixels.shape == (height, width, 3)


def test_smaller_scenes_are_refused_by_their_size():
    with pytest.raises(ValueError, match="31 x 64"):
        draw_scene(0, 0, height=31, width=64)


def _score(scenes, describe):
    """Accuracy and mIoU of k-means with as many clusters as materials, fitted and matched on the same pixels."""
    vectors = np.concatenate([describe(scene)[::6, ::6].reshape(-1, describe(scene).shape[-1]) for scene in scenes])
    labels = np.concatenate([scene.labels[::6, ::6].ravel() for scene in scenes])
    clusters = KMeans(len(MATERIALS), n_init=2, random_state=0).fit_predict(vectors)
    confusion = np.zeros((len(MATERIALS), len(MATERIALS)), np.int64)
    np.add.at(confusion, (clusters, labels), 1)
    scores = match_clusters(confusion)
    return scores.accuracy, scores.miou


def test_colour_alone_tells_some_materials_apart_but_not_most(scenes):
    accuracy, miou = _score(scenes, lambda scene: rgb2lab(scene.pixels))

    assert 0.3 < accuracy < 0.55
    assert 0.18 < miou < 0.38


def test_position_alone_tells_little(scenes):
    y, x = np.mgrid[:HEIGHT, :WIDTH] / HEIGHT
    _, miou = _score(scenes, lambda scene: np.stack([y, x], axis=-1))

    assert miou < 0.22


@pytest.mark.parametrize("one, other", [("sky", "water"), ("grass", "foliage"), ("rock", "building"), ("rock", "road")])
def test_materials_share_their_colours(scenes, one, other):
    """The best threshold between the two on any axis of Lab is wrong for more than one in eight."""
    lab = np.concatenate([rgb2lab(scene.pixels)[::3, ::3].reshape(-1, 3) for scene in scenes])
    labels = np.concatenate([scene.labels[::3, ::3].ravel() for scene in scenes])
    first, second = lab[labels == MATERIALS.index(one)], lab[labels == MATERIALS.index(other)]
    for axis in range(3):
        cuts = np.percentile(lab[:, axis], np.arange(1, 100))
        wrong = [((first[:, axis] > cut).mean() + (second[:, axis] <= cut).mean()) / 2 for cut in cuts]
        assert 1 / 8 < min(*wrong, *(1 - share for share in wrong))
