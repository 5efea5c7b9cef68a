import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from fs4cli.clustering.light import LIGHT_ALIKE, is_light_uneven, measure_light
from fs4cli.clustering.pixels import PixelMaps, fit_pixel_clusters
from fs4cli.model.axes import AXES, describe_cues

TOP, BOTTOM = slice(0, 12), slice(12, 24)


def draw_lightness(random, lights):
    """The axes of images whose every pixel is as light as `lights` says, but for noise."""
    images = []
    for light in lights:
        axes = random.normal(0, 0.1, (24, 32, AXES)).astype(np.float32)
        axes[..., 0] += light
        images.append(axes)
    return images


def test_what_differs_by_one_number_an_image_is_light(random):
    assert measure_light(draw_lightness(random, range(10))) > 0.99


def test_images_of_one_lightness_say_nothing_of_light(random):
    assert measure_light(draw_lightness(random, [5] * 40)) < LIGHT_ALIKE
    assert measure_light([np.zeros((24, 32, AXES), np.float32)] * 10) == 0


def test_what_leaves_a_quarter_of_the_images_as_dark_as_it_was_is_no_light(random):
    images = draw_lightness(random, range(10))
    for axes in images:
        axes[18:, :, 0] = 2

    assert abs(measure_light(images)) < 1e-6


def test_one_place_of_sixteen_may_stay_as_dark_as_it_was(random):
    images = draw_lightness(random, range(10))
    for axes in images:
        axes[18:, 24:, 0] = 2

    assert measure_light(images) > 0.99


def test_what_darkens_some_places_as_it_lightens_others_is_no_light(random):
    images = draw_lightness(random, range(-5, 5))
    for axes in images:
        axes[BOTTOM, :, 0] *= -1

    assert measure_light(images) < -0.5


def show(lightness, random):
    """An image of these values of L, slightly noisy, of no learned features."""
    cues = random.normal(0, 1, (*lightness.shape, 16)).astype(np.float32)
    cues[..., 0] += lightness
    axes = describe_cues(torch.from_numpy(cues).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    return PixelMaps(np.zeros((*lightness.shape, 0), np.float32), axes)


def draw_street(random, light):
    """A wall above a road, and a sign on the wall that is lighter than it by 15."""
    truth = np.zeros((24, 32), int)
    truth[BOTTOM] = 1
    left = random.integers(0, 24)
    truth[2:10, left : left + 8] = 2
    return show(np.array([50, 25, 65])[truth] + light, random), truth


def draw_sky(random, light):
    """Cloud or clear sky, all over or in part, above a frame that is black in any light."""
    truth = np.zeros((24, 32), int)
    truth[BOTTOM] = 1
    truth[TOP, : int(np.interp(light, [-20, 20], [0, 32]))] = 2
    return show(np.array([40, 5, 80])[truth], random), truth


@pytest.mark.parametrize(("draw", "relative"), [(draw_street, True), (draw_sky, False)])
def test_where_the_place_leads_colours_are_relative_if_it_is_the_light_that_changes(random, draw, relative):
    drawn = [draw(random, light) for light in np.linspace(-20, 20, 12)]
    clusters = fit_pixel_clusters([maps for maps, _ in drawn], 3, number=len(drawn), seed=0)

    assert clusters.summary["place_foretells"] > 0.3
    assert clusters.summary["relative_colour"] is relative
    counts = np.zeros((3, 3), int)
    for maps, truth in drawn:
        mask = clusters.assign(maps).argmax(2)
        counts += np.bincount((truth * 3 + mask).ravel(), minlength=9).reshape(3, 3)
    rows, columns = linear_sum_assignment(-counts)
    assert counts[rows, columns].sum() / counts.sum() > 0.95


def test_light_that_changes_alike_is_left_where_groupings_do_not_agree_without_it(random, monkeypatch):
    maps = [draw_street(random, light)[0] for light in np.linspace(-20, 20, 12)]
    asked = []
    monkeypatch.setattr("fs4cli.clustering.search.SURE", 1.1)
    monkeypatch.setattr("fs4cli.clustering.search.is_light_uneven", lambda *_, **__: asked.append(True) or False)
    clusters = fit_pixel_clusters(maps, 3, number=12, seed=0)

    assert asked == [True] and not clusters.summary["relative_colour"]


def test_clusters_without_light_are_not_looked_for_where_places_say_that_it_is_no_light(random, monkeypatch):
    maps = [draw_sky(random, light)[0] for light in np.linspace(-20, 20, 12)]
    monkeypatch.setattr("fs4cli.clustering.search.is_light_uneven", lambda *_, **__: pytest.fail("it was asked"))
    clusters = fit_pixel_clusters(maps, 3, number=12, seed=0)

    assert not clusters.summary["relative_colour"]


@pytest.mark.parametrize(("gains", "is_uneven"), [([1.2, 1.2, 1.2], True), ([3.0, 3.0, 1.05], False)])
def test_clusters_stand_out_without_light_only_if_every_draw_says_so(monkeypatch, gains, is_uneven):
    asked = iter([value for gain in gains for value in (gain, 1.0)])  # without light, then with it
    monkeypatch.setattr("fs4cli.clustering.light.list_groupings", lambda *_, **__: (None, {"all": next(asked)}))
    parts = [np.arange(4)] * 5

    described, axes = np.zeros((4, AXES), np.float32), tuple(range(AXES))

    assert is_light_uneven(described, axes, 2, {"all": (0,)}, parts, seed=0) is is_uneven
