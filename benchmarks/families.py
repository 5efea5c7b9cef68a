"""Seven kinds of pictures that hardly any rule was chosen on, each with ground truth: what defaults do on new domains.

In: a seed. Out: a picture and the class of every pixel. Each family asks something else: a class of 1.5 or 0.3 % of all
pixels, one of 97 %, light that differs from picture to picture and across each, things that always lie in one place.

What pictures like these led to are the starts that groupings try, set with four of these and relatives of other seeds
in sight (docs/results.md).
"""

from collections.abc import Callable, Sequence

import numpy as np
from drawing import COLUMNS, HEIGHT, ROWS, WIDTH, Drawing, blob, cloud, mix, soften, to_paint, to_scene, turn_to
from scipy.ndimage import gaussian_filter

from fs4cli.demo.scenes import Scene

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
    return to_scene(_DRAW[name](np.random.default_rng(seed)))


def _draw_microscope(random: np.random.Generator) -> Drawing:
    """Grey; cells of three shades in light that falls off to one side, 0.3 % bright specks."""
    labels = np.zeros((HEIGHT, WIDTH), int)
    grey = np.full((HEIGHT, WIDTH), 150.0) + 3 * cloud(random, 2)
    for _ in range(random.integers(10, 22)):
        row, column = random.uniform(0, HEIGHT), random.uniform(0, WIDTH)
        radii, turn = random.uniform(18, 34, 2), random.uniform(0, 3.1)
        body = blob(random, row, column, radii, turn)
        middle = row + random.normal() * 3, column + random.normal() * 3
        nucleus = blob(random, *middle, 0.42 * radii, turn) & body
        grey[body], labels[body] = (128 + 7 * cloud(random, 1.2))[body], 1
        grey[nucleus], labels[nucleus] = (96 + 13 * cloud(random, 1.6))[nucleus], 2
    for _ in range(random.integers(4, 12)):
        middle = random.uniform(0, HEIGHT), random.uniform(0, WIDTH)
        speck = blob(random, *middle, random.uniform(2, 4.5, 2), 0, rough=0.05)
        grey[speck], labels[speck] = 215, 3
    slope = random.uniform(-1, 1) * (COLUMNS / WIDTH - 0.5) + random.uniform(-1, 1) * (ROWS / HEIGHT - 0.5)
    grey = gaussian_filter(grey, 0.7) * (1 + 0.36 * slope)
    grey = grey * random.uniform(0.92, 1.08) + random.normal(size=grey.shape) * 4
    return to_paint(grey), labels


def _draw_farmland(random: np.random.Generator) -> Drawing:
    """From above: fields of five kinds in any order, narrow roads across them, light of its own for each picture."""
    count = random.integers(7, 14)
    seeds = random.uniform(0, 1, (count, 2)) * [HEIGHT, WIDTH]
    field = ((ROWS[..., None] - seeds[:, 0]) ** 2 + (COLUMNS[..., None] - seeds[:, 1]) ** 2).argmin(2)
    labels, paint = np.zeros((HEIGHT, WIDTH), int), np.zeros((HEIGHT, WIDTH, 3))
    kinds = random.permutation(np.concatenate([np.arange(5), random.integers(0, 5, count)]))[:count]
    for number, kind in enumerate(kinds.tolist()):
        turn, broad = random.uniform(0, 3.14), cloud(random, random.uniform(8, 15))
        if kind == 0:
            rows = np.sin((COLUMNS * np.cos(turn) + ROWS * np.sin(turn)) * random.uniform(0.9, 1.2))
            colour = mix((186, 168, 92), 14 * rows, 5 * cloud(random, 1))
        elif kind == 1:
            colour = mix((104, 142, 70), 6 * broad, 6 * cloud(random, 1))
        elif kind == 2:
            colour = mix((128, 98, 74), 9 * cloud(random, 1), 8 * cloud(random, 4))
        elif kind == 3:
            colour = mix((58, 84, 48), 20 * cloud(random, 3), 10 * cloud(random, 1))
        else:
            colour = mix((62, 88, 112), 3 * cloud(random, 1), 3 * broad)
        here = field == number
        paint[here], labels[here] = (colour * random.uniform(0.9, 1.1))[here], kind
    for _ in range(random.integers(1, 4)):
        turn, offset = random.uniform(0, 3.14), random.uniform(-70, 70)
        across = (COLUMNS - WIDTH / 2) * np.cos(turn) + (ROWS - HEIGHT / 2) * np.sin(turn)
        along = -COLUMNS * np.sin(turn) + ROWS * np.cos(turn)
        road = abs(across + 8 * np.sin(along / 45) - offset) < random.uniform(3, 5)
        paint[road], labels[road] = mix((158, 152, 146), 5 * cloud(random, 1))[road], 5
    paint = soften(paint, 0.6) * random.uniform(0.87, 1.13) * (1 + random.normal(size=3) * 0.02)
    return paint + random.normal(size=paint.shape) * 4, labels


def _draw_plants(random: np.random.Generator) -> Drawing:
    """Pots before soil, leaves of many shades, 1.5 % fruit; light that changes across the picture."""
    labels = np.zeros((HEIGHT, WIDTH), int)
    paint = mix((88, 68, 54), 10 * cloud(random, 1.2), 10 * cloud(random, 5))
    for _ in range(random.integers(2, 4)):
        middle, half, top = random.uniform(30, WIDTH - 30), random.uniform(26, 40), random.uniform(140, 180)
        pot = (abs(COLUMNS - middle) < half * (1 - 0.25 * (ROWS - top) / 100)) & (ROWS > top)
        shade = (1 - 0.25 * abs(COLUMNS - middle) / half)[..., None]
        paint[pot] = (np.array([176, 104, 72]) * shade + 4 * cloud(random, 1)[..., None])[pot]
        labels[pot] = 1
        for _ in range(random.integers(14, 26)):
            row, column = top - random.uniform(0, 115), middle + random.normal() * 32
            turn = random.uniform(0, 3.14)
            radii = np.array([random.uniform(12, 24), random.uniform(5, 10)])
            leaf = blob(random, row, column, radii, turn, rough=0.06)
            from_vein = abs(-(COLUMNS - column) * np.sin(turn) + (ROWS - row) * np.cos(turn))
            green = np.array([74, 128, 58]) * random.uniform(0.7, 1.25)
            colour = mix(green, 14 * np.exp(-from_vein / 1.2), 6 * cloud(random, 1))
            colour = colour + np.array([random.uniform(-8, 14), 0, 0])
            paint[leaf], labels[leaf] = colour[leaf], 2
        for _ in range(random.integers(2, 6)):
            row, column = top - random.uniform(5, 95), middle + random.normal() * 28
            fruit = blob(random, row, column, np.full(2, random.uniform(5, 9)), 0, rough=0.03)
            shade = (1 - 0.03 * np.hypot(ROWS, COLUMNS) % 0.2)[..., None]
            paint[fruit] = (np.array([196, 44, 38]) * shade + 3 * cloud(random, 1)[..., None])[fruit]
            labels[fruit] = 3
    light = 1 + 0.125 * cloud(random, 60)[..., None]
    paint = soften(paint, 0.6) * light * random.uniform(0.85, 1.15)
    return paint + random.normal(size=paint.shape) * 4, labels


def _draw_metal(random: np.random.Generator) -> Drawing:
    """Grey; brushed metal fills 97 %, stains, scratches and screws the rest."""
    labels = np.zeros((HEIGHT, WIDTH), int)
    brushed = gaussian_filter(random.normal(size=(HEIGHT, WIDTH)), (0.4, 14))
    grey = 158 + 9 * brushed / brushed.std() + 14 * cloud(random, 70)
    for _ in range(random.integers(1, 4)):
        middle = random.uniform(20, HEIGHT - 20), random.uniform(20, WIDTH - 20)
        radii = np.array([random.uniform(10, 24), random.uniform(8, 18)])
        stain = blob(random, *middle, radii, random.uniform(0, 3), rough=0.25)
        grey, labels[stain] = np.where(stain, grey * 0.66 + 4 * cloud(random, 2), grey), 1
    for _ in range(random.integers(1, 5)):
        turn, row, column = random.uniform(0, 3.14), random.uniform(20, HEIGHT - 20), random.uniform(20, WIDTH - 20)
        along, across = turn_to(row, column, turn)
        scratch = (abs(across + 4 * np.sin(along / 25)) < 1.3) & (abs(along) < random.uniform(25, 70))
        grey, labels[scratch] = np.where(scratch, grey + 58, grey), 2
    for _ in range(random.integers(0, 4)):
        row, column = random.uniform(15, HEIGHT - 15), random.uniform(15, WIDTH - 15)
        screw = np.hypot(ROWS - row, COLUMNS - column) < 11
        slot = (abs(turn_to(row, column, random.uniform(0, 3.14))[1]) < 2) & screw
        grey = np.where(screw, 112 + 3 * cloud(random, 1) + 20 * (ROWS - row < -4), grey)
        grey, labels[screw] = np.where(slot, 50, grey), 3
    grey = gaussian_filter(grey, 0.6) * random.uniform(0.9, 1.1) + random.normal(size=(HEIGHT, WIDTH)) * 4
    return to_paint(grey), labels


def _draw_belt(random: np.random.Generator) -> Drawing:
    """A fixed camera over a belt between rails; things of two kinds lie anywhere on it."""
    labels = np.zeros((HEIGHT, WIDTH), int)
    paint = mix((70, 72, 76), 4 * cloud(random, 1), 3 * cloud(random, 20))
    rail = (ROWS < 44) | (ROWS > 196)
    paint[rail], labels[rail] = mix((168, 170, 172), 10 * np.sin(COLUMNS / 6), 4 * cloud(random, 1))[rail], 1
    for _ in range(random.integers(5, 11)):
        kind = int(random.integers(0, 2))
        row, column = random.uniform(60, 180), random.uniform(0, WIDTH)
        radii = random.uniform(10, 20, 2)
        thing = blob(random, row, column, radii, random.uniform(0, 3), rough=0.08) & ~rail
        colour = np.array([[176, 120, 62], [126, 150, 84]][kind]) * random.uniform(0.85, 1.15)
        paint[thing] = mix(colour, (8, 3)[kind] * cloud(random, 1.5))[thing]
        labels[thing] = 2 + kind
    light = random.uniform(0.85, 1.15) * (1 + 0.15 * (COLUMNS / WIDTH - 0.5) * random.uniform(-1, 1))[..., None]
    paint = soften(paint, 0.6) * light
    return paint + random.normal(size=paint.shape) * 4, labels


def _draw_street(random: np.random.Generator) -> Drawing:
    """Sky, walls and trees on both sides, cars of four colours on the road; a third of the pictures at dusk."""
    is_dusk = random.random() < 0.35
    labels, horizon = np.zeros((HEIGHT, WIDTH), int), random.uniform(80, 110)
    sky = (150, 176, 214) if random.random() < 0.6 else (196, 200, 204)
    paint = mix(sky, 3 * cloud(random, 25))
    road = horizon < ROWS
    paint[road], labels[road] = mix((104, 104, 106), 6 * cloud(random, 1))[road], 1
    for side in (-1, 1):
        edge = WIDTH / 2
        while abs(edge - WIDTH / 2) < WIDTH:
            wide = random.uniform(25, 60)
            left, right = sorted((edge, edge + side * wide))
            top, foot = horizon - random.uniform(15, 85), horizon + 0.35 * abs(edge - WIDTH / 2)
            if random.random() < 0.55:
                thing = (left <= COLUMNS) & (right > COLUMNS) & (top < ROWS) & (foot > ROWS)
                windows = 14 * ((COLUMNS // 7 % 2) * (ROWS // 9 % 2))
                colour, kind = mix(np.array([150, 112, 92]) * random.uniform(0.7, 1.2), windows), 2
            else:
                across = (COLUMNS - (left + right) / 2) ** 2 / (0.55 * wide) ** 2
                thing = across + (ROWS - (top + foot) / 2) ** 2 / ((foot - top) / 2) ** 2 < 1
                colour, kind = mix((62, 86, 48), 18 * cloud(random, 2)), 3
            thing = thing & (abs(COLUMNS - WIDTH / 2) > 14)
            paint[thing], labels[thing] = colour[thing], kind
            edge += side * wide * 0.9
    for _ in range(random.integers(1, 5)):
        near = random.uniform(0.15, 1)
        row = horizon + near * (HEIGHT - horizon) * 0.8
        column = WIDTH / 2 + random.uniform(-1, 1) * near * WIDTH * 0.4
        car = (abs(COLUMNS - column) < 6 + 34 * near) & (abs(ROWS - row) < 4 + 20 * near)
        colours = [[150, 30, 34], [40, 60, 130], [210, 210, 210], [40, 40, 44]]
        paint[car], labels[car] = mix(colours[random.integers(4)], 10.0 * (row > ROWS))[car], 4
    paint = soften(paint, 0.7) * random.uniform(0.9, 1.1)
    if is_dusk:
        paint = paint * 0.5 * np.array([1.1, 1, 0.85])
    return paint + random.normal(size=paint.shape) * 4, labels


def _draw_meadow(random: np.random.Generator) -> Drawing:
    """Sky, a narrow band of trees, grass, a few cows of black and white."""
    labels = np.zeros((HEIGHT, WIDTH), int)
    horizon = random.uniform(70, 130) + 10 * np.sin(COLUMNS / random.uniform(40, 90) + random.uniform(0, 6))
    haze = random.uniform(0, 1)
    paint = mix(np.array([120, 165, 220]) * (1 - haze) + np.array([205, 208, 212]) * haze, 6 * cloud(random, 20))
    trees = (horizon - random.uniform(8, 22) - 6 * cloud(random, 4) < ROWS) & (horizon >= ROWS)
    paint[trees], labels[trees] = mix((54, 76, 50), 10 * cloud(random, 2))[trees], 1
    grass = horizon < ROWS
    green = np.array([112, 140, 66]) * random.uniform(0.85, 1.1)
    paint[grass], labels[grass] = mix(green, 9 * cloud(random, 1), 8 * cloud(random, 9))[grass], 2
    for _ in range(random.integers(1, 6)):
        row = random.uniform(150, 225)
        near = (row - 90) / 130
        cow = blob(random, row, random.uniform(10, WIDTH - 10), np.array([20, 11]) * near, 0)
        coat = np.where(cloud(random, 5) > 0.2, 230.0, 48.0)
        paint[cow], labels[cow] = mix((0, 0, 0), coat, 4 * cloud(random, 1))[cow], 3
    paint = soften(paint, 0.6) * random.uniform(0.85, 1.12)
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
