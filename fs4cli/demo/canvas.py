"""A picture in the making: pixels and ground truth side by side, so that what is painted is labelled.

In: masks, materials and colours, from far to near. Out: RGB in 0 to 255 and the material of every pixel; then the air,
the light and the camera, which change the pixels alone.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw
from scipy import ndimage

from fs4cli.demo.materials import MATERIALS, Weather, draw_colour, paint_material, paint_sky
from fs4cli.demo.textures import Tiles, sample_tile


@dataclass
class Canvas:
    """One picture in the making.

    Args:
        pixels: RGB, 0 to 255.
        labels: The material of each pixel, its place in `MATERIALS`.
        across: Of each pixel from the middle, turned with the camera, in pixels.
        down: Of each pixel from the top, turned with the camera, in pixels.
        random: Where this picture's choices come from.
        tiles: Of `make_tiles`.
        weather: The sky over it.
        sun: Where the light comes from: -1 from the left, 1 from the right.
    """

    pixels: Float[np.ndarray, "H W 3"]
    labels: UInt8[np.ndarray, "H W"]
    across: Float[np.ndarray, "H W"]
    down: Float[np.ndarray, "H W"]
    random: np.random.Generator
    tiles: Tiles
    weather: Weather
    sun: float

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.labels.shape[0], self.labels.shape[1]


def start_canvas(
    random: np.random.Generator, tiles: Tiles, weather: Weather, *, height: int, width: int, roll: float
) -> Canvas:
    """An unpainted canvas; `roll` turns the camera, in radians."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x -= (width - 1) / 2
    y -= (height - 1) / 2
    across = (x * np.cos(roll) - y * np.sin(roll)).astype(np.float32)
    down = (x * np.sin(roll) + y * np.cos(roll) + (height - 1) / 2).astype(np.float32)
    return Canvas(
        pixels=np.zeros((height, width, 3), np.float32),
        labels=np.zeros((height, width), np.uint8),
        across=across,
        down=down,
        random=random,
        tiles=tiles,
        weather=weather,
        sun=float(random.choice((-1, 1)) * random.uniform(0.3, 1)),
    )


def cover_with_sky(canvas: Canvas, horizon: float) -> None:
    """Paint the whole canvas as sky that ends at `horizon` (rows from the top)."""
    everywhere = np.ones(canvas.size, bool)
    u, v = _shift(canvas, canvas.across, canvas.down)
    above = (horizon - canvas.down) / max(40.0, horizon + 10)
    colours = paint_sky(canvas.tiles, u.ravel(), v.ravel(), above.ravel(), canvas.weather)
    _lay(canvas, everywhere, "sky", colours.reshape(*canvas.size, 3))


def cover(
    canvas: Canvas,
    mask: Bool[np.ndarray, "H W"],
    material: str,
    u: Float[np.ndarray, "H W"],
    v: Float[np.ndarray, "H W"],
    *,
    colour: Float[np.ndarray, " 3"] | None = None,
    shade: Float[np.ndarray, "H W"] | float = 1.0,
    haze: Float[np.ndarray, "H W"] | float = 0.0,
) -> None:
    """Paint a material over whatever lies under `mask`, and label it so.

    Args:
        canvas: Where to.
        mask: The pixels; the rim is softened over about one pixel.
        material: Not the sky.
        u: Across, in tile pixels; shifted at random, so that no two covers show the same piece of a tile.
        v: Down, in tile pixels.
        colour: Base colour, or one that the material may have.
        shade: Factor on the light, 1 for none.
        haze: Share of the horizon's colour, 0 to 1.
    """
    if not mask.any():
        return
    if colour is None:
        colour = draw_colour(canvas.random, material, canvas.weather)
    u, v = _shift(canvas, u, v)
    box = _surround(mask)
    near = np.asarray(ndimage.binary_dilation(mask[box], iterations=2), dtype=bool)
    painted = paint_material(canvas.tiles, material, u[box][near], v[box][near], colour)
    painted *= np.broadcast_to(np.asarray(shade, np.float32), canvas.size)[box][near, None]
    share = np.broadcast_to(np.asarray(haze, np.float32), canvas.size)[box][near, None]
    colours = np.zeros((*near.shape, 3), np.float32)
    colours[near] = painted * (1 - share) + canvas.weather.horizon * share
    _lay(canvas, mask, material, colours, box)


def darken(canvas: Canvas, mask: Bool[np.ndarray, "H W"], *, softness: float, light: float) -> None:
    """Cast a shadow: multiply the light under `mask` by `light`, with a rim of `softness` pixels."""
    if not mask.any():
        return
    box = _surround(mask, margin=int(4 * softness))
    share = ndimage.gaussian_filter(mask[box].astype(np.float32), softness)[..., None]
    canvas.pixels[box] *= 1 - share * (1 - light)


def fill_polygon(canvas: Canvas, points: list[tuple[float, float]]) -> Bool[np.ndarray, "H W"]:
    """The pixels inside a polygon of (x, y) corners."""
    height, width = canvas.size
    picture = Image.new("1", (width, height))
    ImageDraw.Draw(picture).polygon(points, fill=1)
    return np.array(picture, dtype=bool)


def take_picture(canvas: Canvas) -> UInt8[np.ndarray, "H W 3"]:
    """What a camera makes of the canvas: light that differs from shot to shot, blur, noise, 8 bits."""
    random, (height, width) = canvas.random, canvas.size
    if random.random() < 0.5:  # the shade of a cloud
        cloud = sample_tile(
            canvas.tiles["clouds"],
            (canvas.across * 0.35 + random.uniform(0, 384)).ravel(),
            (canvas.down * 0.7 + random.uniform(0, 384)).ravel(),
        ).reshape(height, width)
        shaded = (cloud > random.uniform(0.2, 1.2)) & (canvas.labels != MATERIALS.index("sky"))
        darken(canvas, shaded, softness=5.0, light=random.uniform(0.55, 0.8))
    slope = random.uniform(-0.18, 0.18, 2)
    light = 1 + slope[0] * canvas.across / width + slope[1] * (canvas.down / height - 0.5)
    gain = random.uniform(0.72, 1.18) * (1 + random.normal(0, 0.03, 3))
    pixels = canvas.pixels * light[..., None] * gain
    corner = np.hypot(canvas.across / width, canvas.down / height - 0.5)[..., None]
    pixels = pixels * (1 - random.uniform(0, 0.35) * corner**2)
    blur = random.uniform(0.0, 0.75)
    pixels = ndimage.gaussian_filter(pixels, (blur, blur, 0))
    noise = random.normal(0, 1, pixels.shape) * random.uniform(1.0, 4.5) * np.sqrt(np.clip(pixels, 8, 255) / 128)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def _lay(
    canvas: Canvas,
    mask: np.ndarray,
    material: str,
    colours: np.ndarray,
    box: tuple[slice, slice] = (slice(None), slice(None)),
) -> None:
    share = ndimage.gaussian_filter(mask[box].astype(np.float32), 0.6)
    share = np.where(mask[box], np.maximum(share, 0.5), np.minimum(share, 0.5))[..., None]
    canvas.pixels[box] = canvas.pixels[box] * (1 - share) + colours * share
    canvas.labels[mask] = MATERIALS.index(material)


def _surround(mask: np.ndarray, margin: int = 4) -> tuple[slice, slice]:
    """The rectangle around a mask that is not empty, with a margin."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(0, rows[0] - margin), rows[-1] + margin + 1),
        slice(max(0, columns[0] - margin), columns[-1] + margin + 1),
    )


def _shift(canvas: Canvas, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    offset = canvas.random.uniform(0, 384, 2).astype(np.float32)
    return u + offset[0], v + offset[1]
