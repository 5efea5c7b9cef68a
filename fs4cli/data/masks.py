"""Masks to files and back: index PNGs with a palette, overlays, and the table of classes beside them.

In: a map of class ids. Out: PNG bytes that any tool opens as ids, and that people see in colour.
"""

from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8
from PIL import Image, PngImagePlugin

from fs4cli.data.images import MAX_PIXELS
from fs4cli.data.own_files import CLASSES_SCHEMA, mark_png
from fs4cli.errors import InputError
from fs4cli.files import write_bytes, write_json

# Colours that stay apart for people with any of the usual kinds of colour blindness (Okabe and Ito, 2008).
_FIRST = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (86, 180, 233),
)
# What is left of linear RGB without the cones for red, and without those for green (Machado et al., 2009).
_BLINDNESS = (
    ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
)
# Linear RGB to cone answers, and their cube roots to OKLab (Ottosson, 2020).
_TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
_BAND = 4_000_000  # pixels of an overlay that are blended at once


def make_palette(classes: int) -> UInt8[np.ndarray, "k 3"]:
    """A colour for each class; a class has the same colour whatever the number of classes.

    The first seven are Okabe and Ito's; each further one lies as far as possible from all before it, also in the eyes
    of people who cannot tell red from green.

    Args:
        classes: How many, at least 1.
    """
    length = max(64, 1 << (classes - 1).bit_length())
    colours = _spread_colours(min(length, 4096))
    return colours[np.arange(classes) % len(colours)]


@lru_cache(maxsize=4)
def _spread_colours(count: int) -> UInt8[np.ndarray, "{count} 3"]:
    """Ours: greedy farthest points in OKLab; of the distances to normal and to colour-blind eyes the least counts."""
    steps = np.linspace(0, 255, 18).round()
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    seen = _see(candidates)
    lightness, chroma = seen[0, :, 0], np.hypot(seen[0, :, 1], seen[0, :, 2])
    usable = (lightness > 0.4) & (lightness < 0.93) & (chroma > 0.03)  # black is void, white and grey are borders
    candidates, seen = candidates[usable], seen[:, usable]
    chosen = [np.array(colour, float) for colour in _FIRST]
    nearest = np.full(len(candidates), np.inf)
    for number in range(count):
        if number >= len(chosen):
            # rounded, so that another machine's last bit does not choose another colour
            chosen.append(candidates[int(nearest.round(9).argmax())])
        distances = np.linalg.norm(seen - _see(chosen[number][None]), axis=-1)
        nearest = np.minimum(nearest, (distances * [[1.0], [2.0], [2.0]]).min(axis=0))
    return np.array(chosen[:count]).astype(np.uint8)


def _see(colours: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "eyes n 3"]:
    """Where colours of 0 to 255 lie in OKLab for normal eyes, for those without red and for those without green."""
    values = colours / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    views = [linear, *(linear @ np.array(blindness).T for blindness in _BLINDNESS)]
    return np.stack([np.cbrt(view.clip(0, 1) @ np.array(_TO_CONES).T) @ np.array(_TO_LAB).T for view in views])


def choose_void(classes: int) -> int:
    """The id that is no class: the highest of 8 bits, or of 16 for more than 255 classes."""
    return 255 if classes < 256 else 65535


def encode_mask(mask: Integer[np.ndarray, "H W"], palette: UInt8[np.ndarray, "k 3"]) -> bytes:
    """The mask as PNG: 8 bits with a palette up to 255 classes, else 16 bits of grey.

    Args:
        mask: Class ids, at least 0; those beyond the palette are shown black.
        palette: Red, green and blue of each class.

    Raises:
        ValueError: An id does not fit into so many bits.
    """
    top = choose_void(len(palette))
    low, high = (int(mask.min()), int(mask.max())) if mask.size else (0, 0)
    if low < 0 or high > top:
        raise ValueError(f"mask ids must lie in [0, {top}] with {len(palette)} classes, not in [{low}, {high}]")
    if top == 255:
        image = Image.fromarray(mask.astype(np.uint8))
        image.putpalette(palette.tobytes().ljust(768, b"\0"))  # a short palette would be packed into 4 bits
    else:
        image = Image.fromarray(mask.astype(np.uint16))
    buffer = BytesIO()
    image.save(buffer, format="PNG", compress_level=4, pnginfo=mark_png())
    return buffer.getvalue()


def write_mask(path: Path, mask: Integer[np.ndarray, "H W"], palette: UInt8[np.ndarray, "k 3"]) -> None:
    """Write the mask as `encode_mask` makes it, whole or not at all."""
    write_bytes(path, encode_mask(mask, palette))


def read_mask(path: Path, *, max_pixels: int = MAX_PIXELS) -> Integer[np.ndarray, "H W"]:
    """The ids of a mask that `write_mask` wrote: uint8 or uint16.

    Args:
        path: The mask.
        max_pixels: Larger ones are refused from their header.

    Raises:
        InputError: It is no whole PNG of class ids.
    """
    try:
        # not through Image.open: its limit of pixels is lower than that of the images we take
        with PngImagePlugin.PngImageFile(path) as image:
            if image.mode not in ("P", "L", "I;16"):
                raise InputError(f"`{path}` is a picture in colours, not a mask of class ids")
            if image.width * image.height > max_pixels:
                raise InputError(f"`{path}` is larger than any mask: {image.height} x {image.width} pixels")
            return np.asarray(image)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files
        raise InputError(f"`{path}` is not a readable PNG: {error}") from error


def draw_overlay(
    pixels: UInt8[np.ndarray, "H W 3"],
    mask: Integer[np.ndarray, "H W"],
    palette: UInt8[np.ndarray, "k 3"],
    *,
    opacity: float = 0.5,
) -> UInt8[np.ndarray, "H W 3"]:
    """The mask's colours laid over the image, with a dark and a light line where classes meet.

    Args:
        pixels: The image.
        mask: Class ids of the same size; ids beyond the palette stay without colour.
        palette: Red, green and blue of each class.
        opacity: Of the colours, in [0, 1].
    """
    overlay = np.empty_like(pixels)
    band = max(1, _BAND // pixels.shape[1])
    for top in range(0, len(mask), band):
        rows = slice(top, top + band)
        ids, photo = mask[rows], pixels[rows]
        known = ids < len(palette)
        colours = palette[np.where(known, ids, 0)]
        share = np.where(known, round(256 * opacity), 0).astype(np.uint16)[..., None]
        blended = ((256 - share) * photo + share * colours) >> 8
        above, below = mask[max(top - 1, 0) : top + band], mask[top : top + band + 1]
        # one line on each side of the border, so that one of them shows on any photo
        blended[_meet(above)[-len(ids) :]] = 32
        blended[_meet(below[::-1, ::-1])[::-1, ::-1][: len(ids)]] = 240
        overlay[rows] = blended
    return overlay


def _meet(mask: Integer[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels whose class is another than that of the pixel above or left of them."""
    border = np.zeros(mask.shape, bool)
    border[1:] = mask[1:] != mask[:-1]
    border[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    return border


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
    write_json(path, {"schema": CLASSES_SCHEMA, "classes": rows, "void": choose_void(len(names)), "model": model})
