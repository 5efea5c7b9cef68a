"""Damaged and forged pictures: every reader takes them or refuses them by name."""

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from hostile import attempt, fuzz, harmed
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fs4cli.data.images import decode_image, measure_image, read_image
from fs4cli.data.masks import encode_mask, make_palette, read_mask
from fs4cli.data.own_files import is_own_file
from fs4cli.errors import InputError
from fs4cli.evaluation.index_image import read_index_image

_LIMIT = 4_000_000  # pixels


def _draw(mode: str, height: int = 20, width: int = 28) -> Image.Image:
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    return small.resize((width, height)).convert(mode)


def _encode(picture: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _encode(_draw("RGB"), "JPEG", exif=exif)


PICTURES = [
    *(_encode(_draw("RGB"), format) for format in ("JPEG", "PNG", "BMP", "TIFF", "PPM", "WEBP")),
    *(_encode(_draw(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGBA", "I;16")),
    *(_encode(_draw("RGB"), "TIFF", compression=name) for name in ("tiff_lzw", "tiff_deflate", "packbits")),
    _encode(_draw("CMYK"), "JPEG"),
    _encode(_draw("L"), "JPEG", progressive=True),
    _encode(_draw("P"), "GIF", save_all=True, append_images=[_draw("P").rotate(90)]),
    _encode(_draw("F"), "TIFF"),
    _turned(),
]
_IDS = np.arange(20 * 28).reshape(20, 28) % 7
MASKS = [
    encode_mask(_IDS, make_palette(7)),
    encode_mask(_IDS * 90, make_palette(700)),
    _encode(_draw("L"), "PNG"),
    _encode(_draw("1"), "PNG"),
    _encode(_draw("L"), "TIFF"),
    _encode(_draw("I;16"), "TIFF"),
]


@fuzz
@given(harmed(PICTURES), st.sampled_from([None, 16, 64]))
def test_any_bytes_are_a_picture_or_a_reason(data, short_side):
    here = Path("/nonexistent")  # nothing is to be written, anywhere
    attempt("image", here, lambda: decode_image(data, max_pixels=_LIMIT, short_side=short_side))
    attempt("image header", here, lambda: measure_image(data, max_pixels=_LIMIT))


@fuzz
@given(harmed(PICTURES))
def test_any_file_is_a_picture_or_a_reason(home, data):
    path = home / "picture"
    path.write_bytes(data)
    attempt("image file", home / "nothing", lambda: read_image(path, max_pixels=_LIMIT))
    assert path.read_bytes() == data


@fuzz
@given(harmed(MASKS))
def test_any_bytes_are_a_mask_or_a_reason(home, data):
    path = home / "mask.png"
    path.write_bytes(data)
    attempt("mask", home / "nothing", lambda: read_mask(path, max_pixels=_LIMIT))
    attempt("mask header", home / "nothing", lambda: is_own_file(path))
    attempt("label", home / "nothing", lambda: read_index_image(path, max_pixels=_LIMIT))


def test_a_mask_that_claims_billions_of_pixels_is_refused_from_its_header(tmp_path):
    data = bytearray(MASKS[0])
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path = tmp_path / "bomb.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match="larger than any mask"):
        read_mask(path)
