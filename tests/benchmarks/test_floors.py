"""Floors on two pictures that anybody can cluster."""

import numpy as np
import pytest
from floors import describe_colour, describe_contrast, make_masks
from PIL import Image

from fs4cli.data.masks import read_mask


@pytest.fixture
def halves(tmp_path):
    """Two pictures, left half red and right half blue, and what is where."""
    paths = []
    for name in ("a", "b"):
        pixels = np.zeros((40, 60, 3), np.uint8)
        pixels[:, :30] = 200, 30, 30
        pixels[:, 30:] = 30, 30, 200
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        paths.append(tmp_path / f"{name}.png")
    return paths


@pytest.mark.parametrize("floor", ["colour", "colour with lightness at 0.4", "colour and position"])
def test_colours_that_differ_are_told_apart_to_the_pixel(halves, tmp_path, floor):
    make_masks(halves[:1], halves[1:], tmp_path / "masks", floor=floor, classes=2, seed=0)

    mask = read_mask(tmp_path / "masks" / "b.png")
    assert mask.shape == (40, 60)
    assert len(np.unique(mask[:, :30])) == len(np.unique(mask[:, 30:])) == 1
    assert mask[0, 0] != mask[0, -1]


def test_the_most_frequent_class_is_one_cluster_everywhere(halves, tmp_path):
    make_masks(halves, halves, tmp_path / "masks", floor="most frequent class", classes=2, seed=0)

    assert not read_mask(tmp_path / "masks" / "a.png").any()


def test_lightness_counts_for_less_where_it_is_weighted():
    grey = np.full((1, 2, 3), (60, 60, 60), np.uint8)
    grey[0, 1] = 200
    whole, part = (describe_colour(grey, lightness=weight) for weight in (1.0, 0.4))

    assert part[0, 1, 0] - part[0, 0, 0] == pytest.approx(0.4 * (whole[0, 1, 0] - whole[0, 0, 0]))
    assert np.allclose(part[..., 1:], whole[..., 1:])


def test_contrast_tells_stripes_from_a_plain_area_of_the_same_lightness():
    pixels = np.full((64, 64, 3), 100, np.uint8)
    pixels[:, 32::2] = 60
    pixels[:, 33::2] = 140
    plain, striped = describe_contrast(pixels)[32, [10, 54]]

    assert abs(plain[0] - striped[0]) < 0.2
    assert striped[1] > plain[1] + 2


def test_a_random_network_is_the_same_for_the_same_seed(halves, tmp_path):
    masks = []
    for name in ("first", "second"):
        make_masks(halves, halves[:1], tmp_path / name, floor="random network", classes=2, seed=3)
        masks.append(read_mask(tmp_path / name / "a.png"))

    assert (masks[0] == masks[1]).all()
