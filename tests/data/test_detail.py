"""At what size does shrinking begin to lose what is in the images?"""

import numpy as np
import pytest

from fs4cli.data.detail import measure_detail


def _stripes(width: int, side: int = 64) -> np.ndarray:
    columns = (np.arange(side) // width % 2 * 200).astype(np.uint8)
    return np.broadcast_to(columns[None, :, None], (side, side, 3)).copy()


def test_stripes_are_told_apart_until_a_feature_covers_two_of_them():
    # stripes of 8 pixels in images of 64: at a short side of 32 a feature covers 8 pixels, at 16 it covers 16
    detail = measure_detail([_stripes(8)], [64, 32, 16], seed=0)
    assert detail[64] == pytest.approx(1)
    assert detail[32] == pytest.approx(1)
    assert detail[16] == pytest.approx(0, abs=1e-6)


def test_noise_is_lost_as_pixels_are_averaged(random):
    noise = random.integers(0, 256, (256, 256, 3)).astype(np.uint8)
    # a square of 4 x 4 independent pixels has a sixteenth of their variance
    assert measure_detail([noise], [256], seed=0)[256] == pytest.approx(1 / 16, rel=0.1)


def test_an_image_without_contrast_has_nothing_to_lose():
    assert measure_detail([np.full((40, 50, 3), 7, np.uint8)], [8, 32], seed=0) == {8: 1.0, 32: 1.0}


def test_every_image_of_the_sample_counts_alike():
    images = [_stripes(8), _stripes(8), _stripes(8), np.full((64, 64, 3), 7, np.uint8)]
    assert measure_detail(images, [16], seed=0)[16] == pytest.approx(1 / 4)


def test_no_more_images_are_looked_at_than_asked():
    class Counting(list):
        looked = 0

        def __getitem__(self, position):
            self.looked += 1
            return super().__getitem__(position)

    images = Counting([_stripes(8)] * 100)
    measure_detail(images, [16], seed=0, sample=5)
    assert images.looked == 5
