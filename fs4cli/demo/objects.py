"""What stands in a scene: trees, bushes, rocks, houses, and a branch that hangs in from above.

In: a canvas, the foot of the thing as (x, y) in pixels, and how tall it would be as a tree there. Each paints itself
over what lies behind it and casts its shadow first.
"""

import numpy as np
from jaxtyping import Bool, Float

from fs4cli.demo.canvas import Canvas, cover, darken, fill_polygon
from fs4cli.demo.materials import draw_colour
from fs4cli.demo.textures import draw_line

Place = tuple[float, float]


def place_tree(canvas: Canvas, foot: Place, tall: float) -> None:
    """A trunk under a crown of several round clumps; all of it is foliage."""
    random, (x, y) = canvas.random, foot
    _cast_shadow(canvas, foot, 0.3 * tall)
    thick, lean = max(1.0, 0.035 * tall), random.normal(0, 0.05) * tall
    top = y - 0.55 * tall
    trunk = fill_polygon(
        canvas, [(x - thick, y), (x + thick, y), (x + lean + thick / 2, top), (x + lean - thick / 2, top)]
    )
    bark = np.array((86, 70, 56), np.float32) * random.uniform(0.7, 1.2)
    cover(canvas, trunk, "foliage", canvas.across * 1.5, canvas.down * 0.4, colour=bark)
    middle = (x + lean, y - tall * random.uniform(0.7, 0.8))
    _grow_crown(canvas, middle, width=tall * random.uniform(0.28, 0.5), height=tall * random.uniform(0.28, 0.36))


def place_bush(canvas: Canvas, foot: Place, tall: float) -> None:
    """A low crown on the ground."""
    width = tall * canvas.random.uniform(0.2, 0.5)
    _cast_shadow(canvas, foot, width)
    _grow_crown(canvas, (foot[0], foot[1] - 0.12 * tall), width=width, height=tall * canvas.random.uniform(0.14, 0.24))


def hang_branches(canvas: Canvas) -> None:
    """Leaves close to the camera, in from the upper rim: foliage where the sky would be."""
    height, width = canvas.size
    x = canvas.random.uniform(0, width)
    _grow_crown(canvas, (float(x), -0.02 * height), width=0.4 * width, height=0.2 * height)


def place_rock(canvas: Canvas, foot: Place, tall: float) -> None:
    """A boulder, lit from the sun's side."""
    random, (x, y) = canvas.random, foot
    width, height = tall * random.uniform(0.18, 0.45), tall * random.uniform(0.14, 0.34)
    _cast_shadow(canvas, foot, width)
    mask, side, up = _fill_blob(canvas, (x, y - 0.75 * height), width, height, roughness=0.35)
    shade = 1 + 0.22 * canvas.sun * side + 0.14 * up
    closeness = np.clip(1.5 - tall / 160, 0.7, 1.4)
    cover(canvas, mask, "rock", canvas.across * closeness, canvas.down * closeness, shade=np.clip(shade, 0.55, 1.4))


def place_house(canvas: Canvas, foot: Place, tall: float) -> None:
    """A wall to the front, one to the side and a roof: all of it is building."""
    random, (x, y) = canvas.random, foot
    wide, high, deep = (
        tall * random.uniform(0.5, 1.1),
        tall * random.uniform(0.35, 0.7),
        tall * random.uniform(0.2, 0.5),
    )
    turn = float(random.choice((-1, 1)))  # the side that shows its gable
    skew = -0.18 * deep  # the far end stands a little higher in the picture
    corner, left = x + turn * wide / 2, x - turn * wide / 2
    colour = draw_colour(random, "building", canvas.weather)
    scale = float(np.clip(1.7 - tall / 140, 0.75, 1.5))
    u, v = (canvas.across * scale).astype(np.float32), (canvas.down * scale).astype(np.float32)
    _cast_shadow(canvas, (x + turn * deep / 2, y), 0.6 * (wide + deep))
    gable = [
        (corner, y), (corner + turn * deep, y + skew), (corner + turn * deep, y - high + skew * 0.4),
        (corner + turn * deep / 2, y - high * 1.45), (corner, y - high),
    ]  # fmt: skip
    lit = 1 + 0.2 * canvas.sun * turn
    cover(canvas, fill_polygon(canvas, gable), "building", u * 1.2, v, colour=colour, shade=lit)
    front = fill_polygon(canvas, [(left, y), (corner, y), (corner, y - high), (left, y - high)])
    cover(canvas, front, "building", u, v, colour=colour, shade=2 - lit)
    _cut_windows(canvas, front, (min(left, corner), y - high), wide=wide, high=high)
    ridge = y - high * 1.45
    roof = [(left, y - high), (corner, y - high), (corner + turn * deep / 2, ridge), (left + turn * deep / 2, ridge)]
    tiled = draw_colour(random, "building", canvas.weather) * 0.75
    cover(canvas, fill_polygon(canvas, roof), "building", u * 1.4, v * 1.2, colour=tiled.astype(np.float32))


def place_row(canvas: Canvas, horizon: float) -> None:
    """A row of houses as one wall that runs from a rim of the picture towards the horizon."""
    random, (height, width) = canvas.random, canvas.size
    from_left = random.random() < 0.5
    vanish = width * random.uniform(0.35, 0.65)
    rim = 0.0 if from_left else float(width)
    end = rim + (vanish - rim) * random.uniform(0.35, 0.75)
    above, below = height * random.uniform(0.35, 1.1), height * random.uniform(0.15, 0.6)
    share = abs(end - vanish) / abs(rim - vanish)  # how much smaller the far end looks
    corners = [
        (rim, horizon - above),
        (end, horizon - above * share),
        (end, horizon + below * share),
        (rim, horizon + below),
    ]
    mask = fill_polygon(canvas, corners)
    x = canvas.across + width / 2
    nearness = np.clip((x - vanish) / (rim - vanish), 0.2, None).astype(np.float32)
    scale = 0.75
    u, v = 260 * scale / nearness, scale * (canvas.down - horizon) / nearness
    colour = draw_colour(random, "building", canvas.weather)
    cover(canvas, mask, "building", u.astype(np.float32), v.astype(np.float32), colour=colour)
    if random.random() < 0.75:
        pitch, storey = random.uniform(28, 44), random.uniform(32, 48)
        panes = mask & (np.mod(u, pitch) < 0.38 * pitch) & (np.mod(v + 7, storey) < 0.45 * storey)
        _glaze(canvas, panes)


def _grow_crown(canvas: Canvas, middle: Place, *, width: float, height: float) -> None:
    random = canvas.random
    colour = draw_colour(random, "foliage", canvas.weather)
    closeness = float(np.clip(1.6 - height / 40, 0.8, 1.5))
    clumps = [(0.0, 0.0, 1.0)] + [
        (random.uniform(-0.75, 0.75), random.uniform(-0.6, 0.6), random.uniform(0.4, 0.65))
        for _ in range(random.integers(3, 8))
    ]
    for aside, lower, share in clumps:
        place = (middle[0] + aside * width, middle[1] + lower * height)
        mask, side, up = _fill_blob(canvas, place, share * width, share * height, roughness=0.9)
        shade = np.clip(1 + 0.16 * canvas.sun * side + 0.2 * up, 0.55, 1.4)
        cover(canvas, mask, "foliage", canvas.across * closeness, canvas.down * closeness, colour=colour, shade=shade)


def _fill_blob(
    canvas: Canvas, middle: Place, width: float, height: float, *, roughness: float
) -> tuple[Bool[np.ndarray, "H W"], Float[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
    """The pixels of a ragged ellipse, and how far to the right and up of its middle each pixel lies, about -1 to 1."""
    y, x = np.mgrid[: canvas.size[0], : canvas.size[1]].astype(np.float32)
    side, up = (x - middle[0]) / max(width, 1), (middle[1] - y) / max(height, 1)
    rim = draw_line(canvas.random, 256, roughness=roughness)
    rim = rim / rim.std()
    turn = ((np.arctan2(up, side) / (2 * np.pi) + 0.5) * 255.99).astype(int) % 256
    return np.hypot(side, up) < 1 + 0.12 * rim[turn], side, up


def _cast_shadow(canvas: Canvas, foot: Place, width: float) -> None:
    y, x = np.mgrid[: canvas.size[0], : canvas.size[1]].astype(np.float32)
    aside = (x - foot[0] + canvas.sun * width * 0.8) / max(1.5 * width, 1)
    down = (y - foot[1]) / max(0.22 * width, 1)
    darken(canvas, np.hypot(aside, down) < 1, softness=1.5, light=0.62)


def _cut_windows(canvas: Canvas, front: np.ndarray, corner: Place, *, wide: float, high: float) -> None:
    columns = int(canvas.random.integers(1, 4))
    y, x = np.mgrid[: canvas.size[0], : canvas.size[1]].astype(np.float32)
    across, down = np.mod((x - corner[0]) / wide * columns, 1), (y - corner[1]) / high
    _glaze(canvas, front & (np.abs(across - 0.5) < 0.17) & (np.abs(down - 0.42) < 0.17))


def _glaze(canvas: Canvas, panes: np.ndarray) -> None:
    glass = 0.35 * canvas.weather.top + 12
    canvas.pixels[panes] = 0.25 * canvas.pixels[panes] + 0.75 * glass
