"""A part of the images, drawn at random."""

import numpy as np
import pytest

from fs4cli.data.chosen import choose_images, draw_positions

IMAGES = [np.full((2, 3, 3), number, np.uint8) for number in range(20)]


@pytest.mark.parametrize("count", [None, 20, 21])
def test_all_images_are_left_as_they_are(count):
    assert choose_images(IMAGES, count, seed=0) is IMAGES


def test_chosen_images_are_those_at_their_positions_in_the_order_of_all():
    chosen = choose_images(IMAGES, 5, seed=3)
    numbers = [int(chosen[place][0, 0, 0]) for place in range(len(chosen))]
    assert numbers == sorted(set(numbers)) and len(numbers) == 5
    assert numbers == draw_positions(20, 5, seed=3).tolist()


def test_more_images_are_the_same_ones_and_others_beside():
    assert set(draw_positions(20, 5, seed=0)) < set(draw_positions(20, 12, seed=0))


def test_another_seed_draws_others():
    assert draw_positions(1000, 50, seed=0).tolist() != draw_positions(1000, 50, seed=1).tolist()
