"""Masks to files: index PNGs with a palette, overlays, and the table of classes beside them.

In: a map of class ids. Out: PNG bytes that any tool opens as ids, and that people see in colour.
"""

import colorsys
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image

from fs4cli.files import write_bytes, write_json

VOID = 255
"""Id that is no class in an 8-bit mask."""

# Eight colours that stay apart for people with any of the usual kinds of colour blindness (Okabe and Ito, 2008).
_FIRST = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (86, 180, 233),
    (70, 70, 70),
)


def make_palette(classes: int) -> UInt8[np.ndarray, "k 3"]:
    """A colour for each class; a class has the same colour whatever the number of classes.

    Args:
        classes: How many, at least 1.
    """
    return np.array([_choose_colour(number) for number in range(classes)], np.uint8)


@lru_cache(maxsize=4096)
def _choose_colour(number: int) -> tuple[int, int, int]:
    if number < len(_FIRST):
        return _FIRST[number]
    # steps of the golden ratio never come back to an earlier hue
    hue = (number * 0.618034) % 1
    value = (0.95, 0.7, 0.5)[number % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.55, 0.9)[number // 3 % 2], value)
    return round(255 * red), round(255 * green), round(255 * blue)


def encode_mask(mask: Integer[np.ndarray, "H W"], palette: UInt8[np.ndarray, "k 3"]) -> bytes:
    """The mask as PNG: 8 bits with a palette up to 256 ids, else 16 bits of grey.

    Args:
        mask: Class ids, at least 0.
        palette: Red, green and blue of each class.

    Raises:
        ValueError: An id is negative or does not fit into 16 bits.
    """
    low, high = (int(mask.min()), int(mask.max())) if mask.size else (0, 0)
    if low < 0 or high > 65535:
        raise ValueError(f"mask ids must lie in [0, 65535], not [{low}, {high}]")
    if max(high, len(palette) - 1) < 256:
        image = Image.fromarray(mask.astype(np.uint8))
        image.putpalette(palette[:256].tobytes())
    else:
        image = Image.fromarray(mask.astype(np.uint16))
    buffer = BytesIO()
    image.save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()


def write_mask(path: Path, mask: Integer[np.ndarray, "H W"], palette: UInt8[np.ndarray, "k 3"]) -> None:
    """Write the mask as `encode_mask` makes it, whole or not at all."""
    write_bytes(path, encode_mask(mask, palette))


def read_mask(path: Path) -> Integer[np.ndarray, "H W"]:
    """The ids of a mask that `write_mask` wrote."""
    with Image.open(path, formats=["PNG"]) as image:
        return np.asarray(image)


def draw_overlay(
    pixels: UInt8[np.ndarray, "H W 3"],
    mask: Integer[np.ndarray, "H W"],
    palette: UInt8[np.ndarray, "k 3"],
    *,
    opacity: float = 0.45,
) -> UInt8[np.ndarray, "H W 3"]:
    """The mask's colours laid over the image, with a dark line where classes meet so that any photo shows them.

    Args:
        pixels: The image.
        mask: Class ids of the same size; ids beyond the palette stay without colour.
        palette: Red, green and blue of each class.
        opacity: Of the colours, in [0, 1].
    """
    known = mask < len(palette)
    colours = palette[np.where(known, mask, 0)].astype(np.float32)
    blended = pixels + (colours - pixels) * (opacity * known)[..., None]
    border = np.zeros(mask.shape, bool)
    border[1:] |= mask[1:] != mask[:-1]
    border[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    return np.where(border[..., None], blended * 0.35, blended).round().astype(np.uint8)


def write_classes(path: Path, names: tuple[str, ...], palette: UInt8[np.ndarray, "k 3"], *, model: str) -> None:
    """Write `classes.json`: the id, name and colour of each class, and which model gave them.

    Args:
        path: Where.
        names: Of the classes, by id.
        palette: Red, green and blue of each.
        model: Hash of the model file.
    """
    rows = [
        {"id": number, "name": name, "color": [int(value) for value in palette[number]]}
        for number, name in enumerate(names)
    ]
    write_json(path, {"schema": "fs4.classes/1", "classes": rows, "void": VOID, "model": model})
