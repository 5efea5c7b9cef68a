"""Colour and texture cues."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2lab

from fs4cli.model.cues import COLOUR_CUES, PATTERN_CUES, SIGMAS, TEXTURE_CUES, find_cues, find_lab, find_patterns


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


@pytest.mark.parametrize("find", [find_cues, find_patterns])
def test_cues_are_exact_where_the_network_computes_in_half_precision(random, find):
    images = _as_batch(random.random((32, 48, 3)))
    with torch.autocast("cpu", torch.bfloat16):
        half = find(images, 4)
    assert half.dtype == torch.float32
    assert torch.equal(half, find(images, 4))


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


def _find_patterns(lightness: np.ndarray) -> np.ndarray:
    """Of a grey image whose L is about that many hundredths: cues by name of channel last."""
    grey = np.repeat(lightness[..., None], 3, 2)
    return find_patterns(_as_batch(grey), 4)[0].permute(1, 2, 0).numpy()


def test_patterns_are_those_of_scipy(random):
    pixels = gaussian_filter(random.random((64, 80)), 0.7)
    lightness = rgb2lab(np.repeat(pixels[..., None], 3, 2))[..., 0]

    def soften(maps: np.ndarray, sigma: float) -> np.ndarray:
        return gaussian_filter(maps, sigma, mode="mirror", truncate=3.0)

    def pool(maps: np.ndarray) -> np.ndarray:
        return maps.reshape(16, 4, 20, 4).mean((1, 3))

    expected = []
    for sigma in (1.0, 2.0):
        down, right = np.gradient(soften(lightness, sigma))
        products = ((down, down), (right, right), (down, right))
        parts = [soften(pool(one * other) * sigma**2, 2.0) for one, other in products]
        tensor = np.moveaxis(np.array([[parts[0], parts[2]], [parts[2], parts[1]]]), (0, 1), (2, 3))
        smaller, larger = np.moveaxis(np.linalg.eigvalsh(tensor), -1, 0)
        expected += [np.sqrt(2 * larger), np.sqrt(2 * smaller)]
    expected.append(pool(np.cbrt(soften((lightness - soften(lightness, 3.0)) ** 3, 3.0))))
    down, right = np.gradient(soften(lightness, 2.0))
    hessian = np.array([np.gradient(down), np.gradient(right)]).transpose(2, 3, 0, 1)
    smaller, larger = np.moveaxis(np.linalg.eigvalsh((hessian + hessian.swapaxes(2, 3)) / 2), -1, 0)
    expected += [pool(larger) * 4, pool(smaller) * 4]

    found = _find_patterns(pixels)

    assert found.shape == (16, 20, PATTERN_CUES)
    # the outermost cells see the border, where numpy's slope is taken from one side
    assert np.abs(found - np.stack(expected, 2))[7:-7, 7:-7].max() < 0.02


def test_a_flat_image_has_no_patterns():
    assert np.abs(_find_patterns(np.full((32, 32), 0.5))).max() < 0.2


def test_stripes_change_across_and_not_along_and_checks_do_both():
    rows, columns = np.mgrid[:96, :96] // 6 % 2
    stripes, checks = (_find_patterns(0.4 + 0.2 * drawn)[8:-8, 8:-8].mean((0, 1)) for drawn in (rows, rows ^ columns))
    assert stripes[0] > 5 > 20 * stripes[1]
    assert checks[1] > 0.5 * checks[0] > 1


def test_patterns_turn_with_the_image(random):
    pixels = gaussian_filter(random.random((64, 64)), 1)
    turned = _find_patterns(np.rot90(pixels).copy())
    assert np.abs(turned - np.rot90(_find_patterns(pixels))).max() < 0.05


def test_dark_lines_have_a_sign_and_bright_lines_the_other():
    ground = np.full((64, 64), 0.5)
    ground[30:34] = 0.2
    dark, bright = _find_patterns(ground), _find_patterns(1 - ground)
    on_line, beside, away = slice(7, 9), slice(6, 7), slice(2, 5)
    assert dark[on_line, :, 5].min() > 4 > -4 > bright[on_line, :, 6].max()
    assert np.abs(dark[beside, :, 5]).max() < 0.5 and np.abs(bright[beside, :, 6]).max() < 0.5
    assert np.abs(dark[away, :, 5:]).max() < 0.5
    # a line's foot is bent the other way
    assert dark[beside, :, 6].max() < -3 and bright[beside, :, 5].min() > 3


def test_the_third_moment_tells_bright_specks_from_dark_ones():
    specks = np.full((64, 64), 0.5)
    specks[8::16, 8::16] = 1.0
    bright, dark = _find_patterns(specks)[..., 4], _find_patterns(1 - specks)[..., 4]
    assert bright[4:-4, 4:-4].mean() > 2
    assert dark[4:-4, 4:-4].mean() < -2


def test_an_image_of_a_single_cell_has_patterns():
    assert torch.isfinite(find_patterns(torch.rand(1, 3, 8, 8), 4)).all()
    assert torch.isfinite(find_patterns(torch.rand(1, 3, 4, 4), 4)).all()
