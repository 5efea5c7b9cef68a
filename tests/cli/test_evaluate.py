"""`fs4 evaluate` as it is typed: data sets, damage, several masks, and slips of the pen."""

import json

import numpy as np
import pytest
from PIL import Image

IDS = ("000000000139", "000000000285", "000000000632", "000000000724")


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


@pytest.fixture
def coco(tmp_path):
    """A small COCO-Stuff tree as the official archives unpack, and the coarse classes of its labels as masks."""
    for number, image_id in enumerate(IDS):
        label = np.repeat([[0, 15, 123, 255]], 20, 0).repeat(8, 1)  # person, outdoor, ground; void
        save(tmp_path / "coco" / "val2017" / f"{image_id}.png", np.roll(label, number, 1))
        save(tmp_path / "coco" / "val2017" / f"{image_id}.jpg", np.zeros((20, 32, 3)))
        coarse = np.select([label == 0, label == 15, label == 123], [5, 8, 21], 255)
        save(tmp_path / "masks" / f"{image_id}.png", np.roll(coarse, number, 1))
    return ["--dataset", "cocostuff", "--root", "coco"]


@pytest.mark.parametrize("protocol", ["full", "honest", "picie", "stego", "iic"])
def test_perfect_masks_are_shown_with_100_per_cent_under_every_protocol(fs4, coco, protocol):
    split = ["--split", "val"] if protocol == "iic" else []
    outcome = fs4("eval", *coco, "--predictions", "masks", "--protocol", protocol, *split)
    assert outcome.code == 0
    assert "mIoU               100.00\n" in outcome.err
    assert f"protocol {protocol}, 4 images" in outcome.err


def test_the_object_has_the_figures_of_all_things_and_stuff_as_fractions(fs4, coco):
    metrics = json.loads(fs4("eval", *coco, "--predictions", "masks", "--json").out)["result"]["metrics"]
    assert set(metrics) == {"all", "things", "stuff"}
    for part in metrics.values():
        assert part["accuracy"] == part["miou"] == part["many_to_one_miou"] == 1
        assert set(part["class_iou"].values()) == {None, 1}


def test_masks_without_their_images_need_no_image(fs4, coco, tmp_path):
    for path in (tmp_path / "coco" / "val2017").glob("*.jpg"):
        path.unlink()
    assert fs4("eval", *coco, "--predictions", "masks").code == 0


def test_check_says_that_a_copy_is_whole(fs4, coco):
    outcome = fs4("eval", *coco, "--check")
    assert outcome.code == 0
    assert "whole: 4 labels read" in outcome.err


def test_check_names_each_damage_and_is_exit_9(fs4, coco, tmp_path):
    folder = tmp_path / "coco" / "val2017"
    (folder / f"{IDS[0]}.jpg").unlink()
    (folder / f"{IDS[1]}.png").write_bytes(b"")
    save(folder / f"{IDS[2]}.jpg", np.zeros((32, 20, 3)))
    save(folder / f"{IDS[3]}.png", np.full((20, 32), 200))
    outcome = fs4("eval", *coco, "--check")
    assert outcome.code == 9
    assert "error: `coco` has 4 damages\n" in outcome.err
    for image_id, word in zip(IDS, ("no image", "0 bytes", "sides are swapped", "unknown id 200"), strict=True):
        assert any(image_id in line and word in line for line in outcome.err.splitlines())


def test_masks_given_twice_are_shown_with_their_spread(fs4, coco, tmp_path):
    for image_id in IDS:
        save(tmp_path / "constant" / f"{image_id}.png", np.zeros((20, 32)))
    words = [*coco, "--predictions", "masks", "--predictions", "constant", "-o", "out", "--csv", "t.csv"]
    outcome = fs4("eval", *words)
    assert outcome.code == 0
    # two thirds of the labelled pixels are not of the one class that a constant mask stands for
    assert f"pixel accuracy      66.67 +- {100 * np.std([1, 1 / 3], ddof=1):.2f}\n" in outcome.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [run["metrics"]["all"]["accuracy"] for run in report["runs"]] == pytest.approx([1, 1 / 3])
    assert outcome.out.splitlines() == ["out/report.json", "t.csv"]


@pytest.mark.parametrize(("dataset", "classes"), [("cityscapes", 27), ("cityscapes19", 19)])
@pytest.mark.parametrize("protocol", ["full", "honest", "stego"])
def test_a_cityscapes_tree_is_scored_by_label_id(fs4, tmp_path, dataset, classes, protocol):
    """road, building, parking (of the 27 only), car; label id 4 is void to both."""
    for number, city in enumerate(("aachen", "bonn", "ulm", "zurich")):
        label = np.roll(np.repeat([[7, 11, 9, 26, 4]], 20, 0).repeat(8, 1), number, 1)
        name = f"{city}_000000_000019"
        save(tmp_path / "city" / "gtFine" / "val" / city / f"{name}_gtFine_labelIds.png", label)
        save(tmp_path / "city" / "gtFine" / "val" / city / f"{name}_gtFine_color.png", np.zeros((20, 40, 4)))
        for folder, ids in (("perfect", label - 4), ("merged", np.where(label == 26, 7, label) - 4)):
            save(tmp_path / folder / city / f"{name}_leftImg8bit.png", ids)
    found = {}
    for folder in ("perfect", "merged"):
        words = ["--dataset", dataset, "--root", "city", "--predictions", folder, "--protocol", protocol, "--json"]
        found[folder] = json.loads(fs4("eval", *words).out)["result"]
    assert len(found["perfect"]["classes"]) == classes
    assert found["perfect"]["counted"]["images"] == 4
    assert found["perfect"]["metrics"]["all"]["accuracy"] == found["perfect"]["metrics"]["all"]["miou"] == 1
    if protocol != "stego":  # whose middle square has no road, so that there the merged id is but another name
        assert found["merged"]["metrics"]["things"]["class_iou"]["car"] == 0
    shown = 4 if classes == 27 else 3
    if protocol == "full":
        assert found["merged"]["metrics"]["all"]["accuracy"] == pytest.approx((shown - 1) / shown)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--dataset", "cocostuf"], 2, "no data set `cocostuf`, did you mean `cocostuff`?"),
        (["--dataset", "cocostuff"], 2, "nothing to evaluate: no project, no model, no masks"),
        (["--dataset", "cocostuff", "--predictions", "m"], 4, "COCO-Stuff-27 is not here, and no `--root` was given"),
        (["--labels", "l", "--predictions", "m", "--protocol", "stegoo"], 2, "did you mean `stego`?"),
        (["--dataset", "cocostuff", "--labels", "l", "--predictions", "m"], 2, "a data set brings its own images"),
        (["--labels", "l", "--predictions", "m", "--model", "m"], 2, "a model and ready masks were both given"),
        (["--labels", "l", "--split", "val"], 2, "belong to a data set"),
        (["--labels", "l", "--probe-split", "val"], 2, "there is no probe to fit"),
        (["--labels", "l", "--predictions", "m", "--probe", "linear"], 2, "look at a model, not at ready masks"),
        (["--unlabeled", "--predictions", "m"], 2, "look at a model, not at ready masks"),
        (["--unlabeled"], 2, "nothing to evaluate"),
        (["--probe", "linear"], 2, "missing option `--labels` or `--dataset`"),
        (["--check"], 2, "`--check` looks at a data set"),
        (["--labels", "l", "--model", "m"], 2, "a model needs the images of the labels"),
        (["--labels", "l", "--predictions", "m"], 4, "no such folder of labels: `l`"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_before_any_work(fs4, words, code, message):
    outcome = fs4("eval", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err.splitlines()[0]
    assert "Traceback" not in outcome.err


def test_help_fits_80_columns_and_names_every_protocol(fs4):
    page = fs4("eval", "--help").out
    assert max(map(len, page.splitlines())) <= 80
    for word in ("picie", "stego", "iic", "full", "honest", "--unlabeled", "--probe linear", "--check"):
        assert word in page
