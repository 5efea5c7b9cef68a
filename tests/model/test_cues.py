"""Colour and texture cues."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2lab

from fs4cli.model.cues import COLOUR_CUES, SIGMAS, TEXTURE_CUES, find_cues, find_lab


def _as_batch(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]


def test_lab_is_that_of_scikit_image(random):
    pixels = random.random((40, 40, 3))
    pixels[0] = np.linspace(0, 0.05, 40)[:, None]  # where sRGB and Lab are straight lines
    lab = find_lab(_as_batch(pixels))[0].permute(1, 2, 0).numpy()
    assert np.abs(lab - rgb2lab(pixels)).max() < 1e-2


@pytest.mark.parametrize(
    ("rgb", "lab"), [((0, 0, 0), (0, 0, 0)), ((1, 1, 1), (100, 0, 0)), ((1, 0, 0), (53.24, 80.09, 67.20))]
)
def test_black_white_and_red_are_where_they_belong(rgb, lab):
    assert find_lab(_as_batch(np.full((1, 1, 3), rgb)))[0, :, 0, 0].tolist() == pytest.approx(lab, abs=0.02)


def test_colours_out_of_range_count_as_the_nearest():
    assert torch.equal(find_lab(torch.full((1, 3, 1, 1), 1.5)), find_lab(torch.ones(1, 3, 1, 1)))


def test_cues_are_those_of_scipy(random):
    pixels = random.random((32, 48, 3))
    lab = rgb2lab(pixels)

    def soften(maps: np.ndarray, sigma: float) -> np.ndarray:
        return gaussian_filter(maps, (sigma, sigma, 0), mode="mirror", truncate=3.0)

    expected = [soften(lab, 1.0)]
    for sigma in SIGMAS:
        mean = soften(lab[..., :1], sigma)
        expected += [mean, np.sqrt(np.maximum(soften(lab[..., :1] ** 2, sigma) - mean**2, 0))]
    expected = np.concatenate(expected, axis=2).reshape(8, 4, 12, 4, -1).mean((1, 3))

    cues = find_cues(_as_batch(pixels), 4)[0].permute(1, 2, 0).numpy()

    assert cues.shape == (8, 12, COLOUR_CUES + TEXTURE_CUES)
    assert np.abs(cues - expected).max() < 0.02


def test_a_flat_image_has_its_colour_and_no_contrast():
    cues = find_cues(torch.full((1, 3, 32, 32), 0.5), 4)[0, :, 3, 3]
    lightness = 53.39
    assert cues.tolist() == pytest.approx([lightness, 0, 0, lightness, 0, lightness, 0, lightness, 0], abs=0.1)


def test_fine_stripes_have_more_contrast_than_flat_ones():
    stripes = torch.zeros(1, 3, 32, 32)
    stripes[:, :, :, ::2] = 1
    contrast = find_cues(stripes, 4)[0, 4, 2:6, 2:6]
    assert contrast.min() > 40


def test_an_image_smaller_than_the_widest_blur_has_cues():
    assert find_cues(torch.rand(1, 3, 8, 8), 4).shape == (1, COLOUR_CUES + TEXTURE_CUES, 2, 2)
