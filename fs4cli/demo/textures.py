"""Periodic texture tiles that materials and mosaics are painted with: filtered noise, strokes, cells.

In: a seed. Out: square float tiles with mean 0 and deviation 1 that repeat without a seam, and `sample_tile` to read
them at any coordinates, so that one tile serves near and far, upright and lying down.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from scipy.spatial import KDTree

SIDE = 384
"""Pixels per side of a tile."""

Tiles = dict[str, Float[np.ndarray, "side side"]]


@lru_cache(maxsize=2)
def make_tiles(seed: int) -> Tiles:
    """The tiles of one family of pictures, by name; the same for the same seed.

    Args:
        seed: Of the noise in the tiles.
    """
    random = np.random.default_rng((seed, 0x711E5))
    near, edges, stones = _draw_cells(random, cells=700)
    return {
        "clouds": _draw_noise(random, slope=2.6),
        "dirt": _draw_noise(random, slope=1.4),
        "grain": _draw_noise(random, slope=0.2),
        "waves": _draw_strokes(random, across=0.9, along=7.0, upright=False),
        "blades": _draw_strokes(random, across=0.7, along=3.6, upright=True),
        "stones": stones,
        "cracks": edges,
        "leaves": _draw_leaves(random),
        "pebbles": _normalize(-near),
    }


def sample_tile(
    tile: Float[np.ndarray, "side side"], u: Float[np.ndarray, " n"], v: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """The tile's value at each point, bilinear; the tile repeats for ever.

    Args:
        tile: One of `make_tiles`.
        u: Across, in tile pixels.
        v: Down, in tile pixels.
    """
    return ndimage.map_coordinates(tile, np.stack([v, u]), order=1, mode="grid-wrap", prefilter=False)


def draw_line(random: np.random.Generator, count: int, *, roughness: float) -> Float[np.ndarray, " n"]:
    """A random profile (a ridge, a shore, the rim of a bush) that closes on itself, within about -1 to 1.

    Args:
        random: Where the noise comes from.
        count: Samples along it.
        roughness: 0 for a smooth swell, 1 for a torn edge.
    """
    frequencies = np.fft.rfftfreq(count, 1 / count)
    amplitudes = np.zeros_like(frequencies)
    amplitudes[1:] = frequencies[1:] ** -(2.2 - 1.2 * roughness)
    spectrum = amplitudes * np.exp(2j * np.pi * random.random(len(frequencies)))
    line = np.fft.irfft(spectrum, count)
    return (line / np.abs(line).max()).astype(np.float32)


def _draw_noise(random: np.random.Generator, *, slope: float) -> Float[np.ndarray, "side side"]:
    down, across = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    radius = np.hypot(down, across)
    radius[0, 0] = 1
    amplitude = radius ** (-slope / 2 - 0.5 * (slope > 1))
    amplitude[0, 0] = 0
    spectrum = np.fft.rfft2(random.standard_normal((SIDE, SIDE)))
    return _normalize(np.fft.irfft2(spectrum * amplitude, (SIDE, SIDE)))


def _draw_strokes(
    random: np.random.Generator, *, across: float, along: float, upright: bool
) -> Float[np.ndarray, "side side"]:
    sigmas = (along, across) if upright else (across, along)
    noise = random.standard_normal((SIDE, SIDE))
    fine = _normalize(ndimage.gaussian_filter(noise, sigmas, mode="wrap"))
    coarse = _normalize(ndimage.gaussian_filter(noise[::-1], [2.5 * s for s in sigmas], mode="wrap"))
    return _normalize(np.tanh(fine) + 0.5 * coarse)


def _draw_cells(random: np.random.Generator, *, cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance to the nearest cell's middle, nearness of a border, and one value a cell: all normalized."""
    points = random.random((cells, 2)) * SIDE
    middle = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), axis=-1) + 0.5
    reach = SIDE / cells**0.5  # cells of about this width, their borders bent by a fifth of it
    bends = [ndimage.gaussian_filter(random.standard_normal((SIDE, SIDE)), 0.25 * reach, mode="wrap") for _ in "yx"]
    middle += 0.2 * reach * np.stack([_normalize(bend) for bend in bends], axis=-1)
    distances, owners = KDTree(points, boxsize=SIDE).query(np.mod(middle, SIDE).reshape(-1, 2), k=2)
    near = distances[:, 0].reshape(SIDE, SIDE)
    edges = np.exp(-((distances[:, 1] - distances[:, 0]).reshape(SIDE, SIDE) ** 2) / 3)
    shades = random.standard_normal(cells)[np.asarray(owners)[:, 0]].reshape(SIDE, SIDE)
    return near, _normalize(edges), _normalize(shades - 0.9 * _normalize(near) - 1.6 * edges)


def _draw_leaves(random: np.random.Generator) -> Float[np.ndarray, "side side"]:
    """Lit leaves before dark gaps, in clumps."""
    _, gaps, shades = _draw_cells(random, cells=5000)
    clumps = _normalize(ndimage.gaussian_filter(random.standard_normal((SIDE, SIDE)), 5, mode="wrap"))
    return _normalize(shades + 1.1 * clumps - 0.5 * gaps)


def _normalize(values: np.ndarray) -> Float[np.ndarray, "h w"]:
    return ((values - values.mean()) / values.std()).astype(np.float32)
