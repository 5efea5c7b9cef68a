"""Regions of an image, and texture that is one and the same in each."""

import numpy as np
import pytest
from scipy import ndimage

from fs4cli.clustering.pixels import PixelMaps, fit_pixel_clusters
from fs4cli.clustering.regions import FEWEST_CELLS, RIM_WEIGHT, average_texture, find_regions
from fs4cli.model.axes import AXES, TEXTURE


def draw_axes(height=24, width=32):
    """An image of one colour and one texture, place and all else 0."""
    return np.zeros((height, width, AXES), np.float32)


def count_regions(axes):
    return find_regions(axes).max() + 1


def test_a_step_of_colour_parts_two_regions_and_a_speck_of_few_cells_is_none():
    axes = draw_axes()
    axes[:, 16:, 0] = 1.0  # 25 units of L
    regions = find_regions(axes)

    assert count_regions(axes) == 2
    assert len(np.unique(regions[:, :16])) == len(np.unique(regions[:, 16:])) == 1
    axes[4, 4, 0] = 1.0
    assert FEWEST_CELLS > 1 and count_regions(axes) == 2
    axes[4:6, 4:6, 0] = 1.0
    assert count_regions(axes) == 3


def test_the_texture_of_a_region_is_the_mean_of_its_cells_inside():
    axes = draw_axes(2, 4)
    axes[..., TEXTURE[0]] = [[1, 2, 30, 40], [3, 4, 50, 60]]
    regions = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
    averaged = average_texture(axes, regions)

    # two cells of each lie beside the other one, and count a twentieth
    left, right = (
        (1 + 3 + RIM_WEIGHT * (2 + 4)) / (2 + 2 * RIM_WEIGHT),
        (40 + 60 + RIM_WEIGHT * 80) / (2 + 2 * RIM_WEIGHT),
    )
    np.testing.assert_allclose(averaged[..., TEXTURE[0]], np.where(regions, right, left), rtol=1e-6)


def test_averages_equal_those_of_scipy_where_regions_have_no_rim(random):
    axes = random.normal(0, 1, (5, 6, AXES)).astype(np.float32)
    regions = np.zeros((5, 6), int)
    averaged = average_texture(axes, regions)

    for axis in TEXTURE:
        expected = ndimage.mean(axes[..., axis], regions, 0)
        np.testing.assert_allclose(averaged[..., axis], expected, atol=1e-6)


def test_colour_lines_and_place_stay_those_of_the_cell(random):
    axes = random.normal(0, 1, (8, 8, AXES)).astype(np.float32)
    before = axes.copy()
    averaged = average_texture(axes, find_regions(axes))

    others = [axis for axis in range(AXES) if axis not in TEXTURE]
    np.testing.assert_array_equal(averaged[..., others], axes[..., others])
    np.testing.assert_array_equal(axes, before)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_maps_of_few_cells_have_regions_too(random, size):
    axes = random.normal(0, 1, (*size, AXES)).astype(np.float32)
    regions = find_regions(axes)

    assert regions.shape == size
    assert sorted(np.unique(regions)) == list(range(regions.max() + 1))
    assert np.isfinite(average_texture(axes, regions)).all()


def draw_textures(random, noise, step, count=10):
    """Images of four squares, `step` of colour apart, two with more contrast than the others; and where these are."""
    images, truths = [], []
    for _ in range(count):
        truth = np.kron(random.permutation([0, 0, 1, 1]).reshape(2, 2), np.ones((12, 12), int))
        axes = random.normal(0, 0.02, (24, 24, AXES)).astype(np.float32)
        squares = random.uniform(0, 1) + step * random.permutation(4).reshape(2, 2)
        axes[..., :9] += np.kron(squares, np.ones((12, 12)))[..., None]
        axes[..., TEXTURE] += truth[..., None] + random.normal(0, noise, (24, 24, len(TEXTURE)))
        images.append(PixelMaps(np.zeros((24, 24, 0), np.float32), axes))
        truths.append(truth)
    return images, truths


def score(masks, truths):
    right = np.mean([mask == truth for mask, truth in zip(masks, truths, strict=True)])
    return max(right, 1 - right)


def test_textures_that_cells_hardly_tell_are_told_by_regions(random):
    images, truths = draw_textures(random, noise=1.0, step=0.3)
    alone, regional = (fit_pixel_clusters(images, 2, number=10, seed=0, thorough=one) for one in (False, True))

    assert regional.by_region and regional.summary["texture_of_regions"] and not alone.by_region
    by_cells, by_regions = (score([one.assign(maps).argmax(2) for maps in images], truths) for one in (alone, regional))
    # two standard normal clouds on eleven axes, a unit apart on each: half of the root of 11 tells 0.951 right
    assert by_cells < 0.97 < by_regions
    # a model knows no regions: what it keeps is the nearest rule on the texture of cells
    kept = [(one.axes @ regional.rule.weights.T + regional.rule.offsets).argmax(2) for one in images]
    assert 0.8 < score(kept, truths) < by_regions


def test_textures_of_one_colour_are_told_by_their_cells(random):
    images, truths = draw_textures(random, noise=0.3, step=0.0)
    clusters = fit_pixel_clusters(images, 2, number=10, seed=0)

    # a region holds squares of both kinds, and its texture is that of neither
    assert not clusters.by_region
    assert score([clusters.assign(one).argmax(2) for one in images], truths) > 0.97


def test_clusters_of_colour_alone_ask_for_no_regions(random, monkeypatch):
    images = []
    for _ in range(6):
        axes = random.normal(0, 0.1, (12, 24, AXES)).astype(np.float32)
        axes[:, :12, 1:9:3] += 4
        images.append(PixelMaps(np.zeros((12, 24, 0), np.float32), axes))
    clusters = fit_pixel_clusters(images, 2, number=6, seed=0)
    monkeypatch.setattr("fs4cli.clustering.pixels.find_regions", lambda _: pytest.fail("regions were looked for"))

    assert not clusters.by_region
    np.testing.assert_array_equal(clusters.describe(images[0]), clusters.describe_pixels(images[0]))
