"""What plain cues say of a pixel: axes on fixed scales, softened as scipy would, the same in a mirror."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from fs4cli.model.axes import AXES, BRIGHT_LINES, COLOUR, DARK_LINES, LIGHT, PLACE, SOFT_COLOUR, TEXTURE, describe_cues


def describe(cues: np.ndarray, **options) -> np.ndarray:
    return describe_cues(torch.from_numpy(cues).permute(2, 0, 1)[None], **options)[0].permute(1, 2, 0).numpy()


def draw_cues(random, size: tuple[int, int]) -> np.ndarray:
    return random.normal(20, 8, (*size, 16)).astype(np.float32)


def test_every_axis_has_one_place(random):
    assert sorted((*SOFT_COLOUR, *TEXTURE, DARK_LINES, BRIGHT_LINES, *PLACE, *LIGHT)) == list(range(AXES))
    assert describe(draw_cues(random, (4, 6))).shape == (4, 6, AXES)


def test_units_are_25_of_lightness_10_of_chroma_and_a_quarter_of_the_image(random):
    cues = draw_cues(random, (20, 24))
    axes = describe(cues)

    np.testing.assert_allclose(axes[..., COLOUR], cues[..., :3] / [25, 10, 10], rtol=1e-5)
    np.testing.assert_allclose(axes[..., [DARK_LINES, BRIGHT_LINES]], cues[..., 14:] / 8, rtol=1e-5)
    assert axes[0, 0, PLACE] == pytest.approx([0.5 / 20 * 4, 0.5 / 24 * 4])
    np.testing.assert_allclose(axes[3, 5, LIGHT], cues[..., :3].mean((0, 1)) / [25, 10, 10], rtol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (24, 40), (3, 50)])
def test_softening_is_that_of_scipy(random, size):
    cues = draw_cues(random, size)
    axes = describe(cues)
    colour = gaussian_filter(cues[..., :3] / np.array([25, 10, 10]), (2, 2, 0))
    np.testing.assert_allclose(axes[..., SOFT_COLOUR[-3:]], colour, atol=1e-5)

    cues[..., :3] = [50, 5, -5]
    contrast = gaussian_filter(cues[..., 4:9:2] ** 2, (2, 2, 0))
    grain = gaussian_filter(cues[..., 9:13] ** 2, (1, 1, 0))
    tail = gaussian_filter(cues[..., 13:14], (1, 1, 0)) / 8
    texture = np.concatenate([0.5 * np.log(contrast + 16), 0.5 * np.log(grain + 16), tail], 2)
    np.testing.assert_allclose(describe(cues)[..., TEXTURE[3:]], texture, atol=1e-5)


def test_a_border_of_two_plain_areas_hardly_passes_for_texture():
    cues = np.zeros((16, 16, 16), np.float32)
    cues[:, 8:, 0] = 50
    cues[:, 7:9, 4:13] = 25  # what contrast and grain come to there
    plain, border = describe(np.zeros_like(cues))[8, 8, TEXTURE], describe(cues)[8, :, TEXTURE]
    as_texture = describe(np.concatenate([np.zeros((16, 16, 4), np.float32), cues[..., 4:]], 2))[8, :, TEXTURE]

    assert (border[:-1] - plain[:-1, None]).max() < 0.6 * (as_texture[:-1] - plain[:-1, None]).max()


def test_rules_of_before_are_told_of_borders_as_they_were(random):
    cues = draw_cues(random, (12, 16))
    contrast = gaussian_filter(cues[..., 4:9:2] ** 2, (2, 2, 0))
    texture = describe(cues, own_side=False)[..., TEXTURE]

    np.testing.assert_allclose(texture[..., 3:6], 0.5 * np.log(contrast + 16), atol=1e-5)
    np.testing.assert_allclose(texture[..., 6:10], 0.5 * np.log(cues[..., 9:13] ** 2 + 16), atol=1e-5)


def test_a_cell_is_told_of_texture_by_its_own_side_of_a_border(random):
    cues = np.zeros((16, 16, 16), np.float32)
    cues[:, 8:, 0], cues[:, 8:, 4:9:2] = 50, 20
    alike = cues.copy()
    alike[..., 0] = 0  # the same textures without a step of colour between them
    apart, blurred = (describe(one)[8, [6, 9]][:, TEXTURE[3:6]] for one in (cues, alike))

    assert (np.abs(apart[1] - apart[0]) > np.abs(blurred[1] - blurred[0])).all()


def test_contrast_below_four_units_of_lightness_hardly_counts():
    cues = np.zeros((3, 16, 16, 16), np.float32)
    cues[1, ..., 4:9:2] = 1.0
    cues[2, ..., 4:9:2] = 20.0
    none, faint, strong = (describe(one)[8, 8, TEXTURE[:6]] for one in cues)

    assert (faint - none < 0.05).all()
    assert (strong - none > 1.5).all()


def test_a_mirrored_image_has_the_mirrored_axes(random):
    cues = draw_cues(random, (6, 10))
    mirrored = describe(np.ascontiguousarray(cues[:, ::-1]), is_mirrored=True)

    np.testing.assert_allclose(mirrored[:, ::-1], describe(cues), atol=1e-5)


def test_half_precision_around_it_changes_nothing(random):
    cues = draw_cues(random, (6, 10))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = describe(cues)

    np.testing.assert_array_equal(inside, describe(cues))
