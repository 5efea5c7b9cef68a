"""An index image file in, the ids it holds out: for labels and for masks from anywhere, read without any guess.

What is stored is what is read: a palette is only for show, one bit is 0 or 1, two and four bits of grey are not
stretched, and whatever could have changed an id on its way (colours, lossy formats, alpha) is refused by name.
"""

from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt
from PIL import Image, UnidentifiedImageError

from fs4cli.data.formats import HEAD_BYTES, recognize_content
from fs4cli.data.images import MAX_PIXELS, read_file
from fs4cli.data.refusals import UnreadableImage, explain_failure, explain_header
from fs4cli.errors import InputError

_LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000")
_PHOTOMETRIC, _BITS = 262, 258  # TIFF tags


class BadIndexImage(InputError):
    """A file that does not hold ids one can trust.

    Args:
        path: The file.
        reason: Why, in a few words.
    """

    def __init__(self, path: Path, reason: str):
        super().__init__(f"`{path}` cannot be used: {reason}")
        self.path = path
        self.reason = reason


def read_index_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> UInt[np.ndarray, "H W"]:
    """The ids in a PNG or TIFF file, uint8 or uint16 as stored.

    Args:
        path: 1, 2, 4, 8 or 16 bits of grey, palette indices, or three equal channels of 8 bits.
        max_pixels: Larger files are refused before they are decoded.

    Raises:
        BadIndexImage: Empty, damaged, no image, lossy, in colours, with a half-transparent alpha channel, not of whole
            numbers, of several frames, or too large.
    """
    data = _read_bytes(path, max_pixels)
    format = _choose_format(path, data)
    try:
        with Image.open(BytesIO(data), formats=[format]) as image:
            _refuse(path, image, data, max_pixels)
            depth = data[24] if format == "PNG" else 8
            grey = image.mode == "L"
            ids = np.asarray(image)
    except (BadIndexImage, MemoryError):
        raise
    except UnidentifiedImageError:
        raise BadIndexImage(path, explain_header(data, format).reason) from None
    except Image.DecompressionBombError as error:
        raise BadIndexImage(path, f"too large: {error}") from error
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files
        raise BadIndexImage(path, explain_failure(error, data, format).reason) from error
    ids = _take_one_channel(path, ids)
    if depth < 8 and grey:  # Pillow stretches 2 and 4 bits of grey to 0..255
        ids = ids // (255 // (2**depth - 1))
    return _as_unsigned(path, ids)


def _read_bytes(path: Path, max_pixels: int) -> bytes:
    try:
        return read_file(path, max_pixels=max_pixels)
    except UnreadableImage as error:
        raise BadIndexImage(path, error.reason) from error


def _choose_format(path: Path, data: bytes) -> str:
    format = recognize_content(data[:HEAD_BYTES]).format
    if format in _LOSSY:
        raise BadIndexImage(path, f"lossy label: stored as {format}, which smears ids at every border")
    if format not in ("PNG", "TIFF"):
        raise BadIndexImage(path, f"stored as {format}; ids are read from PNG and TIFF")
    return format


def _refuse(path: Path, image: Image.Image, data: bytes, max_pixels: int) -> None:
    """Raise for what the header already tells."""
    if image.width * image.height > max_pixels:
        raise BadIndexImage(path, f"too large: {image.width}x{image.height} pixels")
    if getattr(image, "n_frames", 1) > 1:
        raise BadIndexImage(path, f"holds {getattr(image, 'n_frames', 1)} frames")
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I", "I;16", "I;16B", "I;16L"):
        raise BadIndexImage(path, f"holds {image.mode} values, not ids")
    if image.format == "PNG" and data[24] == 16 and data[25] != 0:
        raise BadIndexImage(path, "16-bit colours; 16-bit ids need a single grey channel")
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        if image.info.get("compression") in ("jpeg", "webp", "tiff_jpeg"):
            raise BadIndexImage(path, f"lossy label: TIFF with {image.info['compression']} compression")
        if tags.get(_PHOTOMETRIC) == 0:
            raise BadIndexImage(path, "TIFF in which 0 is white: ids would come out inverted")
        if any(bits in (2, 4) for bits in tags.get(_BITS, ())):
            raise BadIndexImage(path, "TIFF with less than 8 bits a pixel")


def _take_one_channel(path: Path, ids: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "H W"]:
    if ids.ndim == 2:
        return ids
    channels = ids.shape[2]
    if channels in (2, 4):
        if (ids[..., -1] != 255).any():
            raise BadIndexImage(path, "has a half-transparent alpha channel")
        ids = ids[..., :-1]
    if ids.shape[2] == 3 and not ((ids[..., 0] == ids[..., 1]) & (ids[..., 0] == ids[..., 2])).all():
        raise BadIndexImage(path, "colour-coded: colours need a colour table, ids are never guessed from them")
    return ids[..., 0]


def _as_unsigned(path: Path, ids: Shaped[np.ndarray, "H W"]) -> UInt[np.ndarray, "H W"]:
    if ids.dtype == bool or ids.dtype == np.uint8:
        return ids.astype(np.uint8, copy=False)
    if ids.size and (ids.min() < 0 or ids.max() > 65535):
        raise BadIndexImage(path, f"ids from {ids.min()} to {ids.max()}; they must lie in 0..65535")
    return ids.astype(np.uint16)
