"""Data sets are found by looking, as the official archives unpack; and what is said when they are not there."""

import numpy as np
import pytest
from drawn_trees import COCO_LAYOUTS, draw_city, draw_coco, save

from fs4cli.errors import InputError, UsageError
from fs4cli.evaluation.benchmarks import find_benchmark, read_curated_list
from fs4cli.evaluation.dataset import find_dataset
from fs4cli.evaluation.layouts import find_layout
from fs4cli.evaluation.protocols import FULL, PROTOCOLS
from fs4cli.evaluation.roots import choose_root
from fs4cli.evaluation.selection import select_images

COCO, CITY = find_benchmark("cocostuff"), find_benchmark("cityscapes")
IDS = ("000000000139", "000000000785", "000000001490")
LABELS = {image_id: np.full((4, 6), 100) for image_id in IDS}
CITIES = {"aachen_000000_000019": np.full((4, 8), 7), "bonn_000001_000019": np.full((4, 8), 33)}


@pytest.mark.parametrize("layout", COCO_LAYOUTS)
def test_coco_is_found_as_every_archive_unpacks(tmp_path, layout):
    found = find_layout(COCO, draw_coco(tmp_path, layout, LABELS), "val")
    assert list(found.labels) == [f"val2017/{image_id}" for image_id in IDS]
    assert {path.suffix for path in found.labels.values()} == {".png"}
    assert set(found.images) == set(found.labels)
    assert {path.suffix for path in found.images.values()} == {".jpg"}
    assert not found.twice


def test_labels_alone_are_enough_for_ready_masks(tmp_path):
    for image_id in IDS:
        save(tmp_path / "val2017" / f"{image_id}.png", LABELS[image_id])
    found = find_layout(COCO, tmp_path, "val2017")
    assert len(found.labels) == 3
    assert not found.images
    assert "no images" in found.words[0]


@pytest.mark.parametrize("split", ["train", "trainval"])
def test_every_part_of_a_split_must_be_there(tmp_path, split):
    draw_coco(tmp_path, "as in the README", LABELS)
    with pytest.raises(InputError, match=f"split `{split}`") as caught:
        find_layout(COCO, tmp_path, split)
    said = "\n".join((*caught.value.details, *caught.value.hints))
    for word in ("annotations/train2017/<12 digits>.png", "stuffthingmaps_trainval2017.zip", "659 MB", "--root"):
        assert word in said
    draw_coco(tmp_path, "as in the README", {"000000000009": np.zeros((4, 6))}, part="train2017")
    assert len(find_layout(COCO, tmp_path, "trainval").labels) == 4


@pytest.mark.parametrize(
    ("top", "images"), [("", ""), ("annotations", ""), ("gtFine_trainvaltest", "leftImg8bit_trainvaltest")]
)
def test_cityscapes_is_found_as_every_archive_unpacks(tmp_path, top, images):
    found = find_layout(CITY, draw_city(tmp_path, CITIES, top=top, images=images), "val")
    assert list(found.labels) == ["val/aachen_000000_000019", "val/bonn_000001_000019"]
    assert all(path.name.endswith("_gtFine_labelIds.png") for path in found.labels.values())
    assert set(found.images) == set(found.labels)


def test_cityscapes_splits_without_fine_labels_are_refused_with_the_reason(tmp_path):
    for split, word in (("test", "not public"), ("train_extra", "coarse"), ("vall", "no split")):
        with pytest.raises(UsageError, match=word):
            find_layout(CITY, tmp_path, split)


@pytest.mark.parametrize("top", ["", "VOC2012", "VOCdevkit/VOC2012"])
def test_voc_is_found_and_its_own_list_is_scored(tmp_path, top):
    base = tmp_path / top
    for name in ("2007_000033", "2007_000042"):
        save(base / "SegmentationClass" / f"{name}.png", [[0, 1], [20, 255]])
        save(base / "JPEGImages" / f"{name}.jpg", np.zeros((2, 2, 3)))
    (base / "ImageSets" / "Segmentation").mkdir(parents=True)
    (base / "ImageSets" / "Segmentation" / "val.txt").write_text("2007_000033\n2007_000999\n")
    voc = find_benchmark("voc")
    found = find_layout(voc, tmp_path, "val")
    selection = select_images(voc, found, images=True)
    assert [pair.name for pair in selection.pairs] == ["val/2007_000033"]
    assert [problem.name for problem in selection.problems] == ["val/2007_000999"]


@pytest.mark.parametrize("place", ["test", ""])
def test_folders_with_a_classes_file_are_found(tmp_path, place):
    save(tmp_path / "labels" / place / "city" / "a.png", [[0, 1]])
    save(tmp_path / "images" / place / "city" / "a.jpg", np.zeros((1, 2, 3)))
    (tmp_path / "classes.yaml").write_text("{classes: [sky, road], void_id: 9}")
    found = find_dataset("camvid", root=tmp_path, split=None, protocol=FULL)
    assert found.reader.table.names == ("sky", "road")
    (pair,) = found.select(images=True).pairs
    assert pair.image.name == "a.jpg"


@pytest.mark.parametrize(("is_void_chosen", "void"), [(False, 9), (True, 7)])
def test_a_void_value_that_was_chosen_goes_before_that_of_the_folder(tmp_path, is_void_chosen, void):
    save(tmp_path / "labels" / "a.png", [[0, 1]])
    save(tmp_path / "images" / "a.jpg", np.zeros((1, 2, 3)))
    (tmp_path / "classes.yaml").write_text("{classes: [sky, road], void_id: 9}")
    found = find_dataset("camvid", root=tmp_path, split=None, protocol=FULL, void=7, is_void_chosen=is_void_chosen)
    assert found.reader.table.void == {void}


def test_masks_bear_the_name_of_the_image_the_label_or_the_bare_id(tmp_path):
    layout = find_layout(CITY, draw_city(tmp_path / "city", CITIES), "val")
    masks = tmp_path / "masks"
    save(masks / "aachen" / "aachen_000000_000019_leftImg8bit.png", CITIES["aachen_000000_000019"])
    save(masks / "bonn_000001_000019.png", CITIES["bonn_000001_000019"])
    selection = select_images(CITY, layout, masks=masks)
    assert [pair.mask.name for pair in selection.pairs] == [
        "aachen_000000_000019_leftImg8bit.png",
        "bonn_000001_000019.png",
    ]
    (masks / "bonn_000001_000019.png").unlink()
    for folder, ending in (("x", ""), ("y", "_gtFine_labelIds")):
        save(masks / folder / f"bonn_000001_000019{ending}.png", CITIES["bonn_000001_000019"])
    (problem,) = select_images(CITY, layout, masks=masks).problems
    assert "several masks" in problem.reason
    (masks / "aachen" / "aachen_000000_000019_leftImg8bit.png").unlink()
    assert "no mask of its name" in select_images(CITY, layout, masks=masks).problems[0].reason


def test_a_sample_is_scored_whole_and_said_and_a_copy_by_its_list(tmp_path):
    layout = find_layout(COCO, draw_coco(tmp_path, "as in the README", LABELS), "val")
    sample = select_images(COCO, layout)
    assert sample.is_sample
    assert (len(sample.pairs), len(sample.problems)) == (3, 0)
    assert "sample" in sample.listing
    listed = select_images(COCO, layout, listing="curated")
    assert [pair.name for pair in listed.pairs] == ["val2017/000000000139", "val2017/000000000785"]
    assert len(listed.problems) == 2173

    ids = sorted(read_curated_list("val2017"))
    names = (*(f"val2017/{image_id}" for image_id in ids[1:]), "val2017/000000000001")
    whole = type(layout)(tmp_path, (), dict.fromkeys(names, tmp_path), {}, {"val2017": names})
    copy = select_images(COCO, whole)
    assert not copy.is_sample
    assert len(copy.pairs) == 2174
    assert [problem.name for problem in copy.problems] == [f"val2017/{ids[0]}"]
    assert len(select_images(COCO, whole, listing="all").pairs) == 2175


def test_a_list_of_ones_own_is_taken(tmp_path):
    layout = find_layout(COCO, draw_coco(tmp_path, "as in the README", LABELS), "val")
    (tmp_path / "mine.txt").write_text("000000001490\n000000000002\n")
    selection = select_images(COCO, layout, listing=str(tmp_path / "mine.txt"))
    assert [pair.name for pair in selection.pairs] == ["val2017/000000001490"]
    assert [problem.name for problem in selection.problems] == ["000000000002"]
    with pytest.raises(InputError, match="no list of images"):
        select_images(COCO, layout, listing="curatd")


def test_without_a_root_the_variable_and_then_the_folder_datasets_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FS4_DATASETS", raising=False)
    with pytest.raises(InputError, match="no `--root`") as caught:
        choose_root(COCO, "cocostuff", None)
    assert "`datasets/cocostuff`; FS4_DATASETS is not set" in caught.value.details[0]
    (tmp_path / "datasets" / "cocostuff").mkdir(parents=True)
    assert choose_root(find_benchmark("cocostuff15"), "cocostuff15", None).name == "cocostuff"
    monkeypatch.setenv("FS4_DATASETS", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere" / "cocostuff").mkdir(parents=True)
    assert choose_root(COCO, "cocostuff", None) == tmp_path / "elsewhere" / "cocostuff"
    with pytest.raises(InputError, match="no such folder"):
        choose_root(COCO, "cocostuff", tmp_path / "none")


def test_a_protocol_scores_its_own_split_unless_told_otherwise(tmp_path):
    draw_city(draw_city(tmp_path, CITIES), {"ulm_000000_000019": np.full((4, 8), 7)}, part="train")
    names = {
        name: find_dataset("cityscapes", root=tmp_path, split=None, protocol=PROTOCOLS[name]).split
        for name in PROTOCOLS
    }
    assert names == {"picie": "trainval", "stego": "val", "iic": "val", "full": "val", "honest": "val"}
    found = find_dataset("cityscapes", root=tmp_path, split="train", protocol=FULL)
    assert [pair.name for pair in found.select().pairs] == ["train/ulm_000000_000019"]
