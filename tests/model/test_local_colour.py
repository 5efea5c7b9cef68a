"""Borders moved to where the colours of classes part."""

from functools import partial

import pytest
import torch

from fs4cli.model import local_colour

SIDE = 64

sharpen = partial(local_colour.sharpen, stride=2)  # as masks are
follow_colours = partial(local_colour.follow_colours, stride=2)


def _columns(first: int, last: int) -> torch.Tensor:
    """1 in these columns, 0 elsewhere."""
    inside = (torch.arange(SIDE) >= first) & (torch.arange(SIDE) <= last)
    return inside.float().expand(1, 1, SIDE, SIDE)


def _of_two(second: torch.Tensor, sure: float = 0.98) -> torch.Tensor:
    """Probabilities of two classes: the second has `sure` where it is 1."""
    share = sure * second + (1 - sure) * (1 - second)
    return torch.cat([1 - share, share], 1)


def _paint(values: torch.Tensor, *, noise: float = 0.02, seed: int = 0) -> torch.Tensor:
    """A grey image of these values, each pixel off by a bit of noise."""
    generator = torch.Generator().manual_seed(seed)
    return (values + noise * torch.randn(values.shape, generator=generator)).expand(1, 3, -1, -1)


def test_a_line_that_was_drawn_four_times_too_wide_comes_out_as_wide_as_it_is():
    line = _columns(30, 31)
    image = _paint(0.7 - 0.4 * line)
    drawn = _of_two(_columns(27, 34))
    assert drawn.argmax(1).sum() == 8 * SIDE
    assert sharpen(drawn, image).argmax(1).tolist() == line[:, 0].long().tolist()


@pytest.mark.parametrize("off", [-3, 3])
def test_a_border_moves_by_three_pixels_to_where_the_colour_changes(off):
    image = _paint(0.3 + 0.4 * _columns(32, SIDE))
    moved = follow_colours(_of_two(_columns(32 + off, SIDE)), image)
    assert moved.argmax(1).tolist() == _columns(32, SIDE)[:, 0].long().tolist()


def test_at_the_stride_of_assignments_a_line_of_two_that_was_drawn_as_four_comes_out_as_two():
    line = _columns(30, 31)
    moved = local_colour.sharpen(_of_two(_columns(29, 32)), _paint(0.7 - 0.4 * line), stride=4)
    assert moved.argmax(1).tolist() == line[:, 0].long().tolist()


def test_how_far_borders_move_is_in_pixels_that_the_network_sees():
    image = _paint(0.3 + 0.4 * _columns(32, SIDE))
    drawn = _of_two(_columns(40, SIDE))  # off by 8 of those at stride 1, by 32 at stride 4
    wrong = [
        (local_colour.follow_colours(drawn, image, stride=stride).argmax(1) != _columns(32, SIDE)[:, 0]).sum()
        for stride in (1, 4)
    ]
    assert wrong[0] == 0
    assert wrong[1] >= 6 * SIDE


def test_where_nothing_is_sure_nothing_moves():
    image = _paint(0.3 + 0.4 * _columns(32, SIDE))
    probabilities = _of_two(_columns(35, SIDE), sure=0.85)
    assert torch.equal(follow_colours(probabilities, image), probabilities)


def test_where_classes_have_the_same_colours_nothing_moves():
    image = _paint(torch.full((1, 1, SIDE, SIDE), 0.5), noise=0.1)
    probabilities = _of_two(_columns(32, SIDE))
    assert torch.equal(follow_colours(probabilities, image), probabilities)


def test_dark_windows_of_a_light_house_are_not_given_to_the_dark_tree_beside_it():
    windows = (torch.arange(SIDE) % 6 < 3).float()
    house = 0.8 - 0.6 * windows[:, None] * windows[None, :]  # a quarter of it is as dark as the tree
    tree = _columns(32, SIDE)
    image = _paint(house * (1 - tree) + 0.2 * tree)
    probabilities = _of_two(tree)
    moved = follow_colours(probabilities, image)
    assert moved.argmax(1).tolist() == tree[:, 0].long().tolist()


def test_a_dark_dot_far_from_the_dark_class_stays_with_what_surrounds_it():
    dark = _columns(40, SIDE)
    dot = torch.zeros(1, 1, SIDE, SIDE)
    dot[..., 30:32, 18:20] = 1  # 20 pixels of the mask from the border
    moved = sharpen(_of_two(dark), _paint(0.7 - 0.4 * torch.maximum(dark, dot)))
    assert moved.argmax(1).tolist() == dark[:, 0].long().tolist()


def test_probabilities_still_sum_to_one_and_classes_that_are_not_in_the_image_keep_theirs():
    generator = torch.Generator().manual_seed(1)
    pair = _of_two(_columns(27, 34))
    probabilities = torch.cat([pair * 0.98, torch.full((1, 1, SIDE, SIDE), 0.02)], 1)
    image = _paint(0.7 - 0.4 * _columns(30, 31))
    moved = follow_colours(probabilities, image)
    assert torch.allclose(moved.sum(1), torch.ones(1, SIDE, SIDE), atol=1e-5)
    assert torch.equal(moved[:, 2], probabilities[:, 2])
    assert not torch.equal(moved, probabilities)

    anything = torch.softmax(3 * torch.randn(2, 5, 24, 20, generator=generator), 1)
    sharpened = sharpen(anything, torch.rand(2, 3, 24, 20, generator=generator))
    assert torch.allclose(sharpened.sum(1), torch.ones(2, 24, 20), atol=1e-5)
    assert sharpened.min() >= 0


def test_an_image_of_one_class_stays_as_it_is():
    probabilities = torch.cat([torch.full((1, 1, 16, 16), 0.97), torch.full((1, 1, 16, 16), 0.03)], 1)
    assert torch.equal(follow_colours(probabilities, torch.rand(1, 3, 16, 16)), probabilities)


def test_an_image_that_is_turned_gives_the_same_turned():
    image, drawn = _paint(0.7 - 0.4 * _columns(30, 31)), _of_two(_columns(27, 34))
    turned = follow_colours(drawn.rot90(1, (2, 3)), image.rot90(1, (2, 3)))
    assert torch.allclose(turned, follow_colours(drawn, image).rot90(1, (2, 3)), atol=1e-4)


def test_what_else_is_in_the_batch_changes_no_bit():
    images = torch.cat([_paint(0.7 - 0.4 * _columns(30, 31), seed=seed) for seed in (0, 1)])
    drawn = torch.cat([_of_two(_columns(27, 34)), _of_two(_columns(26, 33))])
    alone = [sharpen(drawn[[place]], images[[place]]) for place in (0, 1)]
    assert torch.equal(sharpen(drawn, images), torch.cat(alone))


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (6, 5)])
def test_images_of_a_few_pixels_are_no_error(size):
    probabilities = torch.softmax(torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(2)), 1)
    moved = follow_colours(probabilities, torch.rand(1, 3, *size))
    assert torch.isfinite(moved).all()
    assert torch.allclose(moved.sum(1), torch.ones(1, *size), atol=1e-5)
