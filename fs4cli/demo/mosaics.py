"""Texture mosaics with their ground truth: random regions, each filled with one of a few textures.

In: a seed and a number. Out: a picture and the texture of every pixel. A region's brightness says nothing about its
texture, and without colour nothing else does: the family measures how far texture alone is understood.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from fs4cli.demo.materials import lay_bricks
from fs4cli.demo.scenes import HEIGHT, WIDTH, Scene
from fs4cli.demo.textures import Tiles, make_tiles, sample_tile

Points = Float[np.ndarray, " n"]

TEXTURES: dict[str, Callable[[Tiles, Points, Points], Points]] = {
    "stones": lambda tiles, u, v: sample_tile(tiles["stones"], u, v),
    "waves": lambda tiles, u, v: sample_tile(tiles["waves"], u, 1.5 * v),
    "blades": lambda tiles, u, v: sample_tile(tiles["blades"], u, v),
    "bricks": lambda tiles, u, v: 7 * lay_bricks(tiles, u, v),
    "leaves": lambda tiles, u, v: sample_tile(tiles["leaves"], u, v),
    "grain": lambda tiles, u, v: sample_tile(tiles["grain"], u, v),
    "dirt": lambda tiles, u, v: sample_tile(tiles["dirt"], u, v),
    "pebbles": lambda tiles, u, v: sample_tile(tiles["pebbles"], 1.6 * u, 1.6 * v),
}
"""A value around 0, of deviation about 1, for each point; a texture's place here is its value in the ground truth."""

# a base colour of each, all about as bright; regions stray from it so far that neighbours in this list overlap
_COLOURS = np.array(
    [(132, 122, 112), (96, 126, 150), (118, 134, 84), (156, 112, 100), (104, 132, 96), (124, 124, 128), (142, 120, 92),
     (110, 122, 132)],
    dtype=np.float32,
)  # fmt: skip


def draw_mosaic(
    seed: int, index: int, *, textures: int = 6, grey: bool = False, height: int = HEIGHT, width: int = WIDTH
) -> Scene:
    """One mosaic; the same for the same arguments.

    Args:
        seed: Of the whole folder; its mosaics share their texture tiles.
        index: Which mosaic of the folder.
        textures: How many kinds may occur, 2 to 8: the first of `TEXTURES`.
        grey: Red, green and blue are alike.
        height: Pixels, at least 32.
        width: Pixels, at least 32.

    Raises:
        ValueError: `textures` is out of bounds, or the picture would be smaller than 32 pixels.
    """
    if not 2 <= textures <= len(TEXTURES):
        raise ValueError(f"there are 2 to {len(TEXTURES)} textures, not {textures}")
    if min(height, width) < 32:
        raise ValueError(f"a mosaic of {height} x {width} pixels is too small to draw; 32 is the least")
    random = np.random.default_rng((seed, index, textures, grey))
    tiles = make_tiles(seed)
    regions = _divide(random, tiles, height=height, width=width)
    kinds = random.permutation(np.arange(regions.max() + 1) % textures)
    labels = kinds[regions].astype(np.uint8)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    pixels = np.zeros((height, width, 3), np.float32)
    for region, kind in enumerate(kinds.tolist()):
        inside = regions == region
        turn, scale = random.normal(0, 0.12), random.uniform(0.75, 1.25)
        u = (scale * (x * np.cos(turn) - y * np.sin(turn)) + random.uniform(0, 384)).astype(np.float32)
        v = (scale * (x * np.sin(turn) + y * np.cos(turn)) + random.uniform(0, 384)).astype(np.float32)
        tone = list(TEXTURES.values())[kind](tiles, u[inside], v[inside])
        colour = np.full(3, 124.0) if grey else _COLOURS[kind] + random.normal(0, 9, 3)
        pixels[inside] = colour * random.uniform(0.7, 1.3) * np.exp(0.2 * np.clip(tone, -2.5, 2.5))[:, None]
    pixels = ndimage.gaussian_filter(pixels, (0.5, 0.5, 0))
    noise = random.normal(0, 3, (height, width, 1 if grey else 3))
    return Scene(np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8), labels)


def _divide(random: np.random.Generator, tiles: Tiles, *, height: int, width: int) -> np.ndarray:
    """The region of each pixel: the nearest of a few points, with borders that are not straight."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    bend = 0.05 * min(height, width)
    for axis in (y, x):
        offset = random.uniform(0, 384, 2)
        axis += bend * sample_tile(tiles["clouds"], (x + offset[0]).ravel(), (y + offset[1]).ravel()).reshape(x.shape)
    points = random.random((random.integers(5, 11), 2)) * (height, width)
    distances = np.hypot(y[..., None] - points[:, 0], x[..., None] - points[:, 1])
    return distances.argmin(axis=-1)
