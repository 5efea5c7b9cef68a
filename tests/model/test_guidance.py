"""Pixels under the guidance of their image and its patches."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from fs4cli.model.guidance import PyramidGuidance, guide_pixels

EVEN = torch.tensor([0.5, 0.5])


def _logits(shares_of_second: list[list[float]]) -> torch.Tensor:
    """Of one image and two classes, from the probability of the second."""
    second = torch.tensor(shares_of_second)
    return torch.stack([1 - second, second]).log()[None]


def test_without_a_pyramid_every_pixel_stays_alone():
    logits = torch.randn(2, 3, 8, 8)
    assert torch.equal(guide_pixels(logits, torch.full((3,), 1 / 3), ()), torch.log_softmax(logits, 1))


def test_a_doubtful_pixel_gets_the_class_that_fills_its_image():
    rows = [[0.02] * 4 for _ in range(4)]
    rows[1][2] = 0.6
    guided = guide_pixels(_logits(rows), EVEN, (1,)).exp()
    assert guided[0, 1, 1, 2] < 0.2
    assert (guided.argmax(1) == 0).all()


def test_a_sure_pixel_keeps_its_class_in_an_image_that_is_full_of_another():
    rows = [[0.02] * 4 for _ in range(4)]
    rows[1][2] = 0.999
    assert guide_pixels(_logits(rows), EVEN, (1, 2)).exp()[0, 1, 1, 2] > 0.9


def test_an_image_that_holds_what_all_images_hold_changes_nothing():
    rows = [[0.1, 0.9, 0.3, 0.7]] * 4
    assert torch.allclose(guide_pixels(_logits(rows), EVEN, (1,)), torch.log(_logits(rows).exp()), atol=1e-6)


def test_what_is_rare_everywhere_is_no_rarer_for_being_rare_here():
    rows = [[0.1] * 8 for _ in range(8)]
    guided = guide_pixels(_logits(rows), torch.tensor([0.9, 0.1]), (1, 2, 4)).exp()
    assert torch.allclose(guided[0, 1], torch.full((8, 8), 0.1), atol=1e-6)


def test_a_patch_guides_its_own_pixels_where_the_whole_image_is_even():
    rows = [[0.02] * 8 + [0.98] * 8 for _ in range(16)]
    rows[3][3] = 0.6
    rows[3][12] = 0.4
    by_image, by_patch = (guide_pixels(_logits(rows), EVEN, grids).argmax(1)[0] for grids in ((1,), (1, 2)))
    assert (by_image[3, 3], by_image[3, 12]) == (1, 0)
    assert (by_patch[3, 3], by_patch[3, 12]) == (0, 1)


def test_guidance_finds_more_pixels_of_images_that_are_unlike_the_rest(random):
    # two kinds of pixels, a standard deviation off zero to either side, even over all images; here nine of ten are one
    truth = random.random((64, 64)) < 0.9
    values = random.normal(np.where(truth, 1, -1), 1)
    logits = torch.from_numpy(np.stack([norm.logpdf(values, -1), norm.logpdf(values, 1)]))[None].float()
    alone, guided = (logits.argmax(1), guide_pixels(logits, EVEN, (1,)).argmax(1))
    right_alone, right_guided = ((found[0].numpy() == truth).mean() for found in (alone, guided))
    # even shares: cut at 0, Phi(1) = 84 %. Shares of 9 to 1: cut at -1.1, 0.9 Phi(2.1) + 0.1 Phi(-0.1) = 93 %
    assert right_alone == pytest.approx(norm.cdf(1), abs=0.02)
    assert right_guided > 0.92


def test_a_class_that_is_never_seen_leaves_numbers():
    logits = torch.tensor([0.0, -50.0, -200.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    guided = guide_pixels(logits, torch.tensor([1.0, 0.0, 0.0]), (1, 2, 4))
    assert torch.isfinite(guided).all()
    assert torch.allclose(guided.exp().sum(1), torch.ones(1, 8, 8), atol=1e-5)


def test_what_else_is_in_the_batch_changes_no_bit():
    guidance = PyramidGuidance(3, (1, 2, 4))
    guidance.shares.copy_(torch.tensor([0.5, 0.3, 0.2]))
    logits = torch.randn(4, 3, 16, 24)
    assert torch.equal(guidance(logits)[2:3], guidance(logits[2:3]))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 33)])
def test_maps_smaller_than_the_grid_are_guided_too(size):
    guided = guide_pixels(torch.randn(1, 4, *size), torch.full((4,), 0.25), (1, 3, 4))
    assert guided.shape == (1, 4, *size)
    assert torch.isfinite(guided).all()


def test_a_mirrored_image_is_guided_as_its_mirror_image():
    logits = torch.randn(1, 3, 16, 20)
    shares = torch.tensor([0.6, 0.3, 0.1])
    mirrored = guide_pixels(logits.flip(3), shares, (1, 2, 4)).flip(3)
    assert torch.allclose(mirrored, guide_pixels(logits, shares, (1, 2, 4)), atol=1e-5)
