"""Masks as PNGs, their colours, and overlays."""

import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from fs4cli.data.masks import (
    choose_void,
    draw_overlay,
    encode_mask,
    make_palette,
    read_mask,
    write_classes,
    write_mask,
)
from fs4cli.errors import InputError

CHECKERS = np.arange(6, dtype=np.uint8).reshape(2, 3)


@pytest.mark.parametrize("classes", [1, 2, 11, 16, 27, 100, 255])
def test_up_to_255_classes_are_8_bit_with_a_palette(tmp_path, classes):
    palette = make_palette(classes)
    mask = np.arange(12, dtype=np.int64).reshape(3, 4) % classes
    write_mask(tmp_path / "mask.png", mask, palette)
    data = (tmp_path / "mask.png").read_bytes()

    assert (data[24], data[25]) == (8, 3)  # bits and colour type of the PNG header: 8, palette
    with Image.open(BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), mask)
        assert np.array_equal(np.asarray(image.convert("RGB")), palette[mask])
    assert np.array_equal(read_mask(tmp_path / "mask.png"), mask)


@pytest.mark.parametrize("classes", [256, 1000])
def test_more_classes_are_16_bit(tmp_path, classes):
    mask = np.array([[0, classes - 1, 7]], np.uint16)
    write_mask(tmp_path / "mask.png", mask, make_palette(classes))

    assert tuple((tmp_path / "mask.png").read_bytes()[24:26]) == (16, 0)
    assert read_mask(tmp_path / "mask.png").tolist() == mask.tolist()


def test_void_is_kept_and_black():
    data = encode_mask(np.array([[0, 255]], np.uint8), make_palette(3))
    with Image.open(BytesIO(data)) as image:
        assert np.asarray(image).tolist() == [[0, 255]]
        assert image.convert("RGB").getpixel((1, 0)) == (0, 0, 0)


@pytest.mark.parametrize(("value", "classes"), [(-1, 3), (256, 3), (70_000, 300)])
def test_an_id_that_does_not_fit_is_refused(value, classes):
    with pytest.raises(ValueError, match=str(value)):
        encode_mask(np.array([[0, value]]), make_palette(classes))


def test_the_same_mask_is_the_same_bytes():
    assert encode_mask(CHECKERS, make_palette(6)) == encode_mask(CHECKERS.astype(np.uint16), make_palette(6))


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"words"])
def test_what_is_no_png_is_refused_by_name(tmp_path, content):
    (tmp_path / "mask.png").write_bytes(content)
    with pytest.raises(InputError, match="mask.png"):
        read_mask(tmp_path / "mask.png")


def test_a_cut_mask_is_refused(tmp_path):
    data = encode_mask(np.zeros((50, 50), np.uint8), make_palette(2))
    (tmp_path / "mask.png").write_bytes(data[:-40])
    with pytest.raises(InputError):
        read_mask(tmp_path / "mask.png")


def test_a_picture_in_colours_is_no_mask(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match="colours"):
        read_mask(tmp_path / "photo.png")


def test_a_class_has_its_colour_whatever_the_number_of_classes():
    largest = make_palette(1000)
    for classes in (1, 2, 7, 8, 27, 64, 65, 300):
        assert np.array_equal(make_palette(classes), largest[:classes])


def test_colours_never_change_from_one_version_to_the_next():
    # masks of one project must look alike for ever; change these only with a note in the changelog
    assert [bytes(colour).hex() for colour in make_palette(12)] == [
        "0072b2", "e69f00", "009e73", "cc79a7", "f0e442", "d55e00",
        "56b4e9", "87005a", "8700ff", "ffd2ff", "5a4b00", "00e196",
    ]  # fmt: skip


def _without_red_or_green(palette: np.ndarray) -> list[np.ndarray]:
    # Viénot, Brettel and Mollon (1999), another model than the one that the palette was made with
    linear = (palette / 255.0) ** 2.2
    deutan = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    protan = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    return [(linear @ matrix.T).clip(0, 1) ** (1 / 2.2) for matrix in (deutan, protan)]


def _least_difference(colours: np.ndarray) -> float:
    lab = rgb2lab(colours)
    differences = deltaE_ciede2000(lab[:, None], lab[None])
    return float(differences[~np.eye(len(lab), dtype=bool)].min())


@pytest.mark.parametrize(("classes", "normal", "blind"), [(7, 20, 8), (12, 18, 7), (27, 10, 3.5)])
def test_colours_stay_apart_also_for_eyes_without_red_or_green(classes, normal, blind):
    palette = make_palette(classes)

    assert _least_difference(palette / 255.0) > normal
    assert min(_least_difference(view) for view in _without_red_or_green(palette)) > blind


def test_all_of_a_thousand_colours_differ():
    assert len(np.unique(make_palette(1000), axis=0)) == 1000


def test_no_colour_is_near_the_black_of_void_or_white():
    lightness = rgb2lab(make_palette(255) / 255.0)[:, 0]
    assert lightness.min() > 15
    assert lightness.max() < 97


def test_an_overlay_is_half_photo_half_colour_inside_a_segment():
    pixels = np.full((6, 8, 3), 100, np.uint8)
    mask = np.zeros((6, 8), np.uint8)
    overlay = draw_overlay(pixels, mask, np.array([[200, 0, 50]], np.uint8))

    assert np.unique(overlay.reshape(-1, 3), axis=0).tolist() == [[150, 50, 75]]


@pytest.mark.parametrize("photo", [0, 128, 255])
def test_borders_show_on_any_photo(photo):
    pixels = np.full((6, 8, 3), photo, np.uint8)
    mask = (np.arange(8) >= 4).astype(np.uint8) * np.ones((6, 1), np.uint8)
    overlay = draw_overlay(pixels, mask, np.array([[90, 90, 90], [91, 91, 91]], np.uint8)).astype(int)

    assert abs(overlay[:, 4] - overlay[:, 3]).min() > 200  # the two lines
    assert abs(overlay[:, 5] - overlay[:, 2]).max() <= 1  # the two segments hardly differ


def test_void_and_unknown_ids_leave_the_photo_as_it_is():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert np.array_equal(draw_overlay(pixels, np.full((4, 4), 255, np.uint8), make_palette(3)), pixels)


def test_an_overlay_in_bands_is_that_of_the_whole(monkeypatch, random):
    pixels = random.integers(0, 256, (23, 17, 3), dtype=np.uint8)
    mask = random.integers(0, 3, (23, 17)).astype(np.uint8)
    whole = draw_overlay(pixels, mask, make_palette(3))
    for rows in (1, 2, 7, 22):
        monkeypatch.setattr("fs4cli.data.masks._BAND", rows * 17)
        assert np.array_equal(draw_overlay(pixels, mask, make_palette(3)), whole)


def test_an_overlay_leaves_image_and_mask_alone(random):
    pixels, mask = random.integers(0, 256, (5, 5, 3), dtype=np.uint8), random.integers(0, 2, (5, 5)).astype(np.uint8)
    before = pixels.copy(), mask.copy()
    draw_overlay(pixels, mask, make_palette(2))
    assert np.array_equal(pixels, before[0])
    assert np.array_equal(mask, before[1])


def test_the_table_of_classes_names_each_id_colour_and_the_model(tmp_path):
    write_classes(tmp_path / "classes.json", ("sky", "</script>"), make_palette(2), model="abc")

    assert json.loads((tmp_path / "classes.json").read_text()) == {
        "schema": "fs4.classes/1",
        "classes": [
            {"id": 0, "name": "sky", "color": [0, 114, 178]},
            {"id": 1, "name": "</script>", "color": [230, 159, 0]},
        ],
        "void": 255,
        "model": "abc",
    }


@pytest.mark.parametrize(("classes", "void"), [(2, 255), (255, 255), (256, 65535), (1000, 65535)])
def test_void_is_never_a_class(classes, void):
    assert choose_void(classes) == void
