"""Textured outdoor-like scenes with their ground truth, drawn in code: hills, water, fields, roads, houses, trees.

In: a seed and a number. Out: a picture and the material of every pixel. Horizon, tilt, light and layout change from
scene to scene and things stand before one another, so that neither colour nor position alone tells the materials apart.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage

from fs4cli.demo.canvas import Canvas, cover, cover_with_sky, start_canvas, take_picture
from fs4cli.demo.materials import MATERIALS, draw_weather
from fs4cli.demo.objects import hang_branches, place_bush, place_house, place_rock, place_row, place_tree
from fs4cli.demo.textures import draw_line, make_tiles, sample_tile

HEIGHT, WIDTH = 192, 256
_KINDS = (place_tree, place_bush, place_rock, place_house)


@dataclass(frozen=True)
class Scene:
    """A drawn picture and what is where in it.

    Args:
        pixels: RGB.
        labels: The class of each pixel.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    labels: UInt8[np.ndarray, "H W"]


def draw_scene(seed: int, index: int, *, height: int = HEIGHT, width: int = WIDTH) -> Scene:
    """One outdoor scene; the same for the same seed, index and size.

    Args:
        seed: Of the whole folder; its scenes share their texture tiles.
        index: Which scene of the folder.
        height: Pixels, at least 32.
        width: Pixels, at least 32.

    Raises:
        ValueError: The picture would be smaller than 32 pixels.
    """
    if min(height, width) < 32:
        raise ValueError(f"a scene of {height} x {width} pixels is too small to draw; 32 is the least")
    random = np.random.default_rng((seed, index))
    canvas = start_canvas(
        random, make_tiles(seed), draw_weather(random), height=height, width=width, roll=random.normal(0, 0.06)
    )
    looks_down = random.random() < 0.15
    horizon = height * (random.uniform(-0.5, -0.15) if looks_down else random.uniform(0.22, 0.68))
    cover_with_sky(canvas, horizon)
    if not looks_down:
        _raise_hills(canvas, horizon)
    _lay_ground(canvas, horizon)
    _place_objects(canvas, horizon)
    if random.random() < 0.15:
        hang_branches(canvas)
    return Scene(take_picture(canvas), canvas.labels)


def _raise_hills(canvas: Canvas, horizon: float) -> None:
    random, (height, width) = canvas.random, canvas.size
    for step in range(random.integers(0, 3)):
        material = str(random.choice(("foliage", "rock", "grass"), p=(0.5, 0.35, 0.15)))
        rise = height * random.uniform(0.05, 0.22) / (1 + step)
        torn = {"foliage": 0.8, "rock": 0.55, "grass": 0.1}[material]
        ridge = draw_line(random, 2 * width, roughness=torn)[:width] * rise * 0.6
        mask = canvas.down > horizon - rise - ridge[None]
        closeness = (2.4 if material == "grass" else 1.5) - 0.3 * step
        cover(
            canvas,
            mask,
            material,
            canvas.across * closeness,
            canvas.down * closeness,
            haze=random.uniform(0.1, 0.5) / (1 + step),
        )


def _lay_ground(canvas: Canvas, horizon: float) -> None:
    """Materials that lie flat: one everywhere, a second and a third in patches, a road through them."""
    random, (height, _) = canvas.random, canvas.size
    reach = max(height - horizon, 30.0)
    below = (
        np.clip(canvas.down - horizon, 0, None) + 0.09 * reach
    )  # never 0: at the horizon a texture would only flicker
    u = canvas.across * reach / below * 0.9  # tile pixels come closer together with distance ...
    v = reach * np.log(below / reach)  # ... in both directions alike, so that blades stay upright
    flat_v = -reach * reach / below * 0.35
    ground = canvas.down > horizon
    haze = np.clip(0.45 - 1.6 * below / reach, 0, 0.45)
    materials = list(random.permutation(["grass", "water", "rock", "road"])[: random.integers(1, 4)])
    cover(canvas, ground, str(materials[0]), u, v, haze=haze)
    for material in materials[1:]:
        offset = random.uniform(0, 384, 2)
        lay_of_land = sample_tile(
            canvas.tiles["clouds"], (u * 0.3 + offset[0]).ravel(), (flat_v * 0.3 + offset[1]).ravel()
        ).reshape(canvas.size)
        lay_of_land = ndimage.gaussian_filter(lay_of_land, 1.0)
        mask = ground & (lay_of_land > np.quantile(lay_of_land[ground], random.uniform(0.4, 0.75)))
        cover(canvas, mask, str(material), u, v, haze=haze)
    if random.random() < 0.4 and horizon > 0:
        _lay_road(canvas, ground, u, v, haze=haze, below=below / reach)


def _lay_road(
    canvas: Canvas, ground: np.ndarray, u: np.ndarray, v: np.ndarray, *, haze: np.ndarray, below: np.ndarray
) -> None:
    random, (_, width) = canvas.random, canvas.size
    middle = width * (random.uniform(-0.35, 0.35) + random.normal(0, 0.5) * (1 - below) * below)
    half = width * random.uniform(0.15, 0.42) * below
    aside = np.abs(canvas.across - random.normal(0, 0.08) * width * (1 - below) - middle * below)
    cover(canvas, ground & (aside < half), "road", u, v, haze=haze)
    if random.random() < 0.5:  # a dashed line
        dashes = ground & (aside < half * 0.04) & (np.sin(1.6 / below + random.uniform(0, 6)) > 0)
        canvas.pixels[dashes] = 0.35 * canvas.pixels[dashes] + 0.65 * 215


def _place_objects(canvas: Canvas, horizon: float) -> None:
    """Things that stand up, the far ones first."""
    random, (height, width) = canvas.random, canvas.size
    if random.random() < 0.4:
        place_row(canvas, horizon)
    distances = np.sort(random.uniform(0.08, 0.95, random.integers(1, 7)))
    for nearness in distances:
        foot = max(horizon, 0.1 * height) + nearness * (height - max(horizon, 0.1 * height))
        place = (float(random.uniform(-0.05, 1.05) * width), float(foot))
        tall = float(height * (0.14 + 0.6 * nearness))
        kind = _KINDS[random.choice(len(_KINDS), p=(0.3, 0.2, 0.25, 0.25))]
        if kind is place_rock or _is_land(canvas, place):
            kind(canvas, place, tall)


def _is_land(canvas: Canvas, place: tuple[float, float]) -> bool:
    height, width = canvas.size
    column, row = int(np.clip(place[0], 0, width - 1)), int(np.clip(place[1], 0, height - 1))
    return MATERIALS[canvas.labels[row, column]] not in ("water", "sky")
