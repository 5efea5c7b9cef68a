"""Image file -> upright 8-bit RGB pixels, or the reason why not. Nothing else in fs4 opens an image file.

The header is judged before any pixel is unpacked; damaged and cut files are refused, never filled up with grey. A
hostile file may still hang or kill whoever decodes it: `fs4cli.data.readers` does the same in processes of its own.
"""

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from fs4cli.data.conversions import GREY_MODES, NoConversion, convert_to_eight_bits
from fs4cli.data.formats import HEAD_BYTES
from fs4cli.data.refusals import (
    UnreadableImage,
    check_channels,
    check_size,
    explain_failure,
    explain_header,
    recognize_format,
    refuse_special,
)
from fs4cli.scaling import Scaling

RULES = 1
"""Grows when the same file would give other pixels: cached copies are made again then."""

MAX_PIXELS = 250_000_000
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class LoadedImage:
    """One picture as everything in fs4 sees it.

    Args:
        pixels: Upright RGB; (height, width) as `size`, or shrunk if that was asked for.
        size: (height, width) of the whole upright picture.
        format: `JPEG`, `PNG`, ... by content.
        mode: Pillow's name of the stored pixels: `RGB`, `L`, `CMYK`, `I;16`, ...
        conversions: What was done to get there, in words: `EXIF turn 6`, `CMYK to RGB`.
        is_grey: Whether the picture shows no colour.
        own_scaling: How deep grey would become 8 bits by itself; empty if there is no choice.
        scaling: How it did.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    size: tuple[int, int]
    format: str
    mode: str
    conversions: tuple[str, ...]
    is_grey: bool
    own_scaling: Scaling = ""
    scaling: Scaling = ""


def read_image(
    path: Path,
    *,
    max_pixels: int = MAX_PIXELS,
    seconds: float | None = None,
    short_side: int | None = None,
    scaling: Scaling = "",
) -> LoadedImage:
    """Read one image file.

    Args:
        path: Any file; it is recognized by its content.
        max_pixels: Pictures with more are refused from their header.
        seconds: Read in a process of its own and give up after so long. Here and without limit if left out.
        short_side: Shrink the picture to this short side (never enlarged), as `shrink_size` says.
        scaling: Of deep grey to 8 bits; the picture's own if left out.

    Raises:
        UnreadableImage: There is no usable picture in it; `.reason` says why.
    """
    if seconds is not None:
        from fs4cli.data.readers import read_guarded

        return read_guarded(path, max_pixels=max_pixels, seconds=seconds, short_side=short_side, scaling=scaling)
    data = read_file(path, max_pixels=max_pixels)
    return decode_image(data, max_pixels=max_pixels, short_side=short_side, scaling=scaling)


def read_file(path: Path, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """All bytes of a regular file whose beginning promises a picture; pipes and devices are never opened.

    Raises:
        UnreadableImage: It is missing, not a regular file, may not be read, or its content is no image.
    """
    try:
        refuse_special(os.stat(path).st_mode)
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            refuse_special(status.st_mode)
            head = file.read(HEAD_BYTES)
            recognize_format(head)
            if status.st_size > 16 * max_pixels + 64 * 1024 * 1024:  # 16-bit RGBA, stored twice over
                raise UnreadableImage(f"file too large: {status.st_size:,} bytes for at most {max_pixels:,} pixels")
            return head + file.read()
    except FileNotFoundError:
        raise UnreadableImage("file not found", is_lasting=False) from None
    except OSError as error:
        word = os.strerror(error.errno).lower() if error.errno else str(error)
        raise UnreadableImage(word, is_lasting=False) from None


def decode_image(
    data: bytes, *, max_pixels: int = MAX_PIXELS, short_side: int | None = None, scaling: Scaling = ""
) -> LoadedImage:
    """Decode the bytes of an image file; see `read_image`."""
    with _open(data) as picture:
        return _load(picture, max_pixels=max_pixels, short_side=short_side, scaling=scaling)


def measure_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) as stored, from the header alone; no pixel is unpacked.

    Raises:
        UnreadableImage: Already the header says that there is no usable picture.
    """
    with _open(data) as picture:
        width, height = picture.size
        check_size(height, width, max_pixels)
        return height, width


@contextmanager
def _open(data: bytes) -> Iterator[ImageFile.ImageFile]:
    """The picture with its header read; whatever Pillow raises until it is closed comes out as `UnreadableImage`."""
    format = recognize_format(data[:HEAD_BYTES])
    with _without_pillows_limit(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=(format,)) as picture:
                yield picture
        except UnreadableImage:
            raise
        except NoConversion as error:
            raise UnreadableImage(str(error)) from None
        except MemoryError:
            raise UnreadableImage("out of memory", is_lasting=False) from None
        except UnidentifiedImageError:
            raise explain_header(data, format) from None
        except Exception as error:  # Pillow's readers raise nearly anything on damaged files
            raise explain_failure(error, data, format) from None


def shrink_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """The (height, width) at which the short side is at most `short_side`; no side becomes 0, none grows."""
    factor = min(1.0, short_side / min(size))
    height, width = (max(1, round(side * factor)) for side in size)
    return height, width


def _load(picture: ImageFile.ImageFile, *, max_pixels: int, short_side: int | None, scaling: Scaling) -> LoadedImage:
    width, height = picture.size
    check_size(height, width, max_pixels)
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        check_channels(picture)
    done = ["first of several pictures"] if getattr(picture, "is_animated", False) else []
    if any("16" in str(tile[3]) for tile in picture.tile) and picture.mode in ("RGB", "RGBA", "LA"):
        done.append("16 bit to 8")  # Pillow keeps the high byte by itself
    mode, format = picture.mode, picture.format or ""
    if short_side is not None and format in ("JPEG", "MPO"):
        shrunk = shrink_size((height, width), short_side)
        # Decodes at 1/2, 1/4 or 1/8, never below the size asked for: twice what is wanted, so that the last halving is
        # done as in prediction, which reads whole images. A decoder's own half is sharper, and texture is a cue.
        picture.draft(None, (2 * shrunk[1], 2 * shrunk[0]))
    picture.load()
    if format == "TIFF":
        width, height = picture.size  # Pillow has turned it already
    turn = _read_turn(picture)
    converted = convert_to_eight_bits(picture, scaling)
    pixels, conversions = converted.picture, converted.steps
    if short_side is not None:
        shrunk = shrink_size((height, width), short_side)
        if pixels.size != (shrunk[1], shrunk[0]):
            pixels = pixels.resize((shrunk[1], shrunk[0]), Image.Resampling.BILINEAR)  # antialiased when it shrinks
    if turn in _TURNS:
        pixels = pixels.transpose(_TURNS[turn])
        conversions.append(f"EXIF turn {turn}")
    if pixels.mode == "L":
        conversions.append("grey to RGB")
    array = np.asarray(pixels.convert("RGB"))
    return LoadedImage(
        pixels=array,
        size=(width, height) if turn >= 5 else (height, width),
        format=format,
        mode=mode,
        conversions=tuple(done + conversions),
        is_grey=mode in GREY_MODES or _shows_no_colour(array),
        own_scaling=converted.own_scaling,
        scaling=converted.scaling,
    )


def _read_turn(picture: Image.Image) -> int:
    try:
        turn = picture.getexif().get(ExifTags.Base.Orientation, 1)
        return turn if turn in _TURNS else 1
    except Exception:  # garbage in the EXIF block is no reason to refuse the picture
        return 1


def _shows_no_colour(pixels: UInt8[np.ndarray, "H W 3"]) -> bool:
    # every fourth pixel is enough; JPEG rounding moves equal channels apart by a step or two
    sample = pixels[::4, ::4].astype(np.int16)
    return bool((sample.max(axis=2) - sample.min(axis=2)).max() <= 3)


_limit_lock = threading.Lock()
_limit_users = 0
_limit_before: int | None = None


@contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Lift Pillow's limit, which is process-wide, until the last of all threads is done; `check_size` is ours."""
    global _limit_users, _limit_before
    with _limit_lock:
        if _limit_users == 0:
            _limit_before = Image.MAX_IMAGE_PIXELS
            Image.MAX_IMAGE_PIXELS = None
        _limit_users += 1
    try:
        yield
    finally:
        with _limit_lock:
            _limit_users -= 1
            if _limit_users == 0:
                Image.MAX_IMAGE_PIXELS = _limit_before
