"""Which files belong together."""

import unicodedata

import pytest

from fs4cli.errors import InputError
from fs4cli.evaluation.pairs import pair_files
from fs4cli.evaluation.problems import Problem, list_names, list_problems


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_files_pair_by_their_path_without_the_suffix(tmp_path):
    labels = touch(tmp_path / "labels", "b/x.png", "a/x.png", "notes.txt", ".hidden.png", "classes.yaml")
    images = touch(tmp_path / "images", "a/x.jpg", "b/x.JPG", "b/x.json")
    pairing = pair_files(labels, images=images)
    assert [(pair.name, pair.image) for pair in pairing.pairs] == [
        ("a/x.png", images / "a/x.jpg"),
        ("b/x.png", images / "b/x.JPG"),
    ]
    assert not pairing.problems
    assert not pairing.unlabelled


def test_a_name_that_occurs_once_on_each_side_pairs_across_folders(tmp_path):
    labels = touch(tmp_path / "labels", "test/x.png", "test/y.png", "val/y.png")
    images = touch(tmp_path / "images", "x.jpg", "y.jpg")
    pairing = pair_files(labels, images=images)
    assert [pair.name for pair in pairing.pairs] == ["test/x.png"]
    assert [problem.name for problem in pairing.problems] == ["test/y.png", "val/y.png"]
    assert pairing.unlabelled == ("y.jpg",)


def test_a_label_without_image_and_an_image_without_label_are_said(tmp_path):
    labels = touch(tmp_path / "labels", "a.png", "lone.png")
    images = touch(tmp_path / "images", "a.jpg", "sub/unlabelled.jpg")
    pairing = pair_files(labels, images=images)
    assert [(problem.name, "no image" in problem.reason) for problem in pairing.problems] == [("lone.png", True)]
    assert pairing.unlabelled == ("sub/unlabelled.jpg",)


def test_two_images_of_one_name_are_not_chosen_between(tmp_path):
    labels = touch(tmp_path / "labels", "a.png")
    images = touch(tmp_path / "images", "a.jpg", "a.png")
    (problem,) = pair_files(labels, images=images).problems
    assert problem.reason == "several images of its name: a.jpg, a.png"


def test_two_labels_of_one_name_are_not_chosen_between(tmp_path):
    labels = touch(tmp_path / "labels", "a.png", "a.tif")
    (problem,) = pair_files(labels, masks=labels).problems
    assert "several labels" in problem.reason


def test_photos_and_labels_may_share_a_folder(tmp_path):
    both = touch(tmp_path / "both", "a.jpg", "a.png", "b.jpg")
    pairing = pair_files(both, images=both)
    assert [(pair.label.name, pair.image.name) for pair in pairing.pairs] == [("a.png", "a.jpg")]
    assert not pairing.problems
    assert pairing.unlabelled == ("b.jpg",)


def test_a_lone_jpeg_among_labels_is_left_to_the_reader_to_refuse(tmp_path):
    labels = touch(tmp_path / "labels", "a.jpg")
    masks = touch(tmp_path / "masks", "a.png")
    assert [pair.name for pair in pair_files(labels, masks=masks).pairs] == ["a.jpg"]


def test_names_composed_and_decomposed_are_the_same(tmp_path):
    labels = touch(tmp_path / "labels", unicodedata.normalize("NFC", "café.png"))
    images = touch(tmp_path / "images", unicodedata.normalize("NFD", "café.jpg"))
    assert len(pair_files(labels, images=images).pairs) == 1


def test_dots_in_names_are_kept(tmp_path):
    labels = touch(tmp_path / "labels", "a.b.png", "a.c.png")
    masks = touch(tmp_path / "masks", "a.b.png", "a.c.png")
    assert [pair.mask.name for pair in pair_files(labels, masks=masks).pairs] == ["a.b.png", "a.c.png"]


def test_single_files_pair(tmp_path):
    touch(tmp_path, "label.png", "photo.jpg", "folder/x.png")
    (pair,) = pair_files(tmp_path / "label.png", images=tmp_path / "photo.jpg").pairs
    assert pair.image == tmp_path / "photo.jpg"
    with pytest.raises(InputError, match="one label file"):
        pair_files(tmp_path / "label.png", images=tmp_path / "folder")


def test_a_loop_of_links_is_walked_once(tmp_path):
    labels = touch(tmp_path / "labels", "sub/a.png")
    (labels / "sub" / "loop").symlink_to(labels)
    assert [pair.name for pair in pair_files(labels, masks=labels).pairs] == ["sub/a.png"]


def test_missing_and_empty_folders_are_errors(tmp_path):
    touch(tmp_path / "labels", "readme.md")
    with pytest.raises(InputError, match="no such folder of labels"):
        pair_files(tmp_path / "none")
    with pytest.raises(InputError, match="no label files"):
        pair_files(tmp_path / "labels")
    touch(tmp_path / "labels", "a.png")
    with pytest.raises(InputError, match="is no folder of masks"):
        pair_files(tmp_path / "labels", masks=tmp_path / "labels" / "a.png")


def test_long_lists_are_cut():
    problems = [Problem(f"{index:02}.png", "bad") for index in reversed(range(12))]
    lines = list_problems(problems)
    assert lines[0] == "`00.png`: bad"
    assert lines[9:] == ("`09.png`: bad", "and 2 more")
    assert list_names(["a", "b", "c", "d", "e"]) == "`a`, `b`, `c` and 2 more"
