"""Six more kinds of pictures, with ground truth: drawn after every rule was set, scored before any was changed.

In: a seed. Out: a picture and the class of every pixel. Each asks something that `families` does not: a class that is
a line a few pixels wide, eighteen classes at once, water that swallows colour with distance, brightness that means
nothing but against its picture, stains that differ from picture to picture, and speckle, where no single pixel tells.
"""

from collections.abc import Callable, Sequence

import numpy as np
from drawing import COLUMNS, HEIGHT, ROWS, WIDTH, Drawing, blob, cloud, mix, soften, to_paint, to_scene, turn_to
from scipy.ndimage import gaussian_filter

from fs4cli.demo.scenes import Scene

DOMAINS: dict[str, tuple[str, ...]] = {
    "cracks": ("concrete", "crack"),
    "sorting": tuple(f"part {number}" for number in range(17)) + ("tray",),
    "reef": ("water", "sand", "coral", "weed", "fish"),
    "thermal": ("ground", "wall", "vegetation", "warm"),
    "biopsy": ("empty", "stroma", "cytoplasm", "nucleus"),
    "radar": ("water", "field", "forest", "city"),
}
"""The classes of each kind; the place is the id."""


def draw_domain(name: str, seed: Sequence[int]) -> Scene:
    """One picture of a kind, 240 by 320 pixels.

    Args:
        name: One of `DOMAINS`.
        seed: Of the picture; numbers together.
    """
    return to_scene(_DRAW[name](np.random.default_rng(seed)))


def _draw_cracks(random: np.random.Generator) -> Drawing:
    """Concrete in grey-brown with pores and damp patches; one to three cracks of 1 to 7 pixels, about 2 %."""
    labels = np.zeros((HEIGHT, WIDTH), int)
    paint = mix(np.array([158, 152, 142]) * random.uniform(0.85, 1.1), 6 * cloud(random, 0.8), 7 * cloud(random, 12))
    for _ in range(random.integers(10, 40)):
        pore = blob(random, random.uniform(0, HEIGHT), random.uniform(0, WIDTH), random.uniform(1, 2.2, 2), 0)
        paint[pore] = paint[pore] * 0.75
    for _ in range(random.integers(1, 4)):
        turn, row, column = random.uniform(0, 3.14), random.uniform(40, HEIGHT - 40), random.uniform(40, WIDTH - 40)
        along, across = turn_to(row, column, turn)
        bend = np.cumsum(random.normal(size=2001)) * 0.45
        offset = np.interp(along, np.arange(-1000, 1001), gaussian_filter(bend - bend[1000], 3))
        reach = random.uniform(60, 200)
        half = random.uniform(1.2, 2.6) * np.clip(1.4 - abs(along) / reach, 0.3, 1)
        crack = (abs(across - offset) < half) & (abs(along) < reach)
        paint[crack], labels[crack] = mix((62, 58, 54), 6 * cloud(random, 1))[crack], 1
    light = 1 + 0.1 * cloud(random, 70)[..., None]
    return soften(paint, 0.6) * light + random.normal(size=paint.shape) * 4, labels


_PARTS = np.array(
    [
        (196, 44, 40), (230, 128, 40), (236, 208, 60), (120, 180, 60), (40, 120, 70), (60, 180, 180), (50, 110, 200),
        (40, 50, 120), (130, 70, 170), (220, 120, 180), (130, 80, 50), (240, 240, 236), (30, 30, 32), (128, 128, 128),
        (200, 170, 130), (120, 30, 50), (170, 200, 230),
    ],
    float,
)  # fmt: skip


def _draw_sorting(random: np.random.Generator) -> Drawing:
    """From above: round and long parts of seventeen colours on a wooden tray, some striped; eighteen classes."""
    labels = np.full((HEIGHT, WIDTH), len(_PARTS))
    paint = mix((186, 150, 104), 7 * np.sin(ROWS / 5 + cloud(random, 30)), 4 * cloud(random, 1))
    for kind in random.integers(0, len(_PARTS), random.integers(30, 50)).tolist():
        radii = np.array([random.uniform(11, 22), random.uniform(9, 14)])
        row, column, turn = random.uniform(0, HEIGHT), random.uniform(0, WIDTH), random.uniform(0, 3.14)
        part = blob(random, row, column, radii, turn, rough=0.03)
        along, across = turn_to(row, column, turn)
        shade = 8 * np.cos(across / radii[1] * 1.5)
        stripes = 16 * np.sign(np.sin(along / 2)) * (kind % 3 == 0)
        paint[part] = mix(_PARTS[kind] * random.uniform(0.93, 1.05), shade, stripes, 3 * cloud(random, 1))[part]
        labels[part] = kind
    paint = soften(paint, 0.6) * random.uniform(0.9, 1.1)
    return paint + random.normal(size=paint.shape) * 4, labels


def _draw_reef(random: np.random.Generator) -> Drawing:
    """Under water: the further up, the bluer and paler; sand, lumps of coral, weed, a few fish of 0.8 %."""
    labels = np.zeros((HEIGHT, WIDTH), int)
    horizon = random.uniform(60, 120) + 12 * np.sin(COLUMNS / random.uniform(30, 80) + random.uniform(0, 6))
    paint = np.zeros((HEIGHT, WIDTH, 3))
    sand = horizon < ROWS
    paint[sand], labels[sand] = mix((206, 190, 150), 8 * cloud(random, 1), 8 * np.sin(ROWS / 4))[sand], 1
    for _ in range(random.integers(8, 16)):
        row = random.uniform(float(horizon.mean()), HEIGHT + 10)
        near = (row - 40) / 200
        where = row, random.uniform(0, WIDTH)
        if random.random() < 0.6:
            lump = blob(random, *where, random.uniform(20, 40, 2) * near, random.uniform(0, 3), rough=0.2)
            colour = np.array([[170, 96, 110], [190, 130, 80]][random.integers(2)])
            paint[lump], labels[lump] = mix(colour, 22 * cloud(random, 2))[lump], 2
        else:
            weed = blob(random, *where, np.array([12, 34]) * near, 0, rough=0.2)
            paint[weed], labels[weed] = mix((84, 112, 48), 20 * np.sin(COLUMNS * 1.3 + cloud(random, 4)))[weed], 3
    distance = np.clip((HEIGHT - ROWS) / (HEIGHT - horizon.mean()), 0, 1)[..., None]
    blue = np.array([24, 96, 140]) * random.uniform(0.85, 1.2)
    paint = paint * np.exp(-distance * [1.3, 0.5, 0.35]) + blue * (1 - np.exp(-distance * [1.6, 1.4, 1.4]))
    paint[~sand & (labels == 0)] = mix(blue, 3 * cloud(random, 20), 0.1 * (120 - ROWS))[~sand & (labels == 0)]
    for _ in range(random.integers(1, 6)):
        row, column = random.uniform(15, 200), random.uniform(10, WIDTH - 10)
        fish = blob(random, row, column, np.array([random.uniform(8, 15), random.uniform(4, 6)]), random.normal() * 0.3)
        stripes = 40 * np.sign(np.sin(turn_to(row, column, 0)[0] / 2))
        paint[fish], labels[fish] = mix((200, 170, 60), stripes)[fish], 4
    paint = soften(paint, 0.8) * random.uniform(0.85, 1.1)
    return paint + random.normal(size=paint.shape) * 4, labels


def _draw_thermal(random: np.random.Generator) -> Drawing:
    """Grey, coarse: what is warm is bright; range and offset differ from picture to picture."""
    labels = np.zeros((HEIGHT, WIDTH), int)
    grey = 90 + 4 * cloud(random, 10) + 2 * cloud(random, 2)
    horizon = random.uniform(70, 120)
    wall = horizon > ROWS
    windows = 16 * ((COLUMNS % 40 < 14) & (ROWS % 36 < 18))
    grey[wall], labels[wall] = (124 + windows + 3 * cloud(random, 8))[wall], 1
    for _ in range(random.integers(2, 7)):
        row, column = horizon + random.uniform(-10, 60), random.uniform(0, WIDTH)
        bush = blob(random, row, column, random.uniform(18, 40, 2), 0, rough=0.25)
        grey[bush], labels[bush] = (62 + 9 * cloud(random, 1.8))[bush], 2
    for _ in range(random.integers(1, 6)):
        near = random.uniform(0.4, 1.2)
        row, column = horizon + near * 80, random.uniform(10, WIDTH - 10)
        body = blob(random, row, column, np.array([7, 22]) * near, 0, rough=0.1)
        head = blob(random, row - 27 * near, column, np.array([5, 6]) * near, 0, rough=0.05)
        warm = body | head
        grey[warm], labels[warm] = (186 + 8 * cloud(random, 3))[warm], 3
    grey = (gaussian_filter(grey, 1.3) - 100) * random.uniform(0.7, 1.25) + random.uniform(85, 125)
    return to_paint(grey + random.normal(size=grey.shape) * 3), labels


def _draw_biopsy(random: np.random.Generator) -> Drawing:
    """Stained tissue: pink fibres, islands of cells with violet nuclei, empty gaps; each picture stained by itself."""
    labels = np.full((HEIGHT, WIDTH), 1)
    turn = random.uniform(0, 3.14)
    waves = np.sin((COLUMNS * np.cos(turn) + ROWS * np.sin(turn)) / 2.6 + 2.2 * cloud(random, 14))
    eosin, haematoxylin = 0.33 + 0.06 * waves + 0.02 * cloud(random, 1), np.full((HEIGHT, WIDTH), 0.06)
    island = cloud(random, 24) > random.uniform(0, 0.5)
    labels[island], eosin[island] = 2, (0.24 + 0.03 * cloud(random, 2))[island]
    haematoxylin[island] = (0.16 + 0.02 * cloud(random, 2))[island]
    gap = cloud(random, 18) > random.uniform(1.2, 1.7)
    for _ in range(random.integers(160, 240)):
        row, column = random.uniform(0, HEIGHT), random.uniform(0, WIDTH)
        is_cell = island[int(row), int(column)]
        if not is_cell and random.random() < 0.75:
            continue
        radii = random.uniform(4.5, 7, 2) if is_cell else np.array([random.uniform(6, 9), random.uniform(2, 3)])
        nucleus = blob(random, row, column, radii, turn + 1.57) & ~gap
        labels[nucleus], eosin[nucleus] = 3, 0.2
        haematoxylin[nucleus] = (0.62 + 0.09 * cloud(random, 1))[nucleus]
    labels[gap], eosin[gap], haematoxylin[gap] = 0, 0.02, 0.01
    strength = random.uniform(0.75, 1.35, 2)
    pink = eosin[..., None] * strength[0] * [0.25, 1.5, 0.55]
    violet = haematoxylin[..., None] * strength[1] * [1.4, 1.5, 0.6]
    paint = soften(242 * np.exp(-pink - violet), 0.7)
    return paint + random.normal(size=paint.shape) * 3, labels


def _draw_radar(random: np.random.Generator) -> Drawing:
    """Grey speckle: each pixel is its surface times chance; the city holds bright points, fields differ in strength."""
    first, second = cloud(random, 26), cloud(random, 26)
    labels = np.where(first > 0.5, 2, 1)
    labels = np.where(second > 0.9, 3, labels)
    river = abs(cloud(random, 34)) < random.uniform(0.12, 0.3)
    labels = np.where(river, 0, labels)
    plots = (COLUMNS // 40 * 7 + ROWS // 34 * 5 + random.integers(0, 11)) % 4
    field = 0.2 + 0.05 * plots
    forest = 0.5 * (1 + 0.25 * cloud(random, 2.5))
    points = (random.random((HEIGHT, WIDTH)) < 0.04) * 8.0
    city = 0.5 + gaussian_filter(points, 0.9) * 2.2
    strength = np.choose(labels, [np.full((HEIGHT, WIDTH), 0.03), field, forest, city])
    speckle = random.gamma(3, 1 / 3, (HEIGHT, WIDTH))
    grey = 150 * np.sqrt(np.clip(strength, 0.01, None) * gaussian_filter(speckle, 0.5)) * random.uniform(0.9, 1.1)
    return to_paint(grey), labels


_DRAW: dict[str, Callable[[np.random.Generator], Drawing]] = {
    "cracks": _draw_cracks,
    "sorting": _draw_sorting,
    "reef": _draw_reef,
    "thermal": _draw_thermal,
    "biopsy": _draw_biopsy,
    "radar": _draw_radar,
}
