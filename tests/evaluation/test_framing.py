"""The square that a protocol scores, against what Pillow and the published code do."""

import numpy as np
import pytest
from PIL import Image

from fs4cli.evaluation.framing import Frame

SHORT = Frame(320)
THIRD = Frame(128, factor=0.33, nearest="corner")


def crop_as_picie(image: Image.Image, how: Image.Resampling) -> np.ndarray:
    """Resize the short side to 320, cut out the middle: torchvision's functions, with Pillow alone."""
    width, height = image.size
    short = min(width, height)
    image = image.resize((int(320 * width / short), int(320 * height / short)), how)
    left, top = int(round((image.width - 320) / 2.0)), int(round((image.height - 320) / 2.0))
    return np.asarray(image.crop((left, top, left + 320, top + 320)))


@pytest.mark.parametrize("size", [(480, 640), (375, 500), (612, 612), (240, 320), (640, 427), (333, 1001), (320, 321)])
def test_ids_are_resized_and_cropped_as_pillow_does(random, size):
    ids = random.integers(0, 256, size)
    expected = crop_as_picie(Image.fromarray(ids.astype(np.uint8)), Image.Resampling.NEAREST)
    assert (SHORT.frame_ids(ids) == expected).all()


@pytest.mark.parametrize("smooth", [True, False])
def test_images_are_resized_smoothly_or_not_as_the_protocol_has_it(random, smooth):
    pixels = random.integers(0, 256, (375, 500, 3), np.uint8)
    how = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    framed = Frame(320, smooth=smooth).frame_image(pixels)
    assert (framed == crop_as_picie(Image.fromarray(pixels), how)).all()


def test_a_third_of_an_image_is_every_third_pixel_and_what_is_beyond_is_void():
    ids = np.arange(300)[:, None] * np.ones((1, 600), int)
    framed = THIRD.frame_ids(ids)
    # 300 rows become 99, which lie in the middle of 128, from 128 // 2 - 99 // 2 = 15 on
    assert framed.shape == (128, 128)
    assert (framed[:15] == -1).all() and (framed[114:] == -1).all()
    assert framed[15:114, 0].tolist() == [min(int(row / 0.33), 299) for row in range(99)]


def test_what_is_beyond_an_image_is_black():
    framed = THIRD.frame_image(np.full((300, 600, 3), 9, np.uint8))
    assert framed.shape == (128, 128, 3)
    assert set(framed[:15].ravel()) == {0} and set(framed[15:114].ravel()) == {9}


def test_a_large_image_is_cut_from_its_middle():
    ids = np.zeros((600, 900), int)
    ids[:, 450:] = 1  # 198 x 297 pixels; the square begins at column 297 // 2 - 64 = 84
    assert THIRD.frame_ids(ids)[0].tolist() == [int((84 + column) / 0.33 >= 450) for column in range(128)]
