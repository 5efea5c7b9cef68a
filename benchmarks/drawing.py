"""What drawn pictures of the bench are made of: smooth noise, ellipses that stray, colours that vary.

In: a source of chance. Out: planes and regions of one picture, `HEIGHT` by `WIDTH` pixels.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

from fs4cli.demo.scenes import Scene

Plane = Float[np.ndarray, "H W"]
Region = Bool[np.ndarray, "H W"]
Paint = Float[np.ndarray, "H W 3"]
Drawing = tuple[Paint, np.ndarray]
"""Colours in [0, 255], perhaps beyond, and the class of every pixel."""

HEIGHT, WIDTH = 240, 320
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]


def cloud(random: np.random.Generator, size: float) -> Plane:
    """Noise of mean about 0 and deviation 1, smooth over so many pixels."""
    noise = gaussian_filter(random.normal(size=(HEIGHT, WIDTH)), size)
    return noise / (noise.std() + 1e-9)


def turn_to(row: float | Plane, column: float, turn: float) -> tuple[Plane, Plane]:
    """How far each pixel lies from a point, along a direction and across it."""
    down, right = ROWS - row, COLUMNS - column
    return right * np.cos(turn) + down * np.sin(turn), -right * np.sin(turn) + down * np.cos(turn)


def blob(
    random: np.random.Generator, row: float | Plane, column: float, radii: np.ndarray, turn: float, rough: float = 0.12
) -> Region:
    """An ellipse whose outline strays by a share of its radius."""
    along, across = turn_to(row, column, turn)
    angle, radius = np.arctan2(across / radii[1], along / radii[0]), np.hypot(along / radii[0], across / radii[1])
    waves = sum(random.normal() * np.cos(times * angle + random.uniform(0, 6.3)) for times in (2, 3, 5))
    return radius < 1 + rough * waves / 1.7


def mix(colour: np.ndarray | tuple[float, ...] | list[int], *changes: Plane) -> Paint:
    """A colour everywhere, lighter or darker by some planes."""
    return np.asarray(colour, float) + sum(changes, np.zeros((HEIGHT, WIDTH)))[..., None]


def soften(paint: Paint, size: float) -> Paint:
    """Blurred by a Gaussian of that deviation, in pixels."""
    return gaussian_filter(paint, (size, size, 0))


def to_paint(grey: Plane) -> Paint:
    """The same in three channels."""
    return np.repeat(grey[..., None], 3, axis=2)


def to_scene(drawing: Drawing) -> Scene:
    """The picture in bytes, too bright and too dark cut off, with its labels."""
    pixels, labels = drawing
    return Scene(np.clip(pixels, 0, 255).astype(np.uint8), labels.astype(np.uint8))
