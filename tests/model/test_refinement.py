"""Probabilities sharpened along the edges of the image."""

import pytest
import torch

from fs4cli.model.refinement import refine_probabilities


def _halves(edge: int, *, side: int = 16) -> torch.Tensor:
    """0 left of the edge, 1 from it on."""
    return (torch.arange(side) >= edge).float().expand(1, 1, side, side)


def _probabilities(edge: int, sure: float = 0.6) -> torch.Tensor:
    right = sure * _halves(edge) + (1 - sure) * (1 - _halves(edge))
    return torch.cat([1 - right, right], 1)


def test_probabilities_still_sum_to_one():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.softmax(3 * torch.randn(2, 5, 12, 9, generator=generator), 1)
    refined = refine_probabilities(probabilities, torch.rand(2, 3, 12, 9, generator=generator))
    assert torch.allclose(refined.sum(1), torch.ones(2, 12, 9), atol=1e-5)
    assert refined.min() >= 0


@pytest.mark.parametrize(("guess", "wrong"), [(7, 0), (9, 0), (6, 16), (10, 16)])
@pytest.mark.parametrize("contrast", [0.1, 0.5])
def test_a_soft_edge_of_labels_moves_a_pixel_towards_the_edge_of_colour(guess, wrong, contrast):
    # as upsampled logits are: ever surer away from an edge that is a pixel or two off
    sure = (0.5 + 0.1 * (torch.arange(16) + 0.5 - guess)).clamp(0.1, 0.9).expand(1, 1, 16, 16)
    probabilities = torch.cat([1 - sure, sure], 1)
    image = _halves(8).expand(1, 3, 16, 16) * contrast + 0.2
    expected = _halves(8)[:, 0].long()
    assert (probabilities.argmax(1) != expected).sum() == 16 * abs(guess - 8)

    assert (refine_probabilities(probabilities, image).argmax(1) != expected).sum() == wrong


def test_an_edge_that_is_right_stays():
    image = _halves(8).expand(1, 3, 16, 16) * 0.5 + 0.2
    refined = refine_probabilities(_probabilities(8, sure=0.9), image)
    assert refined.argmax(1).tolist() == _halves(8)[:, 0].long().tolist()
    assert (refined.amax(1) - 0.9).abs().max() < 0.05


def test_a_single_pixel_in_a_flat_region_is_taken_in():
    probabilities = _probabilities(0)
    probabilities[:, :, 8, 8] = torch.tensor([0.6, 0.4])
    refined = refine_probabilities(probabilities, torch.full((1, 3, 16, 16), 0.5))
    assert (refined.argmax(1) == 1).all()


def test_a_line_of_its_own_colour_keeps_its_label():
    line = torch.zeros(1, 1, 16, 16)
    line[..., 8] = 1
    probabilities = torch.cat([1 - line, line], 1) * 0.8 + 0.1
    refined = refine_probabilities(probabilities, line.expand(1, 3, 16, 16))
    assert refined.argmax(1).tolist() == line[:, 0].long().tolist()


@pytest.mark.parametrize("options", [{"iterations": 0}, {"keep": 1.0}])
def test_nothing_asked_is_nothing_done(options):
    probabilities = _probabilities(5)
    assert torch.allclose(refine_probabilities(probabilities, torch.rand(1, 3, 16, 16), **options), probabilities)


def test_a_faint_label_of_a_thin_line_survives_on_the_line_and_spreads_no_further():
    # a membrane three pixels wide that the network half sees: the ground around is surer than the line is
    line = torch.zeros(1, 1, 32, 32)
    line[..., 15:18] = 1
    probabilities = torch.cat([0.9 - 0.35 * line, 0.1 + 0.35 * line], 1)
    probabilities = torch.nn.functional.avg_pool2d(probabilities, 3, 1, 1, count_include_pad=False)
    probabilities[:, 0] -= 0.15 * line[:, 0]
    probabilities[:, 1] += 0.15 * line[:, 0]
    image = (0.6 - 0.3 * line).expand(1, 3, 32, 32)
    refined = refine_probabilities(probabilities, image).argmax(1)
    assert refined[0, :, 15:18].float().mean() == 1
    assert refined[0, :, :14].sum() == refined[0, :, 19:].sum() == 0
