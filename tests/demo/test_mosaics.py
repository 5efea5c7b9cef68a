import numpy as np
import pytest

from fs4cli.demo.mosaics import TEXTURES, draw_mosaic


@pytest.mark.parametrize("grey", [False, True])
def test_a_mosaic_is_the_same_for_the_same_arguments(grey):
    one, again = draw_mosaic(1, 2, grey=grey), draw_mosaic(1, 2, grey=grey)

    assert np.array_equal(one.pixels, again.pixels)
    assert np.array_equal(one.labels, again.labels)
    assert not np.array_equal(one.labels, draw_mosaic(1, 3, grey=grey).labels)


def test_grey_mosaics_have_no_colour_and_others_have():
    grey, colour = draw_mosaic(0, 0, grey=True).pixels, draw_mosaic(0, 0).pixels

    assert np.ptp(grey.astype(int), axis=-1).max() == 0
    assert np.ptp(colour.astype(int), axis=-1).mean() > 10


@pytest.mark.parametrize("textures", [2, 5, 8])
def test_as_many_textures_occur_as_asked(textures):
    seen = {int(value) for index in range(12) for value in np.unique(draw_mosaic(0, index, textures=textures).labels)}

    assert seen == set(range(textures))


@pytest.mark.parametrize("textures", [1, 9])
def test_more_textures_than_there_are_are_refused(textures):
    with pytest.raises(ValueError, match=f"not {textures}"):
        draw_mosaic(0, 0, textures=textures)


def test_a_mosaic_too_small_is_refused_by_its_size():
    with pytest.raises(ValueError, match="16 x 64"):
        draw_mosaic(0, 0, height=16, width=64)


def test_brightness_does_not_tell_the_textures_apart():
    """How bright a region is varies more between regions of one texture than between textures."""
    regions = [[] for _ in TEXTURES]
    for index in range(30):
        mosaic = draw_mosaic(0, index, textures=len(TEXTURES), grey=True)
        for value in np.unique(mosaic.labels):
            regions[value].append(mosaic.pixels[mosaic.labels == value].mean())

    assert np.std([np.mean(found) for found in regions]) < np.mean([np.std(found) for found in regions])
