import numpy as np
import pytest

from fs4cli.demo.textures import SIDE, draw_line, make_tiles, sample_tile

NAMES = ("clouds", "dirt", "grain", "waves", "blades", "stones", "cracks", "leaves", "pebbles")


@pytest.fixture(scope="module")
def tiles():
    return make_tiles(0)


@pytest.mark.parametrize("name", NAMES)
def test_tiles_have_mean_0_and_deviation_1(tiles, name):
    assert tiles[name].shape == (SIDE, SIDE)
    assert tiles[name].mean() == pytest.approx(0, abs=1e-4)
    assert tiles[name].std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_tiles_repeat_without_a_seam(tiles, name):
    tile = tiles[name]
    inside = np.abs(np.diff(tile, axis=0)).mean(axis=1)  # one figure a row border; the seam must be like any other
    seam = np.abs(tile[0] - tile[-1]).mean()

    assert seam < inside.mean() + 6 * inside.std()


def test_all_names_are_tested(tiles):
    assert set(tiles) == set(NAMES)


def test_a_tile_is_read_between_its_pixels_and_goes_on_beyond_its_rim():
    tile = np.zeros((SIDE, SIDE), np.float32)
    tile[2, 5] = 8
    u = np.array([5, 5.25, 5, 5 + SIDE, 5 - 3 * SIDE], np.float32)
    v = np.array([2, 2, 2.5, 2, 2 + SIDE], np.float32)

    assert sample_tile(tile, u, v) == pytest.approx([8, 6, 4, 8, 8], abs=1e-3)


def test_waves_lie_and_blades_stand(tiles):
    def roughness(tile):
        return np.abs(np.diff(tile, axis=0)).mean() / np.abs(np.diff(tile, axis=1)).mean()

    assert roughness(tiles["waves"]) > 2
    assert roughness(tiles["blades"]) < 1 / 2


def test_a_profile_closes_on_itself_and_is_torn_as_asked():
    smooth = draw_line(np.random.default_rng(0), 512, roughness=0.0)
    torn = draw_line(np.random.default_rng(0), 512, roughness=1.0)

    assert np.abs(smooth).max() == pytest.approx(1)
    assert abs(smooth[0] - smooth[-1]) < 0.1
    assert np.abs(np.diff(torn)).mean() > 3 * np.abs(np.diff(smooth)).mean()
