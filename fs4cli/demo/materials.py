"""What the scenes are made of: seven materials, each a texture with a colour that another material may share.

In: the points to paint, as texture coordinates, and what varies with the weather. Out: RGB. Sky and water share their
colours, as do grass and foliage, and rock, building and road: to tell them apart takes the texture.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fs4cli.demo.textures import Tiles, sample_tile

MATERIALS = ("sky", "water", "grass", "rock", "foliage", "building", "road")
"""The classes of the scenes; a material's place here is its value in the ground truth."""

PALETTE = np.array(
    [(120, 170, 230), (30, 90, 170), (150, 200, 80), (150, 130, 110), (30, 110, 50), (200, 80, 60), (90, 90, 100)],
    dtype=np.uint8,
)
"""The colour of each material in the ground truth and in the overview."""

_SKIES = (  # at the top, at the horizon
    ((92, 140, 205), (186, 208, 228)),
    ((120, 160, 210), (215, 222, 226)),
    ((168, 172, 178), (206, 207, 206)),
    ((128, 136, 148), (176, 178, 176)),
    ((96, 108, 158), (236, 190, 150)),
)
_GREENS = ((86, 122, 48), (112, 136, 62), (148, 146, 78), (74, 104, 52), (128, 128, 60))
_AUTUMN = ((158, 104, 48), (164, 136, 58))
_STONES = ((132, 127, 121), (146, 120, 96), (168, 148, 118), (110, 108, 110), (152, 92, 76))


@dataclass(frozen=True)
class Weather:
    """The colours of one scene's sky and air; whatever lies far away takes on `horizon`.

    Args:
        top: RGB of the sky overhead, 0 to 255.
        horizon: RGB of the sky at the horizon, 0 to 255.
        clouds: How much of the sky is cloud, 0 to 1.
    """

    top: Float[np.ndarray, " 3"]
    horizon: Float[np.ndarray, " 3"]
    clouds: float


def draw_weather(random: np.random.Generator) -> Weather:
    """A random sky: blue, hazy, overcast, dark or evening."""
    top, horizon = _SKIES[random.integers(len(_SKIES))]
    shift = random.normal(0, 6, 3)
    clouds = float(random.choice((0.0, 0.35, 0.55, 0.75)))
    return Weather((np.array(top) + shift).astype(np.float32), (np.array(horizon) + shift).astype(np.float32), clouds)


def draw_colour(random: np.random.Generator, material: str, weather: Weather) -> Float[np.ndarray, " 3"]:
    """A base colour that the material may have; the families overlap on purpose.

    Args:
        random: Where the choice comes from.
        material: One of `MATERIALS`; the sky has no base colour, it is `weather`.
        weather: Water mirrors it.
    """
    if material == "water":
        depth = np.array((58, 84, 92)) + random.normal(0, 8, 3)
        share = random.uniform(0.45, 0.85)
        return (share * (weather.top + weather.horizon) / 2 * 0.88 + (1 - share) * depth).astype(np.float32)
    if material in ("grass", "foliage"):
        family = _AUTUMN if random.random() < 0.12 else _GREENS
        darkness = 0.78 if material == "foliage" else 1.0
    else:
        family, darkness = _STONES, 0.86 if material == "road" else 1.0
    colour = np.array(family[random.integers(len(family))], dtype=np.float32)
    if material == "road":  # asphalt is greyer than stone, but not always
        colour = colour + (colour.mean() - colour) * random.uniform(0.3, 1.0)
    return (colour * darkness * random.uniform(0.88, 1.12) + random.normal(0, 5, 3)).astype(np.float32)


def paint_sky(
    tiles: Tiles,
    u: Float[np.ndarray, " n"],
    v: Float[np.ndarray, " n"],
    height: Float[np.ndarray, " n"],
    weather: Weather,
) -> Float[np.ndarray, "n 3"]:
    """A gradient with clouds that flatten towards the horizon.

    Args:
        tiles: Of `make_tiles`.
        u: Across, in tile pixels.
        v: Down, in tile pixels.
        height: Above the horizon, 0 to 1.
        weather: The scene's sky.
    """
    share = np.clip(height, 0, 1)[:, None] ** 0.7
    sky = weather.horizon * (1 - share) + weather.top * share
    if weather.clouds:
        billows = sample_tile(tiles["clouds"], u * 0.6, v * (1.2 + 1.2 * (1 - share[:, 0])))
        cover = np.clip((billows - 1.1 + 2.0 * weather.clouds) * 0.9, 0, 1)[:, None] * 0.75
        shade = np.clip(0.5 - 0.25 * sample_tile(tiles["clouds"], u * 0.6 + 9, v * 1.4 + 14), 0, 1)[:, None]
        cloud = 238 - 52 * shade + 0.12 * (weather.horizon - weather.horizon.mean())
        sky = sky * (1 - cover) + cloud * cover
    return sky.astype(np.float32)


def paint_material(
    tiles: Tiles,
    material: str,
    u: Float[np.ndarray, " n"],
    v: Float[np.ndarray, " n"],
    colour: Float[np.ndarray, " 3"],
) -> Float[np.ndarray, "n 3"]:
    """Any material but the sky at the given points.

    Args:
        tiles: Of `make_tiles`.
        material: One of `MATERIALS` but "sky".
        u: Across, in tile pixels; a scene adds its own offset, so that no two show the same piece.
        v: Down, in tile pixels.
        colour: Base colour, 0 to 255.
    """
    patches = sample_tile(tiles["dirt"], u * 0.35, v * 0.35)
    tone = {
        "water": lambda: 0.13 * sample_tile(tiles["waves"], u * 0.7, v * 1.5) + 0.03 * patches,
        "grass": lambda: 0.17 * sample_tile(tiles["blades"], u, v) + 0.06 * patches,
        "rock": lambda: 0.19 * sample_tile(tiles["stones"], u * 0.8, v * 0.8) + 0.08 * sample_tile(tiles["dirt"], u, v),
        "foliage": lambda: 0.33 * sample_tile(tiles["leaves"], u * 0.9, v * 0.9),
        "building": lambda: lay_bricks(tiles, u, v) + 0.04 * patches,
        "road": lambda: 0.055 * sample_tile(tiles["grain"], u * 0.8, v * 0.8) + 0.05 * patches,
    }[material]()
    warmth = np.array((1.0, 1.0, 0.85), dtype=np.float32)  # what is lit is a little yellower than what is not
    painted = colour * np.exp(tone)[:, None] * warmth ** np.clip(tone, -0.5, 0.5)[:, None]
    if material == "water":
        glints = np.clip(sample_tile(tiles["waves"], u * 0.7 + 5, v * 1.5 + 7) - 1.9, 0, 1)[:, None]
        painted = painted + 70 * glints
    return painted.astype(np.float32)


def lay_bricks(tiles: Tiles, u: Float[np.ndarray, " n"], v: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Rows of bricks 11 tile pixels wide and 5 high, each of its own tone, with light mortar between.

    Args:
        tiles: Of `make_tiles`.
        u: Across, in tile pixels.
        v: Down, in tile pixels.

    Returns:
        The logarithm of the light, about -0.3 to 0.2.
    """
    row = np.floor(v / 5)
    across = u / 11 + 0.5 * (row % 2)
    down = v / 5 - row
    mortar = np.clip(1.6 - np.minimum(np.minimum(down, 1 - down) * 5, np.abs(across - np.round(across)) * 11), 0, 1)
    brick = sample_tile(tiles["grain"], np.floor(across) * 7.3, row * 5.1)
    return (0.11 * brick * (1 - mortar) + 0.26 * mortar - 0.07).astype(np.float32)
