"""Seven kinds of pictures that hardly any rule was chosen on, each with ground truth: what defaults do on new domains.

In: a seed. Out: a picture and the class of every pixel. Each family asks something else: a class of 1.5 or 0.3 % of all
pixels, one of 97 %, light that differs from picture to picture and across each, things that always lie in one place.

What pictures like these led to are the starts that groupings try, set with four of these and relatives of other seeds
in sight (docs/results.md).
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

from fs4cli.demo.scenes import Scene

Plane = Float[np.ndarray, "H W"]
Region = Bool[np.ndarray, "H W"]
Paint = Float[np.ndarray, "H W 3"]
Drawing = tuple[Paint, np.ndarray]

_HEIGHT, _WIDTH = 240, 320
_ROWS, _COLUMNS = np.mgrid[:_HEIGHT, :_WIDTH]

FAMILIES: dict[str, tuple[str, ...]] = {
    "microscope": ("ground", "cytoplasm", "nucleus", "debris"),
    "farmland": ("wheat", "grass", "soil", "forest", "water", "road"),
    "plants": ("soil", "pot", "leaf", "fruit"),
    "metal": ("metal", "stain", "scratch", "screw"),
    "belt": ("belt", "rail", "orange", "green"),
    "street": ("sky", "road", "wall", "tree", "car"),
    "meadow": ("sky", "trees", "grass", "cow"),
}
"""The classes of each family; the place is the id."""


def draw_family(name: str, seed: Sequence[int]) -> Scene:
    """One picture of a family, 240 by 320 pixels.

    Args:
        name: One of `FAMILIES`.
        seed: Of the picture; numbers together.
    """
    pixels, labels = _DRAW[name](np.random.default_rng(seed))
    return Scene(np.clip(pixels, 0, 255).astype(np.uint8), labels.astype(np.uint8))


def _draw_microscope(random: np.random.Generator) -> Drawing:
    """Grey; cells of three shades in light that falls off to one side, 0.3 % bright specks."""
    labels = np.zeros((_HEIGHT, _WIDTH), int)
    grey = np.full((_HEIGHT, _WIDTH), 150.0) + 3 * _cloud(random, 2)
    for _ in range(random.integers(10, 22)):
        row, column = random.uniform(0, _HEIGHT), random.uniform(0, _WIDTH)
        radii, turn = random.uniform(18, 34, 2), random.uniform(0, 3.1)
        body = _blob(random, row, column, radii, turn)
        middle = row + random.normal() * 3, column + random.normal() * 3
        nucleus = _blob(random, *middle, 0.42 * radii, turn) & body
        grey[body], labels[body] = (128 + 7 * _cloud(random, 1.2))[body], 1
        grey[nucleus], labels[nucleus] = (96 + 13 * _cloud(random, 1.6))[nucleus], 2
    for _ in range(random.integers(4, 12)):
        middle = random.uniform(0, _HEIGHT), random.uniform(0, _WIDTH)
        speck = _blob(random, *middle, random.uniform(2, 4.5, 2), 0, rough=0.05)
        grey[speck], labels[speck] = 215, 3
    slope = random.uniform(-1, 1) * (_COLUMNS / _WIDTH - 0.5) + random.uniform(-1, 1) * (_ROWS / _HEIGHT - 0.5)
    grey = gaussian_filter(grey, 0.7) * (1 + 0.36 * slope)
    grey = grey * random.uniform(0.92, 1.08) + random.normal(size=grey.shape) * 4
    return _to_paint(grey), labels


def _draw_farmland(random: np.random.Generator) -> Drawing:
    """From above: fields of five kinds in any order, narrow roads across them, light of its own for each picture."""
    count = random.integers(7, 14)
    seeds = random.uniform(0, 1, (count, 2)) * [_HEIGHT, _WIDTH]
    field = ((_ROWS[..., None] - seeds[:, 0]) ** 2 + (_COLUMNS[..., None] - seeds[:, 1]) ** 2).argmin(2)
    labels, paint = np.zeros((_HEIGHT, _WIDTH), int), np.zeros((_HEIGHT, _WIDTH, 3))
    kinds = random.permutation(np.concatenate([np.arange(5), random.integers(0, 5, count)]))[:count]
    for number, kind in enumerate(kinds.tolist()):
        turn, broad = random.uniform(0, 3.14), _cloud(random, random.uniform(8, 15))
        if kind == 0:
            rows = np.sin((_COLUMNS * np.cos(turn) + _ROWS * np.sin(turn)) * random.uniform(0.9, 1.2))
            colour = _mix((186, 168, 92), 14 * rows, 5 * _cloud(random, 1))
        elif kind == 1:
            colour = _mix((104, 142, 70), 6 * broad, 6 * _cloud(random, 1))
        elif kind == 2:
            colour = _mix((128, 98, 74), 9 * _cloud(random, 1), 8 * _cloud(random, 4))
        elif kind == 3:
            colour = _mix((58, 84, 48), 20 * _cloud(random, 3), 10 * _cloud(random, 1))
        else:
            colour = _mix((62, 88, 112), 3 * _cloud(random, 1), 3 * broad)
        here = field == number
        paint[here], labels[here] = (colour * random.uniform(0.9, 1.1))[here], kind
    for _ in range(random.integers(1, 4)):
        turn, offset = random.uniform(0, 3.14), random.uniform(-70, 70)
        across = (_COLUMNS - _WIDTH / 2) * np.cos(turn) + (_ROWS - _HEIGHT / 2) * np.sin(turn)
        along = -_COLUMNS * np.sin(turn) + _ROWS * np.cos(turn)
        road = abs(across + 8 * np.sin(along / 45) - offset) < random.uniform(3, 5)
        paint[road], labels[road] = _mix((158, 152, 146), 5 * _cloud(random, 1))[road], 5
    paint = _soften(paint, 0.6) * random.uniform(0.87, 1.13) * (1 + random.normal(size=3) * 0.02)
    return paint + random.normal(size=paint.shape) * 4, labels


def _draw_plants(random: np.random.Generator) -> Drawing:
    """Pots before soil, leaves of many shades, 1.5 % fruit; light that changes across the picture."""
    labels = np.zeros((_HEIGHT, _WIDTH), int)
    paint = _mix((88, 68, 54), 10 * _cloud(random, 1.2), 10 * _cloud(random, 5))
    for _ in range(random.integers(2, 4)):
        middle, half, top = random.uniform(30, _WIDTH - 30), random.uniform(26, 40), random.uniform(140, 180)
        pot = (abs(_COLUMNS - middle) < half * (1 - 0.25 * (_ROWS - top) / 100)) & (_ROWS > top)
        shade = (1 - 0.25 * abs(_COLUMNS - middle) / half)[..., None]
        paint[pot] = (np.array([176, 104, 72]) * shade + 4 * _cloud(random, 1)[..., None])[pot]
        labels[pot] = 1
        for _ in range(random.integers(14, 26)):
            row, column = top - random.uniform(0, 115), middle + random.normal() * 32
            turn = random.uniform(0, 3.14)
            radii = np.array([random.uniform(12, 24), random.uniform(5, 10)])
            leaf = _blob(random, row, column, radii, turn, rough=0.06)
            from_vein = abs(-(_COLUMNS - column) * np.sin(turn) + (_ROWS - row) * np.cos(turn))
            green = np.array([74, 128, 58]) * random.uniform(0.7, 1.25)
            colour = _mix(green, 14 * np.exp(-from_vein / 1.2), 6 * _cloud(random, 1))
            colour = colour + np.array([random.uniform(-8, 14), 0, 0])
            paint[leaf], labels[leaf] = colour[leaf], 2
        for _ in range(random.integers(2, 6)):
            row, column = top - random.uniform(5, 95), middle + random.normal() * 28
            fruit = _blob(random, row, column, np.full(2, random.uniform(5, 9)), 0, rough=0.03)
            shade = (1 - 0.03 * np.hypot(_ROWS, _COLUMNS) % 0.2)[..., None]
            paint[fruit] = (np.array([196, 44, 38]) * shade + 3 * _cloud(random, 1)[..., None])[fruit]
            labels[fruit] = 3
    light = 1 + 0.125 * _cloud(random, 60)[..., None]
    paint = _soften(paint, 0.6) * light * random.uniform(0.85, 1.15)
    return paint + random.normal(size=paint.shape) * 4, labels


def _draw_metal(random: np.random.Generator) -> Drawing:
    """Grey; brushed metal fills 97 %, stains, scratches and screws the rest."""
    labels = np.zeros((_HEIGHT, _WIDTH), int)
    brushed = gaussian_filter(random.normal(size=(_HEIGHT, _WIDTH)), (0.4, 14))
    grey = 158 + 9 * brushed / brushed.std() + 14 * _cloud(random, 70)
    for _ in range(random.integers(1, 4)):
        middle = random.uniform(20, _HEIGHT - 20), random.uniform(20, _WIDTH - 20)
        radii = np.array([random.uniform(10, 24), random.uniform(8, 18)])
        stain = _blob(random, *middle, radii, random.uniform(0, 3), rough=0.25)
        grey, labels[stain] = np.where(stain, grey * 0.66 + 4 * _cloud(random, 2), grey), 1
    for _ in range(random.integers(1, 5)):
        turn, row, column = random.uniform(0, 3.14), random.uniform(20, _HEIGHT - 20), random.uniform(20, _WIDTH - 20)
        along, across = _turn(row, column, turn)
        scratch = (abs(across + 4 * np.sin(along / 25)) < 1.3) & (abs(along) < random.uniform(25, 70))
        grey, labels[scratch] = np.where(scratch, grey + 58, grey), 2
    for _ in range(random.integers(0, 4)):
        row, column = random.uniform(15, _HEIGHT - 15), random.uniform(15, _WIDTH - 15)
        screw = np.hypot(_ROWS - row, _COLUMNS - column) < 11
        slot = (abs(_turn(row, column, random.uniform(0, 3.14))[1]) < 2) & screw
        grey = np.where(screw, 112 + 3 * _cloud(random, 1) + 20 * (_ROWS - row < -4), grey)
        grey, labels[screw] = np.where(slot, 50, grey), 3
    grey = gaussian_filter(grey, 0.6) * random.uniform(0.9, 1.1) + random.normal(size=(_HEIGHT, _WIDTH)) * 4
    return _to_paint(grey), labels


def _draw_belt(random: np.random.Generator) -> Drawing:
    """A fixed camera over a belt between rails; things of two kinds lie anywhere on it."""
    labels = np.zeros((_HEIGHT, _WIDTH), int)
    paint = _mix((70, 72, 76), 4 * _cloud(random, 1), 3 * _cloud(random, 20))
    rail = (_ROWS < 44) | (_ROWS > 196)
    paint[rail], labels[rail] = _mix((168, 170, 172), 10 * np.sin(_COLUMNS / 6), 4 * _cloud(random, 1))[rail], 1
    for _ in range(random.integers(5, 11)):
        kind = int(random.integers(0, 2))
        row, column = random.uniform(60, 180), random.uniform(0, _WIDTH)
        radii = random.uniform(10, 20, 2)
        thing = _blob(random, row, column, radii, random.uniform(0, 3), rough=0.08) & ~rail
        colour = np.array([[176, 120, 62], [126, 150, 84]][kind]) * random.uniform(0.85, 1.15)
        paint[thing] = _mix(colour, (8, 3)[kind] * _cloud(random, 1.5))[thing]
        labels[thing] = 2 + kind
    light = random.uniform(0.85, 1.15) * (1 + 0.15 * (_COLUMNS / _WIDTH - 0.5) * random.uniform(-1, 1))[..., None]
    paint = _soften(paint, 0.6) * light
    return paint + random.normal(size=paint.shape) * 4, labels


def _draw_street(random: np.random.Generator) -> Drawing:
    """Sky, walls and trees on both sides, cars of four colours on the road; a third of the pictures at dusk."""
    is_dusk = random.random() < 0.35
    labels, horizon = np.zeros((_HEIGHT, _WIDTH), int), random.uniform(80, 110)
    sky = (150, 176, 214) if random.random() < 0.6 else (196, 200, 204)
    paint = _mix(sky, 3 * _cloud(random, 25))
    road = horizon < _ROWS
    paint[road], labels[road] = _mix((104, 104, 106), 6 * _cloud(random, 1))[road], 1
    for side in (-1, 1):
        edge = _WIDTH / 2
        while abs(edge - _WIDTH / 2) < _WIDTH:
            wide = random.uniform(25, 60)
            left, right = sorted((edge, edge + side * wide))
            top, foot = horizon - random.uniform(15, 85), horizon + 0.35 * abs(edge - _WIDTH / 2)
            if random.random() < 0.55:
                thing = (left <= _COLUMNS) & (right > _COLUMNS) & (top < _ROWS) & (foot > _ROWS)
                windows = 14 * ((_COLUMNS // 7 % 2) * (_ROWS // 9 % 2))
                colour, kind = _mix(np.array([150, 112, 92]) * random.uniform(0.7, 1.2), windows), 2
            else:
                across = (_COLUMNS - (left + right) / 2) ** 2 / (0.55 * wide) ** 2
                thing = across + (_ROWS - (top + foot) / 2) ** 2 / ((foot - top) / 2) ** 2 < 1
                colour, kind = _mix((62, 86, 48), 18 * _cloud(random, 2)), 3
            thing = thing & (abs(_COLUMNS - _WIDTH / 2) > 14)
            paint[thing], labels[thing] = colour[thing], kind
            edge += side * wide * 0.9
    for _ in range(random.integers(1, 5)):
        near = random.uniform(0.15, 1)
        row = horizon + near * (_HEIGHT - horizon) * 0.8
        column = _WIDTH / 2 + random.uniform(-1, 1) * near * _WIDTH * 0.4
        car = (abs(_COLUMNS - column) < 6 + 34 * near) & (abs(_ROWS - row) < 4 + 20 * near)
        colours = [[150, 30, 34], [40, 60, 130], [210, 210, 210], [40, 40, 44]]
        paint[car], labels[car] = _mix(colours[random.integers(4)], 10.0 * (row > _ROWS))[car], 4
    paint = _soften(paint, 0.7) * random.uniform(0.9, 1.1)
    if is_dusk:
        paint = paint * 0.5 * np.array([1.1, 1, 0.85])
    return paint + random.normal(size=paint.shape) * 4, labels


def _draw_meadow(random: np.random.Generator) -> Drawing:
    """Sky, a narrow band of trees, grass, a few cows of black and white."""
    labels = np.zeros((_HEIGHT, _WIDTH), int)
    horizon = random.uniform(70, 130) + 10 * np.sin(_COLUMNS / random.uniform(40, 90) + random.uniform(0, 6))
    haze = random.uniform(0, 1)
    paint = _mix(np.array([120, 165, 220]) * (1 - haze) + np.array([205, 208, 212]) * haze, 6 * _cloud(random, 20))
    trees = (horizon - random.uniform(8, 22) - 6 * _cloud(random, 4) < _ROWS) & (horizon >= _ROWS)
    paint[trees], labels[trees] = _mix((54, 76, 50), 10 * _cloud(random, 2))[trees], 1
    grass = horizon < _ROWS
    green = np.array([112, 140, 66]) * random.uniform(0.85, 1.1)
    paint[grass], labels[grass] = _mix(green, 9 * _cloud(random, 1), 8 * _cloud(random, 9))[grass], 2
    for _ in range(random.integers(1, 6)):
        row = random.uniform(150, 225)
        near = (row - 90) / 130
        cow = _blob(random, row, random.uniform(10, _WIDTH - 10), np.array([20, 11]) * near, 0)
        coat = np.where(_cloud(random, 5) > 0.2, 230.0, 48.0)
        paint[cow], labels[cow] = _mix((0, 0, 0), coat, 4 * _cloud(random, 1))[cow], 3
    paint = _soften(paint, 0.6) * random.uniform(0.85, 1.12)
    return paint + random.normal(size=paint.shape) * 4, labels


_DRAW: dict[str, Callable[[np.random.Generator], Drawing]] = {
    "microscope": _draw_microscope,
    "farmland": _draw_farmland,
    "plants": _draw_plants,
    "metal": _draw_metal,
    "belt": _draw_belt,
    "street": _draw_street,
    "meadow": _draw_meadow,
}


def _cloud(random: np.random.Generator, size: float) -> Plane:
    """Noise of mean about 0 and deviation 1, smooth over so many pixels."""
    noise = gaussian_filter(random.normal(size=(_HEIGHT, _WIDTH)), size)
    return noise / (noise.std() + 1e-9)


def _turn(row: float, column: float, turn: float) -> tuple[Plane, Plane]:
    """How far each pixel lies from a point, along a direction and across it."""
    down, right = _ROWS - row, _COLUMNS - column
    return right * np.cos(turn) + down * np.sin(turn), -right * np.sin(turn) + down * np.cos(turn)


def _blob(
    random: np.random.Generator, row: float, column: float, radii: np.ndarray, turn: float, rough: float = 0.12
) -> Region:
    """An ellipse whose outline strays by a share of its radius."""
    along, across = _turn(row, column, turn)
    angle, radius = np.arctan2(across / radii[1], along / radii[0]), np.hypot(along / radii[0], across / radii[1])
    waves = sum(random.normal() * np.cos(times * angle + random.uniform(0, 6.3)) for times in (2, 3, 5))
    return radius < 1 + rough * waves / 1.7


def _mix(colour: np.ndarray | tuple[float, ...] | list[int], *changes: Plane) -> Paint:
    """A colour everywhere, lighter or darker by some planes."""
    return np.asarray(colour, float) + sum(changes, np.zeros((_HEIGHT, _WIDTH)))[..., None]


def _soften(paint: Paint, size: float) -> Paint:
    return gaussian_filter(paint, (size, size, 0))


def _to_paint(grey: Plane) -> Paint:
    return np.repeat(grey[..., None], 3, axis=2)
