"""Whether images are learned from in one light, and what they are then."""

import json

import numpy as np
import pytest
import torch

from fs4cli.errors import ProjectError
from fs4cli.training.exposing import ExposedImages, expose, find_exposure, settle_exposure

LIGHTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4)


def draw_road(random, light):
    """Sky above a road, at any hour."""
    image = np.empty((64, 96, 3))
    image[:32], image[32:] = (120, 140, 170), (70, 68, 64)
    return (light * (image + random.normal(0, 4, image.shape))).clip(0, 255).astype(np.uint8)


def draw_tile(random, light):
    """Squares of two colours anywhere."""
    ids = np.kron(random.integers(0, 2, (4, 6)), np.ones((16, 16), int))
    return (light * np.array([(120, 140, 170), (70, 68, 64)])[ids]).clip(0, 255).astype(np.uint8)


def ask(images):
    return find_exposure(images, classes=3, short_side=64, seed=0)


def test_a_road_at_any_hour_is_seen_in_one_light(random):
    images = [draw_road(random, light) for light in LIGHTS]
    seen = expose(images, ask(images))

    before, after = (
        np.std([pictures[number][40].mean() for number in range(len(LIGHTS))]) for pictures in (images, seen)
    )
    assert before > 15
    assert after < 2


@pytest.mark.parametrize("draw", [draw_road, draw_tile])
def test_images_in_one_light_already_are_taken_as_they_are(random, draw):
    images = [draw(random, 1.0) for _ in LIGHTS]

    assert ask(images) is None
    assert expose(images, None) is images


def test_tiles_cut_from_anywhere_keep_their_light(random):
    assert ask([draw_tile(random, light) for light in LIGHTS]) is None


def test_a_few_images_say_nothing_of_their_places(random):
    assert ask([draw_road(random, light) for light in LIGHTS[:7]]) is None


def test_what_stays_black_in_any_light_keeps_images_as_they_are(random):
    images = [draw_road(random, light) for light in LIGHTS]
    for image in images:
        image[:, :40] = 0

    assert ask(images) is None


def test_an_exposed_image_is_the_image_times_its_factors_cut_off_at_white(random):
    images = [draw_road(random, light) for light in LIGHTS]
    exposure = ask(images)
    assert exposure is not None
    seen = ExposedImages(images, exposure)
    gains = exposure.find_gains(torch.from_numpy(images[0]).permute(2, 0, 1)[None] / 255)[0].numpy()

    assert len(seen) == len(images)
    assert gains.min() > 1.2  # the darkest image
    assert np.array_equal(seen[0], np.rint(images[0] * gains).clip(0, 255).astype(np.uint8))


def test_how_images_are_exposed_is_found_once_and_kept(random, tmp_path):
    images, path = [draw_road(random, light) for light in LIGHTS], tmp_path / "exposure.json"
    options = {"is_begun": False, "classes": 3, "short_side": 64, "seed": 0}
    found = settle_exposure(path, images, **options)
    again = settle_exposure(path, [], **options)

    assert found is not None and again is not None
    assert found.reference.equal(again.reference)
    assert settle_exposure(tmp_path / "tiles.json", [draw_tile(random, 1.0)] * 9, **options) is None
    assert json.loads((tmp_path / "tiles.json").read_text()) == {"reference": None}


def test_a_training_that_an_older_fs4_began_goes_on_with_images_as_they_are(random, tmp_path):
    images, path = [draw_road(random, light) for light in LIGHTS], tmp_path / "exposure.json"

    assert settle_exposure(path, images, is_begun=True, classes=3, short_side=64, seed=0) is None
    assert not path.exists()


@pytest.mark.parametrize("text", ["{}", '{"reference": 1}', '{"reference": [[1]]}', '{"reference": "x"}', "[", "[1]"])
def test_a_file_that_says_something_else_is_named_with_a_remedy(tmp_path, text):
    path = tmp_path / "exposure.json"
    path.write_text(text)
    with pytest.raises(ProjectError, match="exposure.json") as caught:
        settle_exposure(path, [], is_begun=True, classes=3, short_side=64, seed=0)
    assert caught.value.hints
