"""Whether views of training may differ in light."""

import numpy as np

from fs4cli.data.augment import Photometry
from fs4cli.model.axes import COLOUR
from fs4cli.model.prior import PixelPrior
from fs4cli.training.view_light import choose_photometry, measure_light_kept

LIGHT = Photometry(brightness=0.5, contrast=0.0, saturation=0.0, tint=0.0, blur=1.0, noise=0.5, grey=0.0)


def divide_by_lightness(threshold: float) -> PixelPrior:
    """Two classes: darker than the threshold, or brighter; in the units of the axes."""
    prior = PixelPrior(2)
    prior.weights[1, COLOUR[0]] = 100.0
    prior.offsets[1] = -100.0 * threshold
    return prior


def measure(prior: PixelPrior, image: np.ndarray, light: Photometry = LIGHT) -> float:
    return measure_light_kept(prior, None, [image], [0], short_side=32, photometry=light, seed=0)


def test_classes_that_lie_far_apart_in_light_are_kept(random):
    halves = np.zeros((32, 32, 3), np.uint8)
    halves[:, 16:] = 220
    assert measure(divide_by_lightness(1.2), halves) > 0.95  # L of 0 and 88, in units of 25; the cut is at 30


def test_shades_of_one_grey_are_not_kept():
    even = np.full((32, 32, 3), 120, np.uint8)  # L is 50, two units
    brighter_or_darker = [measure(divide_by_lightness(cut), even) for cut in (1.99, 2.01)]
    assert min(brighter_or_darker) < 0.6


def test_blur_and_noise_are_no_light(random):
    noise = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    still = Photometry(brightness=0.0, contrast=0.0, saturation=0.0, tint=0.0, blur=1.0, noise=0.5, grey=0.0)
    assert measure(divide_by_lightness(2.0), noise, still) == 1.0


def test_views_keep_their_light_where_classes_would_change_with_it():
    kept = choose_photometry(LIGHT, 0.84)
    assert (kept.brightness, kept.contrast, kept.saturation, kept.tint) == (0, 0, 0, 0)
    assert (kept.blur, kept.noise) == (LIGHT.blur, LIGHT.noise)
    assert choose_photometry(LIGHT, 0.86) == LIGHT
