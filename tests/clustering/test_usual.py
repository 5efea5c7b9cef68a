"""What usually lies at a place: found from colours alone, and asked only where rows and columns leave doubt."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from fs4cli.clustering import search
from fs4cli.clustering.pixels import PixelMaps, fit_pixel_clusters
from fs4cli.clustering.usual import find_usual
from fs4cli.model.axes import AXES, COLOUR, SOFT_COLOUR, describe_cues
from fs4cli.model.place_map import PLACES
from fs4cli.model.prior import LEAST, PixelPrior

SIZE = 32


def paint(random, lightness, noise=0.05):
    """The axes of an image whose cells are so light, and slightly noisy."""
    axes = random.normal(0, noise, (*lightness.shape, AXES)).astype(np.float32)
    axes[..., list(SOFT_COLOUR[:: len(COLOUR)])] += lightness[..., None]
    return axes


def draw_columns(random):
    """Images whose left and right quarters are dark, and whose middle is light."""
    lightness = np.ones((SIZE, SIZE))
    lightness[:, 8:-8] = 3
    return [paint(random, lightness) for _ in range(8)]


def test_alike_things_far_apart_lie_at_the_same_place(random):
    first, second = find_usual(draw_columns(random), seed=0)
    left, middle, right = first[:, :4].mean(), first[:, 4:-4].mean(), first[:, -4:].mean()

    assert abs(left - right) < 0.01 * abs(left - middle)
    assert second.std() < 0.3 * first.std()  # noise is all that is left


def test_the_first_number_varies_as_much_as_the_row_does(random):
    rows = describe_cues(torch.zeros(1, 16, 64, 64))[0, -5, :, 0]
    first, _ = find_usual(draw_columns(random), seed=0)

    assert first.std() == pytest.approx(float(rows.std()), rel=0.05)


def test_images_may_differ_in_size_and_be_smaller_than_the_map(random):
    images = [paint(random, np.repeat([1.0, 3.0], size // 2)[:, None].repeat(9, 1)) for size in (6, 20, 40)]
    found = find_usual(images, seed=0)

    assert found.shape == (2, PLACES, PLACES)
    assert abs(found[0, 0].mean() - found[0, -1].mean()) > 1


def test_where_all_places_look_alike_there_is_nothing_to_tell():
    found = find_usual([np.full((6, 6, AXES), 2, np.float32)] * 3, seed=0)

    np.testing.assert_allclose(found, 0, atol=1e-3)


def draw_road(random):
    """Cues of a road under a sky, between pavements that are hardly lighter and lie at both sides of the image."""
    truth = np.zeros((24, 32), int)
    truth[12:] = 1
    truth[12:, :8] = truth[12:, -8:] = 2
    cues = random.normal(0, 3, (24, 32, 16)).astype(np.float32)
    cues[..., 0] += np.array([80, 30, 38])[truth]
    return cues, truth


def show(cues):
    axes = describe_cues(torch.from_numpy(cues).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    return PixelMaps(np.zeros((*cues.shape[:2], 0), np.float32), axes)


@pytest.fixture
def doubt(monkeypatch):
    """Groupings of images this plain agree; here that is not enough."""
    monkeypatch.setattr(search, "SURE", 1.1)


def fit_road(random, **options):
    drawn = [draw_road(random) for _ in range(10)]
    maps = [show(cues) for cues, _ in drawn]
    return fit_pixel_clusters(maps, 3, number=10, seed=0, **options), maps, drawn


@pytest.mark.parametrize("is_asked", [True, False])
def test_pavements_at_both_sides_of_a_road_are_one_class_for_what_usually_lies_there_alone(random, doubt, is_asked):
    clusters, maps, drawn = fit_road(random, is_exposed=is_asked)
    counts = np.zeros((3, 3), int)
    for one, (_, truth) in zip(maps, drawn, strict=True):
        mask = clusters.assign(one).argmax(2)
        counts += np.bincount((truth * 3 + mask).ravel(), minlength=9).reshape(3, 3)
    rows, columns = linear_sum_assignment(-counts)
    found = counts[rows, columns] / counts.sum(1)

    assert clusters.summary["usual_places"] is is_asked
    assert bool(found.min() > 0.8) is is_asked  # row and column lose half of the pavement to another class


def test_the_rule_that_a_model_keeps_knows_what_usually_lies_at_a_place(random, doubt):
    clusters, maps, drawn = fit_road(random, is_exposed=True)
    prior = PixelPrior(3, mapped=True)
    assert clusters.place_map is not None
    rule = {"weights": clusters.rule.weights, "offsets": clusters.rule.offsets}
    weights = {name: torch.from_numpy(value).float() for name, value in rule.items()}
    prior.load_state_dict({**weights, "places.values": clusters.place_map.values})
    batch = torch.from_numpy(drawn[0][0]).permute(2, 0, 1)[None]
    shares = prior(batch)[0].exp().permute(1, 2, 0).numpy()

    np.testing.assert_allclose(shares, clusters.assign(maps[0]) + LEAST, atol=2e-3)
    assert torch.allclose(prior(batch.flip(3), is_mirrored=True).flip(3), prior(batch), atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"is_exposed": True, "thorough": False}])
def test_nobody_asks_without_one_light_or_where_classes_are_counted(random, doubt, options):
    clusters, _, _ = fit_road(random, **options)

    assert not clusters.summary["usual_places"] and clusters.place_map is None


def test_nobody_asks_where_groupings_agree(random, monkeypatch):
    monkeypatch.setattr(search, "SURE", -1.0)
    clusters, _, _ = fit_road(random, is_exposed=True)

    assert not clusters.summary["usual_places"]


def test_it_is_not_believed_where_it_explains_far_less(random, doubt, monkeypatch):
    monkeypatch.setattr(search, "USUAL_ENOUGH", np.inf)
    clusters, _, _ = fit_road(random, is_exposed=True)

    assert not clusters.summary["usual_places"] and clusters.place_map is None
