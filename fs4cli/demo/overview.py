"""One picture that shows how it went: image, truth, mask and overlay side by side, with the classes' colours.

In: arrays of one size. Out: RGB. Masks are drawn in the colours of the classes that their clusters were matched
with, so that truth and mask compare by eye; a cluster without a class is white.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image, ImageDraw, ImageFont

from fs4cli.data.masks import draw_overlay

COLUMNS = ("image", "ground truth", "mask", "overlay")
GAP = 6
"""Pixels between two pictures, and around all."""
HEAD = 46
"""Pixels of the title and the columns' names."""
LINE = 24
"""Pixels of a line of the legend."""
NONE = (255, 255, 255)
"""Colour of what no class was matched with."""
_INK, _PAPER = (30, 30, 30), (246, 246, 244)


@dataclass(frozen=True)
class Row:
    """One image of the overview.

    Args:
        pixels: The image.
        truth: The class of each pixel; ids beyond the palette (void) are drawn without a class.
        mask: The cluster of each pixel.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    truth: Integer[np.ndarray, "H W"]
    mask: Integer[np.ndarray, "H W"]


def draw_overview(
    rows: Sequence[Row],
    *,
    names: Sequence[str],
    palette: UInt8[np.ndarray, "c 3"],
    class_of: Integer[np.ndarray, " k"],
    title: str,
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw the rows below each other under a title, and a legend below them.

    Args:
        rows: At least one, all of one size.
        names: Of the classes.
        palette: A colour for each class.
        class_of: The class that each cluster was matched with, or -1.
        title: One line.

    Raises:
        ValueError: There is no row, or sizes differ.
    """
    sizes = {array.shape[:2] for row in rows for array in (row.pixels, row.truth, row.mask)}
    if len(sizes) != 1:
        raise ValueError(f"an overview needs rows of one size, not {sorted(sizes)}")
    [(height, width)] = sizes
    colours = np.concatenate([palette, np.array([NONE], np.uint8)])
    sheet_width = GAP + len(COLUMNS) * (width + GAP)
    legend, lines = _place_legend(names, sheet_width)
    sheet = Image.new("RGB", (sheet_width, HEAD + len(rows) * (height + GAP) + lines * LINE + GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, 5), title, fill=_INK, font=_font(15))
    for column, name in enumerate(COLUMNS):
        pen.text((GAP + column * (width + GAP), HEAD - 18), name, fill=_INK, font=_font(12))
    for number, row in enumerate(rows):
        for column, picture in enumerate(_draw_row(row, colours, class_of)):
            place = (GAP + column * (width + GAP), HEAD + number * (height + GAP))
            sheet.paste(Image.fromarray(picture), place)
    top = HEAD + len(rows) * (height + GAP)
    for (x, line), name, colour in zip(legend, names, palette.tolist(), strict=True):
        y = top + line * LINE
        pen.rectangle((x, y + 4, x + 15, y + 19), fill=tuple(colour), outline=_INK)
        pen.text((x + 21, y + 3), name, fill=_INK, font=_font(13))
    return np.array(sheet)


def _draw_row(row: Row, colours: np.ndarray, class_of: np.ndarray) -> list[np.ndarray]:
    none = len(colours) - 1
    named = np.append(class_of, -1)[np.minimum(row.mask, len(class_of))]  # a cluster nobody counted has no class
    named = np.where(named < 0, none, named)
    truth = np.minimum(row.truth, none)
    return [row.pixels, colours[truth], colours[named], draw_overlay(row.pixels, named, colours)]


def _place_legend(names: Sequence[str], width: int) -> tuple[list[tuple[int, int]], int]:
    """Where each name goes (x, line), and how many lines there are."""
    places, x, line = [], GAP, 0
    for name in names:
        needed = 21 + int(_font(13).getlength(name)) + 18
        if x > GAP and x + needed > width:
            x, line = GAP, line + 1
        places.append((x, line))
        x += needed
    return places, line + 1


def _font(size: int):
    return ImageFont.load_default(size)
