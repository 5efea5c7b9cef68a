"""`fs4 eval --dataset` without its face: the 21 real pairs under every protocol, and damaged copies."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.optimize import linear_sum_assignment

import fs4cli.evaluation
from fs4cli.config import Settings
from fs4cli.errors import InputError
from fs4cli.evaluation.protocols import PROTOCOLS, choose_halves
from fs4cli.progress import SilentProgress
from fs4cli.stages.check_dataset import run_check_dataset
from fs4cli.stages.evaluate import run_evaluate


def coarse_lookup() -> np.ndarray:
    text = gzip.decompress((Path(fs4cli.evaluation.__file__).parent / "data" / "cocostuff27.yaml.gz").read_bytes())
    lookup = np.full(256, 255, np.uint8)
    for row in yaml.safe_load(text)["classes"]:
        lookup[row["fine_ids"]] = row["id"]
    return lookup


MASKS = {
    "perfect": lambda label, _: label,
    "permuted": lambda label, _: np.where(label == 255, 255, label.astype(int) * 10 % 27),
    "constant": lambda label, _: np.full_like(label, 3),
    "random": lambda label, random: random.integers(0, 27, label.shape),
    "every second row shifted by one class": lambda label, _: np.where(
        (label == 255) | (np.arange(len(label)) % 2 == 0)[:, None], label, (label.astype(int) + 1) % 27
    ),
    "two classes in one": lambda label, _: np.where(label == 22, 21, label),
}


@pytest.fixture(scope="module")
def mini(real_data) -> Path:
    return real_data / "cocostuff_mini"


@pytest.fixture(scope="module")
def masks(mini, tmp_path_factory) -> Path:
    folder, lookup, random = tmp_path_factory.mktemp("masks"), coarse_lookup(), np.random.default_rng(0)
    for kind, change in MASKS.items():
        (folder / kind).mkdir()
        for path in sorted((mini / "annotations").rglob("*.png")):
            label = lookup[np.asarray(Image.open(path))]
            Image.fromarray(change(label, random).astype(np.uint8)).save(folder / kind / path.name)
    return folder


def cut(array: np.ndarray, name: str) -> np.ndarray:
    """What a protocol looks at, with Pillow and by hand."""
    height, width = array.shape
    if name in ("picie", "stego"):
        short = min(height, width)
        size = int(320 * width / short), int(320 * height / short)
        image = np.asarray(Image.fromarray(array).resize(size, Image.Resampling.NEAREST))
        top, left = round((size[1] - 320) / 2), round((size[0] - 320) / 2)
        return image[top : top + 320, left : left + 320]
    if name == "iic":
        rows, columns = (
            np.minimum((np.arange(round(side * 0.33)) / 0.33).astype(int), side - 1) for side in array.shape
        )
        small = array[np.ix_(rows, columns)]
        padded = np.full((len(rows) + 256, len(columns) + 256), 255, np.uint8)
        padded[128:-128, 128:-128] = small
        top, left = 128 + len(rows) // 2 - 64, 128 + len(columns) // 2 - 64
        return padded[top : top + 128, left : left + 128]
    return array


def count(mini: Path, masks: Path, name: str, split: str) -> list[np.ndarray]:
    """Confusion (class x cluster, 27 x 28: the last for no answer) of both halves."""
    paths, lookup = sorted((mini / "annotations" / split).iterdir()), coarse_lookup()
    halves = choose_halves([f"{split}/{path.stem}" for path in paths]) if name == "honest" else [0] * len(paths)
    counts = [np.zeros((28, 28), int), np.zeros((28, 28), int)]
    for path, half in zip(paths, halves, strict=True):
        label = cut(lookup[np.asarray(Image.open(path))], name)
        mask = cut(np.asarray(Image.open(masks / path.name)), name)
        np.add.at(counts[half], (np.minimum(label, 27).ravel(), np.minimum(mask, 27).ravel()), 1)
    return [part[:27] for part in counts]


def score(fitted: np.ndarray, scored: np.ndarray, name: str) -> np.ndarray:
    """Class x class counts, the last column for errors without a class."""
    classes, clusters = np.arange(27), np.arange(27)
    if name == "honest":  # what the fitting half never shows stands for nothing
        classes, clusters = np.flatnonzero(fitted.any(1)), np.flatnonzero(fitted[:, :27].any(0))
    pairs = linear_sum_assignment(fitted[np.ix_(classes, clusters)], maximize=True)
    class_of = dict(zip(clusters[pairs[1]], classes[pairs[0]], strict=True))
    result = np.zeros((27, 28), int)
    for cluster in range(28):
        result[:, class_of.get(cluster, 27)] += scored[:, cluster]
    if name == "honest":
        result[~fitted.any(1)] = 0
    if name == "stego":
        result[:, 27] = 0
    return result


@pytest.mark.real_data
@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_real_pairs_score_as_an_independent_scorer_says(mini, masks, name, kind, split):
    found = run_evaluate(
        Settings(),
        dataset="cocostuff",
        root=mini,
        split=split,
        predictions=masks / kind,
        protocol=name,
        progress=SilentProgress(),
    ).report["metrics"]
    first, second = count(mini, masks / kind, name, f"{split}2017")
    if name == "honest":
        counts = score(first, second, name) + score(second, first, name)
    else:
        counts = score(first, first, name)
    hit = np.diag(counts)
    with np.errstate(invalid="ignore"):
        iou = hit / (counts.sum(1) + counts[:, :27].sum(0) - hit)
    for part, classes in (("all", slice(0, 27)), ("things", slice(0, 12)), ("stuff", slice(12, 27))):
        assert found[part]["accuracy"] == pytest.approx(hit[classes].sum() / counts[classes].sum(), abs=1e-6)
        assert found[part]["miou"] == pytest.approx(np.nanmean(iou[classes]), abs=1e-6)
        expected = [None if np.isnan(value) else pytest.approx(value, abs=1e-6) for value in iou[classes]]
        assert list(found[part]["class_iou"].values()) == expected
    if kind in ("perfect", "permuted"):
        assert found["all"]["accuracy"] == found["all"]["miou"] == found["all"]["many_to_one_miou"] == 1
    else:
        assert found["all"]["miou"] < 1


@pytest.mark.real_data
def test_a_report_of_a_data_set_says_what_was_scored(mini, masks):
    progress = SilentProgress()
    report = run_evaluate(
        Settings(), dataset="cocostuff", root=mini, split="train", predictions=masks / "random", progress=progress
    ).report
    assert report["protocol"]["name"] == "honest"
    assert report["counted"]["images"] == 13
    assert report["source"]["dataset"] == "cocostuff27"
    assert report["source"]["is_sample"]
    assert any("sample" in line for line in progress.warned)
    assert set(report["metrics"]) == {"all", "things", "stuff"}
    for part in report["metrics"].values():
        assert {"accuracy", "miou", "many_to_one_miou", "class_iou"} <= set(part)
    json.dumps(report, allow_nan=False)


@pytest.mark.real_data
def test_masks_of_the_size_that_the_protocol_leaves_are_taken(mini, masks, tmp_path):
    for path in (masks / "random").iterdir():
        Image.fromarray(cut(np.asarray(Image.open(path)), "stego")).save(tmp_path / path.name)
    options = {"dataset": "cocostuff", "root": mini, "split": "val", "protocol": "stego", "progress": SilentProgress()}
    whole = run_evaluate(Settings(), predictions=masks / "random", **options).report
    small = run_evaluate(Settings(), predictions=tmp_path, **options).report
    assert small["metrics"] == whole["metrics"]
    with pytest.raises(InputError, match="cannot be used"):
        run_evaluate(Settings(), predictions=tmp_path, **(options | {"protocol": "full"}))


# --- the check ---


def check(root: Path, split: str = "train"):
    return run_check_dataset(Settings(), dataset="cocostuff", root=root, split=split, progress=SilentProgress())


@pytest.mark.real_data
def test_a_whole_copy_has_no_damage(mini):
    result = check(mini)
    assert result.problems == ()
    assert result.labels == 13


@pytest.mark.real_data
def test_every_damage_of_a_copy_is_named(mini, tmp_path):
    shutil.copytree(mini, tmp_path / "copy")
    labels, images = (tmp_path / "copy" / place / "train2017" for place in ("annotations", "images"))
    (labels / "000000017914.png").unlink()
    (images / "000000029286.jpg").unlink()
    whole = (labels / "000000138805.png").read_bytes()
    (labels / "000000138805.png").write_bytes(whole[: len(whole) // 2])
    whole = (images / "000000184101.jpg").read_bytes()
    (images / "000000184101.jpg").write_bytes(whole[: len(whole) // 2])
    with Image.open(labels / "000000197384.png") as label:
        label.resize((320, 229), Image.Resampling.NEAREST).save(labels / "000000197384.png")
    ids = np.array(Image.open(labels / "000000203744.png"))
    ids[0, 0] = 200
    Image.fromarray(ids).save(labels / "000000203744.png")
    (labels / "000000284465.png").write_bytes(b"")
    shutil.copy(images / "000000350505.jpg", labels / "000000350505.png")
    said = {problem.name.rpartition("/")[2]: problem.reason for problem in check(tmp_path / "copy").problems}
    expected = {
        "000000017914": "no label of its name",
        "000000029286": "no image of its name",
        "000000138805": "its label: ",
        "000000184101": "its image: ",
        "000000197384": "size differs: 320x229",
        "000000203744": "unknown id 200",
        "000000284465": "0 bytes",
        "000000350505": "lossy",
    }
    assert set(said) == set(expected)
    for name, word in expected.items():
        assert word in said[name], name
