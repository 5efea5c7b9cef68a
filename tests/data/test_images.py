import io
import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from fs4cli.data.conversions import scale_to_eight_bits
from fs4cli.data.images import UnreadableImage, decode_image, measure_image, read_image, shrink_size

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def draw(height: int = 24, width: int = 36, seed: int = 0) -> np.ndarray:
    """A smooth coloured picture, so that lossy formats keep it."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (4, 6, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def encode(pixels: np.ndarray, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def claim_png(width: int, height: int) -> bytes:
    """A PNG that is nothing but a header."""
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", body), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
def test_a_lossless_picture_comes_out_as_it_went_in(format):
    pixels = draw()

    image = decode_image(encode(pixels, format))

    assert (image.pixels == pixels).all()
    assert (image.size, image.format, image.mode, image.conversions) == ((24, 36), format, "RGB", ())
    assert not image.is_grey


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_lossy_picture_comes_out_nearly_as_it_went_in(format):
    pixels = draw(64, 96)

    image = decode_image(encode(pixels, format, quality=95))

    assert np.abs(image.pixels.astype(int) - pixels).mean() < 4


def test_the_content_decides_not_the_name(tmp_path: Path):
    (tmp_path / "picture.jpg").write_bytes(encode(draw(), "PNG"))
    (tmp_path / "no_extension").write_bytes(encode(draw(), "BMP"))

    assert read_image(tmp_path / "picture.jpg").format == "PNG"
    assert read_image(tmp_path / "no_extension").format == "BMP"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_every_exif_turn_is_undone_as_pillow_does(turn, format):
    exif = Image.Exif()
    exif[0x0112] = turn
    options = {"quality": 95} if format in ("JPEG", "WEBP") else {}
    data = encode(draw(), format, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))

    image = decode_image(data)

    assert image.size == upright.shape[:2] == ((36, 24) if turn >= 5 else (24, 36))
    assert (image.pixels == upright).all()
    if format != "TIFF":  # Pillow turns these by itself
        assert image.conversions == ((f"EXIF turn {turn}",) if turn > 1 else ())


def test_a_turned_picture_is_shrunk_to_its_upright_size():
    exif = Image.Exif()
    exif[0x0112] = 6

    image = decode_image(encode(draw(64, 96), "JPEG", exif=exif), short_side=32)

    assert image.size == (96, 64)
    assert image.pixels.shape == (48, 32, 3)


def test_sixteen_bits_over_the_full_range_keep_their_brightness():
    values = np.linspace(0, 65535, 32 * 32).reshape(32, 32).round().astype(np.uint16)

    image = decode_image(encode(values, "PNG"))

    assert image.conversions[0] == "16 bit to 8"
    assert np.abs(image.pixels[..., 0] - values / 257).max() <= 0.5
    assert image.is_grey


def test_twelve_bits_in_sixteen_are_stretched_by_percentile():
    values = np.linspace(100, 4000, 40 * 50).reshape(40, 50).astype(np.uint16)
    low, high = np.percentile(values, (0.5, 99.5))

    image = decode_image(encode(values, "TIFF"))

    assert image.conversions[0] == "16 bit to 8 by percentile"
    expected = np.clip((values - low) / (high - low), 0, 1) * 255
    assert np.abs(image.pixels[..., 0] - expected).max() <= 0.5


@pytest.mark.parametrize("value, shown", [(0, 0), (257, 1), (65535, 255)])
def test_a_flat_deep_picture_stays_flat(value, shown):
    pixels, *_ = scale_to_eight_bits(np.full((20, 20), value, np.uint16))

    assert (pixels == shown).all()


@pytest.mark.parametrize("end, own", [(20000, "stretch"), (50000, "range")])
@pytest.mark.parametrize("scaling, shown", [("range", None), ("stretch", 255)])
def test_a_picture_can_be_scaled_in_the_other_way(end, own, scaling, shown):
    values = np.linspace(0, end, 1000).reshape(20, 50).round().astype(np.uint16)

    pixels, words, own_scaling, taken = scale_to_eight_bits(values, scaling)

    assert (own_scaling, taken) == (own, scaling)
    assert words.endswith("as its folder") is (own != scaling)
    assert pixels.max() == (shown or round(end / 257))


def test_elevations_below_and_above_zero_are_stretched():
    values = np.linspace(-300.0, 2500.0, 900, dtype=np.float32).reshape(30, 30)

    image = decode_image(encode(values, "TIFF"))

    assert image.conversions[0] == "float to 8 by percentile"
    assert image.pixels.min() == 0 and image.pixels.max() == 255
    assert abs(float(image.pixels.mean()) - 127.5) < 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    values = np.ones((30, 30), np.float32)
    values[3, 4] = value

    with pytest.raises(UnreadableImage, match="non-finite pixel values"):
        decode_image(encode(values, "TIFF"))


def test_one_bit_becomes_black_and_white():
    buffer = io.BytesIO()
    Image.fromarray(draw()[..., 0] > 127).save(buffer, "PNG")

    image = decode_image(buffer.getvalue())

    assert set(np.unique(image.pixels)) == {0, 255}


def test_grey_is_repeated_and_seen_as_grey_even_when_it_is_stored_as_colour():
    grey = draw()[..., 0]

    as_grey = decode_image(encode(grey, "PNG"))
    as_colour = decode_image(encode(np.stack([grey] * 3, axis=2), "JPEG", quality=90))

    assert (as_grey.pixels == grey[..., None]).all()
    assert as_grey.is_grey and as_colour.is_grey


def test_colours_hidden_under_full_transparency_do_not_show():
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[..., :3] = (255, 0, 255)
    pixels[:, :10] = (*RED, 255)

    image = decode_image(encode(pixels, "PNG"))

    assert (image.pixels[:, :10] == RED).all() and (image.pixels[:, 10:] == WHITE).all()
    assert image.conversions == ("alpha laid on white",)


def test_half_transparent_red_on_white_is_pink():
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[...] = (255, 0, 0, 128)

    image = decode_image(encode(pixels, "PNG"))

    assert np.abs(image.pixels[0, 0].astype(int) - (255, 127, 127)).max() <= 1


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_palette_with_a_clear_colour_is_resolved(format):
    picture = Image.new("P", (20, 20), 0)
    picture.putpalette([*RED, *GREEN, *BLUE])
    picture.paste(1, (10, 0, 20, 20))
    buffer = io.BytesIO()
    picture.save(buffer, format, transparency=1)

    image = decode_image(buffer.getvalue())

    assert (image.pixels[:, :10] == RED).all() and (image.pixels[:, 10:] == WHITE).all()


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, GREEN, BLUE)]
    for format in ("GIF", "WEBP", "TIFF", "PNG"):
        buffer = io.BytesIO()
        options = {"lossless": True} if format == "WEBP" else {}
        frames[0].save(buffer, format, save_all=True, append_images=frames[1:], **options)

        image = decode_image(buffer.getvalue())

        assert (image.pixels == RED).all()
        assert image.conversions[0] == "first of several pictures"


def test_cmyk_is_shown_in_its_colours():
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), RED).convert("CMYK").save(buffer, "TIFF")

    image = decode_image(buffer.getvalue())

    assert np.abs(image.pixels[0, 0].astype(int) - RED).max() <= 2
    assert image.conversions == ("CMYK to RGB",)


@pytest.mark.parametrize(
    "size, short_side, shrunk",
    [
        ((360, 480), 256, (256, 341)),
        ((480, 360), 256, (341, 256)),
        ((40, 3000), 256, (40, 3000)),
        ((100, 3), 2, (67, 2)),
    ],
)
def test_the_short_side_is_shrunk_and_never_enlarged(size, short_side, shrunk):
    assert shrink_size(size, short_side) == shrunk


@pytest.mark.parametrize("short_side, scale", [(64, 4), (100, 2), (256, 1)])
def test_a_jpeg_decoded_small_shows_what_the_whole_one_shrunk_shows(short_side, scale):
    pixels = draw(256, 384)
    data = encode(pixels, "JPEG", quality=95)

    image = decode_image(data, short_side=short_side)

    height, width = shrink_size((256, 384), short_side)
    whole = Image.fromarray(decode_image(data).pixels).resize((width, height), Image.Resampling.BOX)
    assert image.size == (256, 384)
    assert image.pixels.shape == (height, width, 3)
    assert np.abs(image.pixels.astype(int) - np.asarray(whole)).mean() < 2


def test_shrinking_averages_and_does_not_skip_pixels():
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255

    image = decode_image(encode(stripes, "PNG"), short_side=16)

    assert np.abs(image.pixels.astype(int) - 127.5).max() < 12


def test_a_bomb_is_refused_from_its_header():
    with pytest.raises(UnreadableImage, match=r"too many pixels: 100000 x 100000 is 10,000 million, the limit 250"):
        decode_image(claim_png(100_000, 100_000))
    with pytest.raises(UnreadableImage, match="too many pixels"):
        measure_image(claim_png(100_000, 100_000))


def test_the_pixel_limit_is_ours_and_pillows_is_left_as_it_was():
    before = Image.MAX_IMAGE_PIXELS
    data = encode(draw(40, 40), "PNG")

    threads = [threading.Thread(target=decode_image, args=(data,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Image.MAX_IMAGE_PIXELS == before is not None
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert measure_image(claim_png(14_000, 14_000)) == (14_000, 14_000)  # 196 million: more than Pillow would take
    with pytest.raises(UnreadableImage, match="too many pixels"):
        decode_image(data, max_pixels=1599)
    assert decode_image(data, max_pixels=1600).size == (40, 40)


@pytest.mark.parametrize(
    "height, width, reason",
    [(15, 400, "too small"), (16, 1601, "too thin"), (1, 1, "too small"), (1, 5000, "too thin")],
)
def test_pictures_too_small_or_thin_to_learn_from_are_refused(height, width, reason):
    with pytest.raises(UnreadableImage, match=reason):
        decode_image(encode(np.zeros((height, width, 3), np.uint8), "PNG"))


def test_the_smallest_and_the_thinnest_picture_are_read():
    assert decode_image(encode(np.zeros((16, 1600, 3), np.uint8), "PNG")).size == (16, 1600)
    assert decode_image(encode(np.zeros((16, 16, 3), np.uint8), "PNG")).size == (16, 16)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "GIF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_cut_anywhere_is_refused_and_never_half_a_picture(format, share):
    data = encode(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), format)

    with pytest.raises(UnreadableImage, match="truncated|damaged"):
        decode_image(data[: int(len(data) * share)])


def test_a_flipped_byte_in_a_png_is_noticed():
    data = bytearray(encode(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), "PNG"))
    data[len(data) // 2] ^= 0xFF

    with pytest.raises(UnreadableImage, match="damaged"):
        decode_image(bytes(data))


@pytest.mark.parametrize(
    "head, reason",
    [
        (b"", "0 bytes"),
        (b"<!DOCTYPE html><html>", "not an image: an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not an image: a Git LFS pointer"),
        (b"just words", "not an image: text"),
        (b"BM but these are words and not a bitmap", "not an image: text"),
        (b"P1 comes before P2 in the list", "not an image: text"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a raster image: SVG"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC: no decoder"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00mp42avc1", "not an image: a video"),
        (b"\x00\x01\x02\x03\x04" * 9, "not an image"),
    ],
)
def test_what_is_no_image_is_called_what_it_is(head, reason):
    with pytest.raises(UnreadableImage) as caught:
        decode_image(head)

    assert caught.value.reason.startswith(reason)
    assert caught.value.is_image == reason.startswith("HEIC")


def test_a_five_band_tiff_is_refused_by_name():
    data = bytearray(encode(draw(), "TIFF"))
    entry = data.index(struct.pack("<HHI", 277, 3, 1))  # SamplesPerPixel
    data[entry + 8 : entry + 10] = struct.pack("<H", 5)

    with pytest.raises(UnreadableImage, match="not a 1-, 3- or 4-channel picture: 5 channels"):
        decode_image(bytes(data))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_never_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jpg")

    with pytest.raises(UnreadableImage, match="not a regular file: a named pipe"):
        read_image(tmp_path / "pipe.jpg")


def test_folders_missing_files_and_dangling_links_are_refused_for_now(tmp_path: Path):
    (tmp_path / "dangling.jpg").symlink_to("/nonexistent.jpg")
    for path, reason in [
        ("dangling.jpg", "file not found"),
        ("none.jpg", "file not found"),
        ("", "not a regular file"),
    ]:
        with pytest.raises(UnreadableImage, match=reason) as caught:
            read_image(tmp_path / path)
        assert not caught.value.is_lasting


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused_for_now(tmp_path: Path):
    path = tmp_path / "secret.png"
    path.write_bytes(encode(draw(), "PNG"))
    path.chmod(0)

    with pytest.raises(UnreadableImage, match="permission denied") as caught:
        read_image(path)
    assert not caught.value.is_lasting


MARKS = [encode(draw(), format)[:200] for format in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM")]


@settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@given(start=st.sampled_from([b"", *MARKS]), cut=st.integers(0, 200), rest=st.binary(max_size=300))
def test_random_bytes_are_refused_the_same_way_twice_and_never_crash(start, cut, rest):
    data = start[:cut] + rest
    answers = []
    for _ in range(2):
        try:
            answers.append(decode_image(data, max_pixels=1_000_000).size)
        except UnreadableImage as error:
            answers.append(error.reason)

    assert answers[0] == answers[1]


def hostile_cases() -> list:
    path = Path(os.environ.get("FS4_DATA") or "/nonexistent") / "hostile" / "hostile.yaml"
    if not path.exists():
        return [pytest.param({}, marks=pytest.mark.skip("FS4_DATA does not name a folder with hostile/hostile.yaml"))]
    cases = yaml.safe_load(path.read_text(encoding="utf-8"))["files"]
    return [pytest.param(case, id=case["file"].removeprefix("files/")) for case in cases]


@pytest.mark.real_data
@pytest.mark.parametrize("case", hostile_cases())
def test_each_hostile_file_is_taken_or_refused_as_it_should_be(case, real_data: Path):
    folder = real_data / "hostile"
    answers = {case["expect"], case.get("also_acceptable", case["expect"])}
    try:
        image = read_image(folder / case["file"])
    except UnreadableImage as error:
        assert "reject" in answers
        if case["expect"] == "reject" and not case.get("quiet"):
            assert error.reason.split(":")[0] in case["reason"]
        return
    assert answers & {"accept", "convert"} or case.get("quiet")
    after = case.get("after")
    if after:
        assert image.size == (after["height"], after["width"])
    reference = case.get("same_picture_as")
    if reference:
        with Image.open(folder / reference) as picture:
            wanted = np.asarray(picture.convert("RGB")).astype(float)
        worst = np.abs(image.pixels - wanted).mean(axis=(0, 1)).max()
        assert worst <= case["max_mean_abs_diff"]
    forbidden = case.get("forbidden_colour")
    if forbidden:
        assert not (image.pixels == forbidden).all(axis=2).any()
    if "almost black" in case.get("how", "") or "all black" in case.get("how", ""):
        assert image.pixels.mean() >= 30
    if "0/255" in case.get("how", ""):
        assert set(np.unique(image.pixels)) == {0, 255}
    if case["expect"] == "convert" and image.format != "JPEG":
        assert image.conversions


@pytest.mark.parametrize("side", [100, 128, 200, 256])
def test_a_jpeg_shrunk_while_it_is_read_is_as_fine_as_one_shrunk_afterwards(tmp_path, random, side):
    noise = random.integers(0, 256, (512, 512, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "fine.jpg", quality=95, subsampling=0)
    read = read_image(tmp_path / "fine.jpg", short_side=side).pixels
    whole = Image.open(tmp_path / "fine.jpg").resize((side, side), Image.Resampling.BILINEAR)
    # a decoder that halves by itself keeps a third more of the contrast
    assert np.std(read) == pytest.approx(np.std(np.asarray(whole)), rel=0.1)
