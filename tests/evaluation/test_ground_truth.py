"""Label files come out as classes, or with the reason why not."""

import numpy as np
import pytest
import yaml
from PIL import Image

from fs4cli.evaluation.classes import read_class_table
from fs4cli.evaluation.ground_truth import LabelReader, describe_size_difference, read_ready_mask
from fs4cli.evaluation.index_image import BadIndexImage


def save(path, rows, dtype=np.uint8):
    Image.fromarray(np.array(rows, dtype)).save(path)
    return path


@pytest.fixture
def three_classes(tmp_path):
    path = tmp_path / "classes.yaml"
    path.write_text("classes: [a, b, c]")
    return LabelReader(read_class_table(path))


def test_void_comes_out_as_minus_one(tmp_path, three_classes):
    assert three_classes.read(save(tmp_path / "a.png", [[0, 2], [255, 1]])).tolist() == [[0, 2], [-1, 1]]


def test_an_unknown_id_is_named_with_the_known_ones(tmp_path, three_classes):
    with pytest.raises(BadIndexImage) as caught:
        three_classes.read(save(tmp_path / "a.png", [[0, 77]]))
    assert caught.value.reason == "unknown id 77 (known are 0..2, void 255)"


def test_without_a_table_ids_stay_and_instance_ids_are_refused(tmp_path):
    reader = LabelReader(None, void=9)
    assert reader.read(save(tmp_path / "a.png", [[0, 77, 9]])).tolist() == [[0, 77, -1]]
    with pytest.raises(BadIndexImage, match="instance ids"):
        reader.read(save(tmp_path / "b.png", [[0, 26001]], np.uint16))


@pytest.mark.parametrize(("dtype", "highest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_the_highest_value_of_a_mask_is_no_answer(tmp_path, dtype, highest):
    assert read_ready_mask(save(tmp_path / "a.png", [[3, highest]], dtype)).tolist() == [[3, -1]]


def test_255_is_a_cluster_in_a_mask_of_sixteen_bits(tmp_path):
    assert read_ready_mask(save(tmp_path / "a.png", [[255, 256]], np.uint16)).tolist() == [[255, 256]]


def test_a_mask_with_absurd_ids_is_refused(tmp_path):
    with pytest.raises(BadIndexImage, match="id 50000"):
        read_ready_mask(save(tmp_path / "a.png", [[0, 50000]], np.uint16))


def test_swapped_sides_are_told_from_other_sizes():
    assert describe_size_difference((4, 6), (4, 6), "image") is None
    assert describe_size_difference((2, 3), (4, 6), "image") == "size differs: 3x2, its image is 6x4"
    assert "swapped" in describe_size_difference((6, 4), (4, 6), "image")


HOSTILE = {
    "ok": None,
    "palette_ids": None,
    "sixteen_bit_ids": None,
    "three_equal_channels": None,
    "all_void": None,
    "one_class_only": None,
    "bilevel": None,
    "wrong_size": None,
    "rotated_size": None,
    "colour_coded": "colour table",
    "id_out_of_range": "unknown id 77",
    "jpeg_label": "lossy label",
    "empty_label": "0 bytes",
    "no_image": None,
}
"""Sizes and missing partners are judged where pairs are: tests/stages/test_evaluate.py."""


@pytest.mark.real_data
@pytest.mark.parametrize("stem", HOSTILE)
def test_each_hostile_label_is_read_or_refused_as_its_list_says(real_data, three_classes, stem):
    (path,) = (real_data / "hostile" / "labels" / "labels").glob(f"{stem}.*")
    if HOSTILE[stem]:
        with pytest.raises(BadIndexImage, match=HOSTILE[stem]):
            three_classes.read(path)
    else:
        classes = set(np.unique(three_classes.read(path)).tolist())
        expected = {"all_void": {-1}, "one_class_only": {1}, "bilevel": {0, 1}}
        assert classes == expected.get(stem, {0, 1, 2})


@pytest.mark.real_data
def test_the_hostile_list_is_covered(real_data):
    cases = yaml.safe_load((real_data / "hostile" / "hostile.yaml").read_text())["label_cases"]
    assert {case["stem"] for case in cases} == {*HOSTILE, "no_label"}
