"""Any kind of decoded picture -> 8-bit RGB or grey, and what had to be done for it.

The rules, once: transparent parts are laid on white; CMYK, palettes and one-bit pictures become the colours they show;
integers of 16 or more bits and floats are scaled to 8 bits. All of it is ours; docs/ingest.md states it for users.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from fs4cli.scaling import Scaling

DEEP_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
GREY_MODES = frozenset({"1", "L", "LA", "La", *DEEP_MODES})
_ALPHA_MODES = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})

LOW, HIGH = 0.5, 99.5
"""Percentiles that become 0 and 255 where a picture uses little of its format's range."""


class Converted(NamedTuple):
    """A picture of 8 bits, and how it came to be.

    Args:
        picture: Mode `L` or `RGB`.
        steps: What was done, in words.
        own_scaling: What a deep picture would take by itself; empty if it has no choice.
        scaling: What it took.
    """

    picture: Image.Image
    steps: list[str]
    own_scaling: Scaling = ""
    scaling: Scaling = ""


class NoConversion(Exception):
    """The picture's kind of pixels has no meaning as RGB; the text is the reason."""


def convert_to_eight_bits(picture: Image.Image, scaling: Scaling = "") -> Converted:
    """A loaded picture as mode `L` or `RGB`, and the conversions that it took.

    Args:
        picture: Loaded, any mode.
        scaling: Of deep grey; each picture's own if left out.

    Raises:
        NoConversion: Pixels are not finite, or the mode has no way to RGB.
    """
    if picture.mode in DEEP_MODES:
        return _scale_deep(picture, scaling)
    if picture.mode in _ALPHA_MODES or "transparency" in picture.info:
        return Converted(*_lay_on_white(picture))
    if picture.mode == "1":
        return Converted(picture.convert("L"), ["one bit to 8"])
    if picture.mode in ("L", "RGB"):
        return Converted(picture, [])
    try:
        return Converted(picture.convert("RGB"), [f"{_NAMES.get(picture.mode, picture.mode)} to RGB"])
    except ValueError:
        raise NoConversion(f"no conversion from colour mode {picture.mode} to RGB") from None


def scale_to_eight_bits(
    values: Shaped[np.ndarray, "H W"], scaling: Scaling = ""
) -> tuple[UInt8[np.ndarray, "H W"], str, Scaling, Scaling]:
    """Deep grey values as 0..255, the rule that was used, in words, and both scalings: its own, and the one it took.

    By itself, a picture whose bright end lies in the upper half of its format's range (65535 for whole numbers up to
    that, 1 for floats from 0 to 1) keeps its brightness. Any other, such as 12 bits in 16, is stretched: its 0.5th
    percentile becomes 0 and its 99.5th 255. Two have no choice: a flat picture stays flat, and one with values outside
    the range, such as elevations in metres, is stretched.

    Args:
        values: Whole numbers of 16 or 32 bits, or floats; all finite.
        scaling: For pictures with a choice; their own if left out.

    Raises:
        NoConversion: A value is NaN or infinite.
    """
    if not np.isfinite([values.min(), values.max()]).all():
        raise NoConversion("non-finite pixel values")
    low, high = (float(value) for value in np.percentile(_thin_out(values), (LOW, HIGH)))
    smallest, largest = float(values.min()), float(values.max())
    full = 65535.0 if values.dtype.kind in "iu" else 1.0
    own: Scaling = ""
    taken: Scaling = ""
    is_within, is_flat = smallest >= 0 and largest <= full, high <= low
    if is_within and not is_flat:
        own = "range" if high >= full / 2 else "stretch"
        taken = scaling or own
    if is_within and (is_flat or taken == "range"):
        low, high, rule = 0.0, full, f"{_depth(values)} to 8"
    else:
        rule = f"{_depth(values)} to 8 by percentile"
    if own != taken:
        rule += " as its folder"
    if high <= low:
        return np.zeros(values.shape, np.uint8), rule, own, taken
    scaled = np.empty(values.shape, np.uint8)
    rows = max(1, 4_000_000 // max(1, values.shape[1]))
    for top in range(
        0, len(values), rows
    ):  # in bands: a float copy of a whole large picture would take 8 bytes a pixel
        band = (values[top : top + rows].astype(np.float64) - low) * (255.0 / (high - low))
        scaled[top : top + rows] = np.clip(np.rint(band), 0, 255).astype(np.uint8)
    return scaled, rule, own, taken


def _scale_deep(picture: Image.Image, scaling: Scaling) -> Converted:
    pixels, rule, own, taken = scale_to_eight_bits(np.asarray(picture), scaling)
    return Converted(Image.fromarray(pixels), [rule], own, taken)


def _thin_out(values: Shaped[np.ndarray, "H W"]) -> Shaped[np.ndarray, "h w"]:
    # a percentile of a million evenly spaced pixels is as good, and does not copy a large picture
    step = max(1, int((values.size / 1_000_000) ** 0.5))
    return values[::step, ::step]


def _lay_on_white(picture: Image.Image) -> tuple[Image.Image, list[str]]:
    done = ["palette to RGB"] if picture.mode in ("P", "PA") else []
    clear = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    if clear.getchannel("A").getextrema()[0] == 255:
        opaque = clear.convert("RGB")
        done.append("opaque alpha dropped")
    else:
        opaque = Image.new("RGB", clear.size, (255, 255, 255))
        opaque.paste(clear, mask=clear.getchannel("A"))
        done.append("alpha laid on white")
    return opaque, done


def _depth(values: Shaped[np.ndarray, "H W"]) -> str:
    return "float" if values.dtype.kind == "f" else f"{8 * values.dtype.itemsize} bit"


_NAMES = {"P": "palette", "CMYK": "CMYK"}
