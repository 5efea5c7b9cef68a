"""`fs4 predict`: one mask an image, wherever it goes, whatever happens."""

import csv
import errno
import hashlib
import json
import os
import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from fs4cli.config import Settings
from fs4cli.data.images import LoadedImage, read_image
from fs4cli.data.masks import draw_overlay, make_palette, read_mask
from fs4cli.data.output_tree import Job
from fs4cli.data.predictions import PredictionLog
from fs4cli.data.reader import Reading
from fs4cli.data.sources import FoundFile
from fs4cli.errors import InputError, Interrupted, ProjectError, ResourceError, UsageError
from fs4cli.files import read_json
from fs4cli.model.model_file import ModelCard, build_segmenter, save_model
from fs4cli.prediction import flow, predictor
from fs4cli.progress import SilentProgress
from fs4cli.project.project import Project
from fs4cli.project.record import finish_record, read_record, start_record, write_record
from fs4cli.stages.predict import PredictResult, run_predict

SETTINGS = Settings.model_validate({"precision": "fp32", "device": "cpu"})


def save_segmenter(path: Path, seed: int) -> Path:
    palette = tuple((int(red), int(green), int(blue)) for red, green, blue in make_palette(3))
    card = ModelCard("test_resnet", 8, ("a", "b", "c"), palette, short_side=32)
    torch.manual_seed(seed)
    save_model(path, build_segmenter(card), card)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_segmenter(tmp_path_factory.mktemp("model") / "model.safetensors", 0)


def draw(path: Path, seed: int = 0, size: tuple[int, int] = (50, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rough = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(rough).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def predict(*sources: Path | str, out: Path | None, model: Path | None, **options) -> PredictResult:
    options = {"project": None, "settings": SETTINGS, "progress": SilentProgress(), **options}
    return run_predict([str(source) for source in sources], out=out, model=model, **options)


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class Stops(SilentProgress):
    """Asks to stop once a number of images is done."""

    def __init__(self, after: int):
        super().__init__()
        self.left = after

    def task(self, name, total, *, unit, done=0):
        outer = self

        class Counts:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def advance(self, count=1, **values):
                outer.left -= count

        return Counts()

    def stop_requested(self):
        return 15 if self.left <= 0 else None


def test_one_image_becomes_one_mask_of_its_size_with_the_classes_beside_it(tmp_path, model):
    image = draw(tmp_path / "img.jpg", size=(57, 43))
    result = predict(image, out=tmp_path / "mask.png", model=model)

    assert result.written == [tmp_path / "mask.png"]
    assert read_mask(tmp_path / "mask.png").shape == (43, 57)
    assert tree(tmp_path) == ["classes.json", "img.jpg", "mask.png"]
    table = json.loads((tmp_path / "classes.json").read_text())
    assert [row["name"] for row in table["classes"]] == ["a", "b", "c"]
    assert table["model"] == hashlib.sha256(model.read_bytes()).hexdigest()


def test_a_table_of_another_model_or_of_other_people_is_left_alone(tmp_path, model):
    image = draw(tmp_path / "img.jpg")
    (tmp_path / "classes.json").write_text('{"mine": 1}')
    predict(image, out=tmp_path / "mask.png", model=model)

    assert (tmp_path / "classes.json").read_text() == '{"mine": 1}'
    assert (tmp_path / "mask.classes.json").is_file()
    with pytest.raises(InputError, match=r"classes.json. is in the way"):
        predict(image, out=tmp_path, model=model)


def test_a_folder_becomes_a_tree_that_mirrors_it(tmp_path, model):
    photos, out = tmp_path / "photos", tmp_path / "out"
    for number, name in enumerate(["a.jpg", "a.png", "b.jpg", "deep/er/b.jpg"]):
        draw(photos / name, number, size=(40 + number, 30))
    result = predict(photos, out=out, model=model)

    assert tree(out) == [
        "a.jpg.png", "a.png.png", "b.png", "classes.json", "deep/er/b.png", "predictions.csv", "predictions.jsonl",
    ]  # fmt: skip
    assert sorted(result.written) == sorted(out.rglob("*.png"))
    assert [read_mask(path).shape[1] for path in sorted(result.written)] == [40, 41, 42, 43]
    rows = list(csv.DictReader((out / "predictions.csv").open()))
    assert [(Path(row["input"]).name, row["output"], row["state"]) for row in rows] == [
        ("a.jpg", "a.jpg.png", "written"),
        ("a.png", "a.png.png", "written"),
        ("b.jpg", "b.png", "written"),
        ("b.jpg", "deep/er/b.png", "written"),
    ]


def test_all_that_is_asked_for_beside_the_mask_fits_it(tmp_path, model):
    image = draw(tmp_path / "photos" / "a.png")
    out = tmp_path / "out"
    predict(image, out=out, model=model, overlay=True, confidence=True, probabilities=True)
    mask = read_mask(out / "a.png")
    shares = np.load(out / "probabilities" / "a.npz")["probabilities"]

    assert shares.shape == (3, *mask.shape) and shares.dtype == np.float16
    assert np.allclose(shares.astype(float).sum(0), 1, atol=0.01)
    chosen = np.take_along_axis(shares, mask[None].astype(np.int64), 0)[0]
    assert (chosen >= shares.max(0) - 1e-3).all()
    confidence = np.asarray(Image.open(out / "confidence" / "a.png"))
    assert np.abs(confidence / 255 - shares.max(0)).max() < 0.005
    overlay = np.asarray(Image.open(out / "overlays" / "a.jpg")).astype(int)
    expected = draw_overlay(read_image(image).pixels, mask, make_palette(3))
    assert np.abs(overlay - expected).mean() < 12  # a JPEG


def test_beside_one_mask_file_lie_its_extras(tmp_path, model):
    predict(draw(tmp_path / "in" / "a.jpg"), out=tmp_path / "m.png", model=model, overlay=True, probabilities=True)
    assert tree(tmp_path) == ["classes.json", "in/a.jpg", "m.png", "m_overlay.jpg", "m_probabilities.npz"]


def test_nothing_is_made_twice_and_everything_where_something_changed(tmp_path, model):
    photos, out = tmp_path / "photos", tmp_path / "out"
    for number in range(3):
        draw(photos / f"{number}.png", number)
    predict(photos, out=out, model=model)
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}

    def run(**options) -> tuple[list[str], int]:
        result = predict(photos, out=out, **{"model": model, **options})
        return sorted(path.name for path in result.written), len(result.skipped)

    assert run() == ([], 3)
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")} == times
    os.utime(photos / "0.png")  # another time, the same bytes
    assert run() == ([], 3)
    draw(photos / "1.png", 9)
    assert run() == (["1.png"], 2)
    (out / "2.png").unlink()
    assert run() == (["2.png"], 2)
    assert run(overlay=True) == (["0.png", "1.png", "2.png"], 0)
    assert run(overlay=True) == ([], 3)
    unmirrored = Settings.model_validate({"precision": "fp32", "device": "cpu", "predict": {"flip": False}})
    assert run(settings=unmirrored) == (["0.png", "1.png", "2.png"], 0)
    other = save_segmenter(tmp_path / "other.safetensors", 1)
    assert run(model=other)[1] == 0
    assert run(model=other, fresh=True)[1] == 0
    assert run(model=other)[1] == 3
    assert run(model=other, overlay=True)[1] == 0  # the overlays were of the model before


def test_new_images_never_take_the_masks_of_others(tmp_path, model):
    photos, out = tmp_path / "photos", tmp_path / "out"
    draw(photos / "a.jpg", 0, size=(40, 30))
    predict(photos, out=out, model=model)
    draw(photos / "a.png", 1, size=(60, 30))
    result = predict(photos, out=out, model=model)
    other = draw(tmp_path / "elsewhere" / "a.jpg", 2, size=(80, 30))
    predict(other, out=out, model=model)

    assert result.skipped == [out / "a.png"]
    assert {path.name: read_mask(path).shape[1] for path in out.glob("*.png")} == {
        "a.png": 40, "a.png.png": 60, "a.jpg.png": 80,
    }  # fmt: skip


def test_one_bad_image_does_not_stop_the_rest(tmp_path, model):
    photos = tmp_path / "photos"
    draw(photos / "a.png")
    (photos / "b.jpg").write_bytes(b"words")
    (photos / "c.jpg").write_bytes(b"")
    (photos / "notes.md").write_text("no image, and not named as one")
    draw(photos / "d.png")
    progress = SilentProgress()
    result = predict(photos, out=tmp_path / "out", model=model, progress=progress)

    assert [path.name for path in result.written] == ["a.png", "d.png"]
    assert [(Path(name).name, reason.split(":")[0]) for name, reason in result.failed] == [
        ("b.jpg", "not an image"), ("c.jpg", "0 bytes"),
    ]  # fmt: skip
    assert result.passed_over == 1
    assert len(progress.warned) == 2
    assert result.table is not None and "b.jpg" in result.table.read_text()


def test_a_file_that_was_bad_is_tried_again(tmp_path, model):
    photos, out = tmp_path / "photos", tmp_path / "out"
    (photos).mkdir()
    (photos / "a.png").write_bytes(b"")
    assert len(predict(photos, out=out, model=model).failed) == 1
    draw(photos / "a.png")
    result = predict(photos, out=out, model=model)

    assert (len(result.written), result.failed) == (1, [])
    assert [row["state"] for row in csv.DictReader((out / "predictions.csv").open())] == ["written"]


def test_a_file_named_itself_is_judged_even_if_it_is_no_image(tmp_path, model):
    (tmp_path / "labels.json").write_text("{}")
    result = predict(tmp_path / "labels.json", out=tmp_path / "m.png", model=model)

    assert "not an image" in result.failed[0][1]
    assert not (tmp_path / "m.png").exists()


def test_sources_without_an_image_are_refused(tmp_path, model):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.md").write_text("words")
    for source in ("empty", "texts", "missing"):
        with pytest.raises(InputError):
            predict(tmp_path / source, out=tmp_path / "out", model=model)


@pytest.mark.parametrize("name", ["a.png", "b/../a.png"])
def test_an_image_is_never_written_over(tmp_path, model, name):
    (tmp_path / "b").mkdir()
    image = draw(tmp_path / "a.png")
    before = image.read_bytes()
    with pytest.raises(InputError, match="is an image"):
        predict(image, out=tmp_path / name, model=model)
    with pytest.raises(InputError, match="is an image"):
        predict(tmp_path, out=tmp_path, model=model)
    assert image.read_bytes() == before


def test_what_fs4_did_not_write_is_never_written_over(tmp_path, model):
    photos = tmp_path / "photos"
    draw(photos / "a.jpg")
    for out, mask in ((tmp_path / "truth", tmp_path / "truth" / "a.png"), (tmp_path / "m.png", tmp_path / "m.png")):
        draw(mask)
        before = mask.read_bytes()
        with pytest.raises(InputError, match="1 file that fs4 did not write"):
            predict(photos / "a.jpg", out=out, model=model)
        assert mask.read_bytes() == before


def test_a_picture_in_the_way_of_an_overlay_is_not_written_over(tmp_path, model):
    photos = tmp_path / "photos"
    draw(photos / "a.jpg")
    mine = draw(photos / "overlays" / "a.jpg", 1)
    before = mine.read_bytes()
    with pytest.raises(InputError, match="1 file that fs4 did not write"):
        predict(photos, out=photos, model=model, overlay=True)
    assert mine.read_bytes() == before


@pytest.mark.parametrize("name", ["predictions.csv", "predictions.jsonl"])
def test_lists_of_other_people_are_not_written_over(tmp_path, model, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("id;score")
    with pytest.raises(InputError, match=f"{name}. is in the way"):
        predict(draw(tmp_path / "a.png"), out=tmp_path / "out", model=model)
    assert (tmp_path / "out" / name).read_text() == "id;score"


def test_a_file_is_no_place_for_masks(tmp_path, model):
    (tmp_path / "results.txt").write_text("mine")
    with pytest.raises(UsageError, match="no place for masks"):
        predict(draw(tmp_path / "a.png"), out=tmp_path / "results.txt", model=model)


def test_masks_that_another_model_left_there_are_warned_of(tmp_path, model):
    first, second = draw(tmp_path / "a.png"), draw(tmp_path / "b.png", 1)
    predict(first, out=tmp_path / "out", model=model)
    other = save_segmenter(tmp_path / "other.safetensors", 1)
    progress = SilentProgress()
    predict(second, out=tmp_path / "out", model=other, progress=progress)
    assert ["holds 1 mask of another model" in line for line in progress.warned] == [True]

    progress = SilentProgress()
    predict(first, second, out=tmp_path / "out", model=other, progress=progress)
    assert progress.warned == []


def test_as_many_processes_read_as_are_asked_for(tmp_path, model, monkeypatch):
    for number in range(4):
        draw(tmp_path / "photos" / f"{number}.png", number)
    asked, real = [], flow.ReaderPool
    monkeypatch.setattr(flow, "ReaderPool", lambda count, **options: asked.append(count) or real(count, **options))
    settings = Settings.model_validate({"precision": "fp32", "device": "cpu", "workers": 3})
    predict(tmp_path / "photos", out=tmp_path / "out", model=model, settings=settings)
    assert asked == [3]


def test_an_empty_file_and_an_own_mask_may_be_written_over(tmp_path, model):
    image = draw(tmp_path / "a.jpg")
    (tmp_path / "m.png").touch()
    assert predict(image, out=tmp_path / "m.png", model=model).written
    assert predict(image, out=tmp_path / "m.png", model=model).written


def test_masks_below_their_source_are_not_taken_for_images(tmp_path, model):
    draw(tmp_path / "a.png")
    out = tmp_path / "masks"
    first = predict(tmp_path, out=out, model=model, overlay=True, confidence=True)
    second = predict(tmp_path, out=out, model=model, overlay=True, confidence=True)

    assert [path.name for path in first.written] == ["a.png"]
    assert (len(second.written), len(second.skipped)) == (0, 1)


@pytest.mark.parametrize("out", ["m.jpg", "m.tif", "m.JPEG"])
def test_masks_are_png_files(tmp_path, model, out):
    with pytest.raises(UsageError, match="PNG"):
        predict(draw(tmp_path / "a.png"), out=tmp_path / out, model=model)


def test_one_file_is_for_one_image(tmp_path, model):
    draw(tmp_path / "in" / "a.png")
    draw(tmp_path / "in" / "b.png")
    with pytest.raises(UsageError, match="2 images"):
        predict(tmp_path / "in", out=tmp_path / "m.png", model=model)


def test_without_a_project_a_model_and_a_place_are_needed(tmp_path, model):
    image = draw(tmp_path / "a.png")
    with pytest.raises(UsageError, match="no place"):
        predict(image, out=None, model=model)
    with pytest.raises(ProjectError, match="no model"):
        predict(image, out=tmp_path / "m.png", model=None)


def test_a_project_that_is_not_trained_names_the_command(tmp_path):
    with pytest.raises(ProjectError) as caught:
        predict(draw(tmp_path / "a.png"), out=tmp_path / "m.png", model=None, project=Project(tmp_path / "project"))
    assert "fs4 train" in caught.value.hints[0]


def test_a_project_keeps_masks_and_a_record_of_them(tmp_path, model):
    project = Project(tmp_path / "project")
    project.model.parent.mkdir(parents=True)
    project.model.write_bytes(model.read_bytes())
    record = start_record("train", settings={}, explicit=[], inputs={}, seed=0)
    write_record(project, finish_record(record, outputs={"model": "x"}, summary={}))
    draw(tmp_path / "photos" / "a.jpg")
    result = predict(tmp_path / "photos", out=None, model=None, project=project)
    made = read_record(project, "predict")

    assert result.written == [project.root / "predict" / "masks" / "a.png"]
    assert made is not None and (made.state, made.summary) == ("done", {"masks": 1, "failed": 0})
    assert made.inputs["train"] == finish_record(record, outputs={"model": "x"}, summary={}).fingerprint
    assert tree(project.stage("predict")) == [
        "classes.json", "masks/a.png", "predictions.csv", "predictions.jsonl", "record.json",
    ]  # fmt: skip


def test_a_stopped_run_goes_on_and_ends_with_the_same_masks(tmp_path, model):
    photos = tmp_path / "photos"
    for number in range(12):
        draw(photos / f"{number:02}.png", number)
    settings = Settings.model_validate({"precision": "fp32", "device": "cpu", "predict": {"batch_size": 2}})
    with pytest.raises(Interrupted) as caught:
        predict(photos, out=tmp_path / "out", model=model, settings=settings, progress=Stops(after=3))
    made = len(list((tmp_path / "out").glob("*.png")))
    assert caught.value.exit_code == 143
    assert 3 <= made < 12

    result = predict(photos, out=tmp_path / "out", model=model, settings=settings)
    predict(photos, out=tmp_path / "whole", model=model, settings=settings)
    assert (len(result.skipped), len(result.written)) == (made, 12 - made)
    for mask in (tmp_path / "whole").glob("*.png"):
        assert (tmp_path / "out" / mask.name).read_bytes() == mask.read_bytes()


def test_a_log_that_a_kill_cut_off_costs_one_mask(tmp_path, model):
    photos, out = tmp_path / "photos", tmp_path / "out"
    for number in range(3):
        draw(photos / f"{number}.png", number)
    predict(photos, out=out, model=model)
    log = out / "predictions.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    result = predict(photos, out=out, model=model)

    assert (len(result.written), len(result.skipped)) == (1, 2)
    assert len(PredictionLog(out).latest) == 3


def test_a_damaged_log_is_named(tmp_path, model):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.jsonl").write_text('{"input": 1}\n')
    with pytest.raises(ProjectError, match=r"predictions.jsonl"):
        predict(draw(tmp_path / "a.png"), out=tmp_path / "out", model=model)


def test_too_little_memory_for_many_images_makes_fewer_at_once(tmp_path, model, monkeypatch):
    for number in range(5):
        draw(tmp_path / "photos" / f"{number}.png", number)
    real, sizes = predictor.predict_small, []

    def scarce(segmenter, images, **options):
        sizes.append(len(images))
        if len(images) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return real(segmenter, images, **options)

    monkeypatch.setattr(predictor, "predict_small", scarce)
    assert len(predict(tmp_path / "photos", out=tmp_path / "out", model=model).written) == 5
    assert sizes == [5, 2, 1, 1, 3, 1, 2, 1, 1]


def test_an_image_too_large_for_the_memory_is_one_bad_image(tmp_path, model, monkeypatch):
    draw(tmp_path / "photos" / "a.png")

    def none(segmenter, images, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(predictor, "predict_small", none)
    result = predict(tmp_path / "photos", out=tmp_path / "out", model=model)
    assert "out of memory" in result.failed[0][1]


def test_another_fault_of_the_network_is_not_hidden(tmp_path, model, monkeypatch):
    def broken(segmenter, images, **options):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(predictor, "predict_small", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        predict(draw(tmp_path / "a.png"), out=tmp_path / "m.png", model=model)


def test_a_full_disk_stops_the_run_and_leaves_no_half_mask(tmp_path, model, monkeypatch):
    for number in range(3):
        draw(tmp_path / "photos" / f"{number}.png", number)
    out = tmp_path / "out"
    real = os.fsync

    def full(handle):
        if os.readlink(f"/proc/self/fd/{handle}").endswith(".tmp") and ".png." in os.readlink(
            f"/proc/self/fd/{handle}"
        ):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="no space left"):
        predict(tmp_path / "photos", out=out, model=model)
    assert [name for name in tree(out) if "png" in name] == []


def test_only_a_few_images_are_in_memory_at_a_time(tmp_path, model, monkeypatch):
    for number in range(30):
        draw(tmp_path / "photos" / f"{number:02}.png", 0)
    held = {"now": 0, "most": 0}
    real_prepare, real_pack = predictor.Predictor.prepare, flow._pack

    def prepare(self, pixels):
        held["now"] += 1
        held["most"] = max(held["most"], held["now"])
        return real_prepare(self, pixels)

    def pack(*arguments):
        time.sleep(0.005)
        held["now"] -= 1
        return real_pack(*arguments)

    monkeypatch.setattr(predictor.Predictor, "prepare", prepare)
    monkeypatch.setattr(flow, "_pack", pack)
    settings = Settings.model_validate({"precision": "fp32", "device": "cpu", "predict": {"batch_size": 2}})
    predict(tmp_path / "photos", out=tmp_path / "out", model=model, settings=settings)
    assert held["most"] <= 2 + 2 * 2 + 1


@pytest.mark.real_data
def test_odd_names_get_legal_masks_and_are_found_again(tmp_path, model, odd_names):
    out = tmp_path / "out"
    result = predict(odd_names, out=out, model=model)
    again = predict(odd_names, out=out, model=model)

    assert (len(result.written), result.failed) == (7, [])
    assert (len(again.written), len(again.skipped)) == (0, 7)
    for path in out.rglob("*.png"):
        assert path.name.isprintable() and path.name.encode()
        assert read_mask(path).size
    assert len((out / "predictions.csv").read_text().splitlines()) == 8


@pytest.mark.real_data
def test_every_hostile_file_is_predicted_or_refused_as_its_list_says(tmp_path, model, real_data):
    folder = real_data / "hostile"
    listed = yaml.safe_load((folder / "hostile.yaml").read_text())["files"]
    result = predict(folder / "files", out=tmp_path / "out", model=model)
    rows = PredictionLog(tmp_path / "out").latest
    for entry in listed:
        row = rows.get(str(folder / entry["file"]))
        answers = {entry["expect"], entry.get("also_acceptable")}
        if row is None or row.state == "failed":
            assert "reject" in answers, entry["file"]
            assert entry.get("quiet") or (row is not None and row.reason), entry["file"]
            continue
        assert answers & {"accept", "convert"}, (entry["file"], row)
        mask = read_mask(tmp_path / "out" / f"{row.output}.png")
        assert mask.shape == (row.height, row.width)
        if "after" in entry:
            assert mask.shape == (entry["after"]["height"], entry["after"]["width"]), entry["file"]

    assert len({row.output for row in rows.values()}) == len(rows)
    assert len(result.written) == sum(row.state == "written" for row in rows.values())
    again = predict(folder / "files", out=tmp_path / "out", model=model)
    assert (again.written, sorted(again.failed)) == ([], sorted(result.failed))


@pytest.mark.real_data
@pytest.mark.slow
def test_each_hostile_file_alone_is_predicted_or_refused(tmp_path, model, real_data):
    folder = real_data / "hostile"
    for number, entry in enumerate(yaml.safe_load((folder / "hostile.yaml").read_text())["files"]):
        answers, out = {entry["expect"], entry.get("also_acceptable")}, tmp_path / f"{number}.png"
        try:
            result = predict(folder / entry["file"], out=out, model=model)
        except InputError:  # a text file is a list of images
            assert "reject" in answers, entry["file"]
            continue
        assert len(result.written) + len(result.failed) == 1, entry["file"]
        assert answers & ({"accept", "convert"} if result.written else {"reject"}), (entry["file"], result)
        assert out.exists() == bool(result.written)


def test_the_table_survives_a_name_that_begins_like_a_formula(tmp_path, model):
    draw(tmp_path / "photos" / '=1+1,"x".png')
    predict(tmp_path / "photos", out=tmp_path / "out", model=model)
    (row,) = csv.DictReader((tmp_path / "out" / "predictions.csv").open())

    assert Path(row["input"]).name == '=1+1,"x".png'
    assert read_json(tmp_path / "out" / "classes.json")["void"] == 255


def test_large_pictures_do_not_wait_to_be_packed_in_numbers():
    class Unfinished(Future):
        def done(self) -> bool:
            return False

    pixels = np.broadcast_to(np.uint8(0), (5_000, 6_000, 3))  # takes no memory
    reading = Reading(LoadedImage(pixels, (5_000, 6_000), "PNG", "RGB", (), False))
    packing: deque[tuple[Job, Reading, Future[str]]] = deque()
    for number in range(3):
        written = Unfinished()
        written.set_result("")
        packing.append((Job(FoundFile("/photos", f"{number}.png", 1, 1), str(number), {}), reading, written))
    waited_for = list(flow._collect(packing, at_most=16))

    assert (len(waited_for), len(packing)) == (2, 1)  # 90, then 60 million pixels are too much; 30 are not
