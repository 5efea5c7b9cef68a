"""Seven kinds of pictures that people bring from work, with ground truth: drawn after all others, six scored first.

In: a seed. Out: a picture and the class of every pixel. Each asks something that `families` and `domains` do not: few
photons, so that each pixel is mostly chance; speckle in a fan, with black around it; spots of disease on leaves; one
class that comes in five colours; print, whose texture is letters; a scene of one colour under changing light.
"""

from collections.abc import Callable, Sequence

import numpy as np
from drawing import COLUMNS, HEIGHT, ROWS, WIDTH, Drawing, Plane, blob, cloud, mix, soften, to_paint, to_scene, turn_to
from families import FAMILIES, draw_family
from scipy.ndimage import gaussian_filter

from fs4cli.demo.scenes import Scene

WORKPLACES: dict[str, tuple[str, ...]] = {
    "fluorescence": ("ground", "cell", "nucleus"),
    "ultrasound": ("outside", "tissue", "cyst", "bone", "muscle"),
    "greenhouse": ("bench", "leaf", "spot", "stem"),
    "rooftops": ("roof", "tree", "lawn", "street", "water"),
    "page": ("paper", "text", "picture", "table"),
    "quarry": ("sky", "face", "ground", "machine", "scrub"),
    "eyepiece": (*FAMILIES["microscope"], "frame"),
}
"""The classes of each kind; the place is the id."""


def draw_workplace(name: str, seed: Sequence[int]) -> Scene:
    """One picture of a kind, 240 by 320 pixels.

    Args:
        name: One of `WORKPLACES`.
        seed: Of the picture; numbers together.
    """
    return to_scene(_DRAW[name](np.random.default_rng(seed)))


def _draw_fluorescence(random: np.random.Generator) -> Drawing:
    """Grey, dark, few photons: dim cells with bright nuclei; some stain better than others."""
    labels, light = np.zeros((HEIGHT, WIDTH), int), np.full((HEIGHT, WIDTH), 3.0)
    for _ in range(random.integers(12, 28)):
        row, column, turn = random.uniform(0, HEIGHT), random.uniform(0, WIDTH), random.uniform(0, 3.14)
        radii, strength = random.uniform(16, 34, 2), random.uniform(0.7, 1.4)
        cell = blob(random, row, column, radii, turn, rough=0.15)
        labels[cell & (labels == 0)] = 1
        light[cell] = np.maximum(light, strength * 12 * (1 + 0.15 * cloud(random, 3)))[cell]
        nucleus = blob(random, row + random.normal() * 2, column + random.normal() * 2, radii * 0.4, turn, rough=0.06)
        labels[nucleus] = 2
        light[nucleus] = (strength * 34 * (1 + 0.2 * cloud(random, 2)))[nucleus]
    light = gaussian_filter(light, 1.2) * (1 + 0.15 * cloud(random, 80)) * random.uniform(0.7, 1.3)
    counts = random.poisson(np.clip(light, 0, None)) + random.normal(size=light.shape)
    return to_paint(counts * 3.5 + 8), labels


def _draw_ultrasound(random: np.random.Generator) -> Drawing:
    """Grey speckle in a fan on black: layers of muscle above, tissue, dark cysts, a bright bone with a shadow."""
    labels, strength = np.ones((HEIGHT, WIDTH), int), 0.35 * (1 + 0.1 * cloud(random, 12))
    depth = 60 + 10 * np.sin(COLUMNS / random.uniform(30, 60) + random.uniform(0, 6)) + random.uniform(-15, 15)
    muscle = depth > ROWS
    fibres = 0.5 + 0.5 * np.sin(ROWS / 1.9 + 2 * cloud(random, 20))
    labels[muscle], strength[muscle] = 4, (0.16 + 0.5 * fibres**3)[muscle]
    for _ in range(random.integers(1, 5)):
        where = random.uniform(100, 200), random.uniform(60, WIDTH - 60)
        cyst = blob(random, *where, random.uniform(10, 30, 2), random.uniform(0, 3)) & ~muscle
        labels[cyst], strength[cyst] = 2, 0.03
    if random.random() < 0.8:
        row, column = random.uniform(150, 195), random.uniform(100, WIDTH - 100)
        arch = row + (COLUMNS - column) ** 2 / random.uniform(90, 160)
        near = abs(COLUMNS - column) < random.uniform(35, 60)
        bone = near & (abs(arch - ROWS) < 5)
        strength[near & (arch + 5 < ROWS)] *= 0.25
        labels[bone], strength[bone] = 3, 1.6
    outside = np.hypot(ROWS + 60, COLUMNS - WIDTH / 2) > 285
    outside |= abs(COLUMNS - WIDTH / 2) > (ROWS + 60) * 0.8
    speckle = gaussian_filter(random.gamma(1.5, 1 / 1.5, (HEIGHT, WIDTH)), (0.7, 1.3))
    gain = random.uniform(0.8, 1.2) * np.exp(-ROWS / 600)
    grey = 60 * np.log1p(14 * strength * speckle * gain)
    grey[outside], labels[outside] = 2, 0
    return to_paint(grey + random.normal(size=grey.shape) * 2), labels


def _draw_greenhouse(random: np.random.Generator) -> Drawing:
    """From above: leaves of all greens over a white bench with slots; yellow-brown spots of 2 to 6 pixels, 1.5 %."""
    labels = np.zeros((HEIGHT, WIDTH), int)
    slots = -26 * ((ROWS + COLUMNS) % 24 < 5)
    paint = mix((196, 198, 192), slots, 4 * cloud(random, 20))
    for _ in range(random.integers(4, 8)):
        middle, size = (random.uniform(20, HEIGHT - 20), random.uniform(20, WIDTH - 20)), random.uniform(28, 56)
        green = np.array([random.uniform(50, 95), random.uniform(110, 160), random.uniform(40, 70)])
        for turn in random.uniform(0, 1) + np.arange(0, 6.28, 6.28 / random.integers(5, 9)):
            row, column = middle[0] + np.sin(turn) * size * 0.75, middle[1] + np.cos(turn) * size * 0.75
            along, across = turn_to(*middle, turn)
            stem = (abs(across) < 1.8) & (along > 0) & (along < size * 0.5)
            paint[stem], labels[stem] = mix((176, 150, 96), 5 * cloud(random, 1))[stem], 3
            leaf = blob(random, row, column, np.array([size * 0.5, size * 0.26]), turn, rough=0.06)
            veins = -14 * (np.sin((abs(across) + along) / 3) > 0.85) - 18 * (abs(across) < 1)
            paint[leaf] = mix(green * random.uniform(0.75, 1.2), veins, 6 * cloud(random, 4))[leaf]
            labels[leaf] = 1
            for _ in range(random.poisson(1.6)):
                place = row + random.normal() * size * 0.15, column + random.normal() * size * 0.15
                spot = blob(random, *place, random.uniform(2, 6, 2), 0, rough=0.2) & leaf
                paint[spot], labels[spot] = mix((178, 152, 66), 8 * cloud(random, 1))[spot], 2
    shade = 1 + 0.12 * cloud(random, 50)[..., None]
    return soften(paint, 0.8) * shade * random.uniform(0.85, 1.1) + random.normal(size=paint.shape) * 4, labels


_ROOFS = [(168, 74, 56), (92, 88, 90), (196, 190, 180), (120, 62, 50), (110, 124, 140)]


def _draw_rooftops(random: np.random.Generator) -> Drawing:
    """From the air: roofs of five colours with a dark and a bright side, trees, lawns, grey streets, a pond."""
    labels = np.full((HEIGHT, WIDTH), 2)
    paint = mix((104, 140, 76), 9 * cloud(random, 1.2), 10 * cloud(random, 25))
    turn = random.uniform(-0.4, 0.4)
    along, across = turn_to(HEIGHT / 2, WIDTH / 2, turn)
    along, across = along + random.uniform(0, 110), across + random.uniform(0, 90)
    street = (along % 110 < 17) | (across % 92 < 15)
    marks = 60 * ((along % 110 > 8) & (along % 110 < 9.5) & (across % 14 < 7))
    paint[street], labels[street] = mix((128, 126, 124), marks, 5 * cloud(random, 1))[street], 3
    for left in range(-440, 440, 110):
        for top in range(-368, 368, 46):
            if random.random() < 0.3:
                continue
            height, width = random.uniform(10, 14), random.uniform(16, 30)
            middle = np.array([top + (34 if top % 92 else 28), left + 64 + random.uniform(-8, 8)])
            x, y = along - middle[1], across - middle[0]
            roof = (abs(x) < width) & (abs(y) < height) & ~street
            tiles = 7 * np.sign(np.sin(y * 1.4)) + 18 * np.sign(y)
            colour = np.array(_ROOFS[random.integers(len(_ROOFS))]) * random.uniform(0.9, 1.1)
            paint[roof], labels[roof] = mix(colour, tiles, 3 * cloud(random, 1))[roof], 0
    for _ in range(random.integers(15, 35)):
        row, column, size = random.uniform(0, HEIGHT), random.uniform(0, WIDTH), random.uniform(6, 15)
        shadow = blob(random, row + size * 0.5, column + size * 0.6, np.array([size, size]), 0)
        paint[shadow] *= 0.62
        tree = blob(random, row, column, random.uniform(0.8, 1.2, 2) * size, 0, rough=0.15)
        paint[tree], labels[tree] = mix((58, 92, 48), 20 * cloud(random, 1.6))[tree], 1
    if random.random() < 0.5:
        pond = blob(random, random.uniform(0, HEIGHT), random.uniform(0, WIDTH), random.uniform(25, 50, 2), 0, 0.2)
        paint[pond], labels[pond] = mix((52, 76, 84), 3 * cloud(random, 3))[pond], 4
    return soften(paint, 0.7) * random.uniform(0.85, 1.15) + random.normal(size=paint.shape) * 4, labels


def _draw_page(random: np.random.Generator) -> Drawing:
    """Scanned paper, some of it yellow: columns of text, a picture, a table of numbers with rules."""
    labels = np.zeros((HEIGHT, WIDTH), int)
    paint = mix([(240, 238, 230), (226, 212, 180)][random.integers(2)], 2 * cloud(random, 2), 5 * cloud(random, 60))
    ink = np.clip(2.2 * cloud(random, 0.8), 0, 1)
    columns = random.integers(1, 4)
    width, pitch = (WIDTH - 30) // columns, random.integers(7, 11)
    for column in range(columns):
        top = random.integers(10, 26)
        while top < HEIGHT - 40:
            left, kind = 15 + column * width, random.random()
            height = int(min(random.uniform(40, 100), HEIGHT - 10 - top))
            box = (slice(top, top + height), slice(left, left + width - 12))
            if kind < 0.55:
                lines = (np.arange(HEIGHT) - top) % pitch < pitch * 0.55
                words = (np.cumsum(random.random(WIDTH) < 0.16) % 7 > 0)[None] & lines[:, None]
                paint[box] -= (190 * ink * words)[box][..., None]
                labels[box] = 1
            elif kind < 0.8:
                tone = random.uniform(60, 190, 3)
                paint[box] = mix(tone, 34 * cloud(random, random.uniform(4, 12)), 10 * cloud(random, 1))[box]
                labels[box] = 2
            else:
                rules = ((np.arange(HEIGHT) - top) % 13 < 1)[:, None] | ((np.arange(WIDTH) - left) % 31 < 1)[None]
                digits = (((ROWS - top) % 13 > 4) & ((ROWS - top) % 13 < 10)) & ((COLUMNS - left) % 31 > 17)
                paint[box] -= np.where(rules, 150, 170 * ink * digits)[box][..., None]
                labels[box] = 3
            top += height + random.integers(8, 24)
    return soften(paint, 0.6) + random.normal(size=paint.shape) * 3, labels


def _lay(random: np.random.Generator, height: float, size: float) -> Plane:
    """A row for each column that wanders."""
    return height + size * gaussian_filter(random.normal(size=WIDTH), 18, mode="wrap")[None] * 8


def _draw_quarry(random: np.random.Generator) -> Drawing:
    """Ochre on ochre: a layered face and gravel of one colour, a yellow machine, scrub, a sky; sun or haze."""
    labels = np.zeros((HEIGHT, WIDTH), int)
    haze = random.random()
    paint = mix(np.array([132, 170, 216]) * (1 - haze) + np.array([206, 206, 204]) * haze, -0.12 * ROWS)
    edge, foot = _lay(random, random.uniform(40, 80), 14), _lay(random, random.uniform(140, 175), 6)
    face, ground = (edge < ROWS) & (foot > ROWS), foot <= ROWS
    layers = 11 * np.sin((ROWS + 0.15 * COLUMNS) / 4 + 1.5 * cloud(random, 18)) + 7 * cloud(random, 1)
    paint[face], labels[face] = mix((186, 156, 112), layers, 12 * cloud(random, 22))[face], 1
    gravel = 10 * cloud(random, 0.7) + 9 * cloud(random, 2)
    paint[ground], labels[ground] = mix((178, 152, 114), gravel, 8 * cloud(random, 30))[ground], 2
    for _ in range(random.integers(2, 8)):
        column = random.uniform(0, WIDTH)
        row = float(edge[0, int(column)]) + random.uniform(-2, 12)
        bush = blob(random, row, column, np.array([random.uniform(10, 26), random.uniform(5, 11)]), 0, rough=0.25)
        paint[bush], labels[bush] = mix((88, 98, 58), 16 * cloud(random, 1.4))[bush], 4
    for _ in range(random.integers(0, 3)):
        row, column, size = random.uniform(165, 215), random.uniform(40, WIDTH - 40), random.uniform(0.7, 1.4)
        x, y = (COLUMNS - column) / size, (ROWS - row) / size
        body, cabin = (abs(x) < 24) & (abs(y) < 8), (abs(x + 9) < 9) & (abs(y + 14) < 8)
        arm = abs(y + 0.6 * (x - 20) + 6) < 2.5
        arm &= (x > 14) & (x < 44)
        tracks, glass = (abs(x) < 25) & (abs(y - 11) < 4), (abs(x + 9) < 6) & (abs(y + 15) < 4)
        for part, colour in ((body | cabin | arm, (224, 172, 32)), (tracks, (46, 44, 42)), (glass, (60, 70, 80))):
            paint[part], labels[part] = mix(colour, 4 * cloud(random, 2))[part], 3
    paint = paint * (1 - 0.35 * haze) + 0.35 * haze * 200
    light = random.uniform(0.8, 1.12) * np.array([1, 1, 1]) + random.normal() * np.array([0.04, 0, -0.05])
    return soften(paint, 0.7) * light + random.normal(size=paint.shape) * 4, labels


def _draw_eyepiece(random: np.random.Generator) -> Drawing:
    """Cells under a microscope, seen through a round opening; the black around it is a third of the picture."""
    scene = draw_family("microscope", random.integers(0, 2**31, 2).tolist())
    paint, labels = scene.pixels.astype(float), scene.labels.astype(int)
    outside = np.hypot((ROWS - HEIGHT / 2) / 118, (COLUMNS - WIDTH / 2) / 135) > 1
    paint[outside], labels[outside] = random.integers(0, 4, (outside.sum(), 1)), len(FAMILIES["microscope"])
    return paint, labels


_DRAW: dict[str, Callable[[np.random.Generator], Drawing]] = {
    "fluorescence": _draw_fluorescence,
    "ultrasound": _draw_ultrasound,
    "greenhouse": _draw_greenhouse,
    "rooftops": _draw_rooftops,
    "page": _draw_page,
    "quarry": _draw_quarry,
    "eyepiece": _draw_eyepiece,
}
