"""What is stored is what is read, and what cannot be trusted is refused by name."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fs4cli.evaluation.index_image import BadIndexImage, read_index_image

IDS = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)


def save(path: Path, array: np.ndarray, mode: str | None = None, **options) -> Path:
    image = Image.fromarray(array)
    if mode == "P":
        image.putpalette([200, 10, 10, 0, 99, 0, 7, 7, 7])
    image.save(path, **options)
    return path


def write_grey_png(path: Path, rows: list[bytes], width: int, depth: int) -> Path:
    """A PNG of 1, 2 or 4 bits of grey, which Pillow reads but cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = width.to_bytes(4) + len(rows).to_bytes(4) + bytes([depth, 0, 0, 0, 0])
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    return path


def reason(path: Path, **options) -> str:
    with pytest.raises(BadIndexImage) as caught:
        read_index_image(path, **options)
    assert path.name in caught.value.message
    return caught.value.reason


def test_the_index_of_a_palette_is_the_id(tmp_path):
    path = save(tmp_path / "a.png", IDS, "P")
    assert Image.open(path).mode == "P"
    assert read_index_image(path).tolist() == IDS.tolist()


def test_sixteen_bits_keep_large_ids(tmp_path):
    path = save(tmp_path / "a.png", IDS.astype(np.uint16) * 300)
    ids = read_index_image(path)
    assert ids.dtype == np.uint16
    assert ids.tolist() == [[0, 300, 600], [600, 300, 0]]


def test_one_bit_is_0_and_1_not_0_and_255(tmp_path):
    path = save(tmp_path / "a.png", np.array([[True, False]]))
    assert read_index_image(path).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("depth", "row", "ids"), [(2, 0b00_01_10_11, [0, 1, 2, 3]), (4, 0x5F, [5, 15]), (1, 0xA0, [1, 0, 1])]
)
def test_few_bits_of_grey_are_not_stretched_to_255(tmp_path, depth, row, ids):
    path = write_grey_png(tmp_path / "a.png", [bytes([row])], len(ids), depth)
    assert read_index_image(path).tolist() == [ids]


@pytest.mark.parametrize("channels", [3, 4])
def test_three_equal_channels_are_one(tmp_path, channels):
    stacked = np.stack([IDS, IDS, IDS, np.full_like(IDS, 255)][:channels], axis=2)
    assert read_index_image(save(tmp_path / "a.png", stacked)).tolist() == IDS.tolist()


def test_a_tiff_of_ids_is_read(tmp_path):
    assert read_index_image(save(tmp_path / "a.tif", IDS)).tolist() == IDS.tolist()


def test_a_mask_that_fs4_wrote_is_read_back(tmp_path):
    masks = pytest.importorskip("fs4cli.data.masks")
    masks.write_mask(tmp_path / "a.png", IDS.astype(np.int64), masks.make_palette(3))
    assert read_index_image(tmp_path / "a.png").tolist() == IDS.tolist()


def test_colours_are_never_taken_for_ids(tmp_path):
    colours = np.zeros((2, 2, 3), np.uint8)
    colours[0, 0] = 128, 0, 0
    assert "colour table" in reason(save(tmp_path / "a.png", colours))


def test_what_smears_or_changes_ids_is_refused(tmp_path):
    see_through = np.dstack([IDS, IDS, IDS, np.full_like(IDS, 100)])
    assert "lossy" in reason(save(tmp_path / "a.jpg", IDS))
    assert "lossy" in reason(save(tmp_path / "jpeg_inside.png", IDS, format="JPEG"))
    assert "lossy" in reason(save(tmp_path / "b.tif", np.tile(IDS, (8, 8)), compression="jpeg"))
    assert "lossy" in reason(save(tmp_path / "a.webp", np.dstack([IDS] * 3), lossless=True))
    assert "alpha" in reason(save(tmp_path / "alpha.png", see_through))
    assert "F values" in reason(save(tmp_path / "float.tif", IDS.astype(np.float32)))
    assert "from -1 to 1" in reason(save(tmp_path / "minus.tif", np.array([[-1, 1]], np.int32)))
    assert "GIF" in reason(save(tmp_path / "a.gif", IDS))


def test_frames_beyond_the_first_are_refused(tmp_path):
    Image.fromarray(IDS).save(tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(IDS)])
    assert "2 frames" in reason(tmp_path / "a.tif")


def test_an_inverted_tiff_is_refused(tmp_path):
    path = save(tmp_path / "a.tif", IDS, tiffinfo={262: 0})
    assert "inverted" in reason(path)


def test_what_is_no_image_is_named(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "lfs.png").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "page.png").write_text("<!DOCTYPE html><html></html>")
    whole = save(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 9, (64, 64), np.uint8)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "header.png").write_bytes(whole[:20])
    assert reason(tmp_path / "empty.png") == "0 bytes"
    assert "LFS" in reason(tmp_path / "lfs.png")
    assert "HTML" in reason(tmp_path / "page.png")
    assert "truncated" in reason(tmp_path / "cut.png")
    assert "truncated" in reason(tmp_path / "header.png")
    assert "not found" in reason(tmp_path / "none.png")


def test_a_picture_over_the_limit_is_refused(tmp_path):
    assert "3x2" in reason(save(tmp_path / "a.png", IDS), max_pixels=5)
