"""Masks and labels in, report out: `fs4 evaluate` without its face."""

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import linear_sum_assignment

from fs4cli.config import EvaluateSettings, Settings, with_values
from fs4cli.data.images import read_image
from fs4cli.errors import InputError, Interrupted, ProjectError, UsageError
from fs4cli.evaluation.probe import ProbeSource
from fs4cli.evaluation.scoring import Scoring
from fs4cli.progress import SilentProgress, SilentTask
from fs4cli.project.project import Project
from fs4cli.project.record import finish_record, read_record, start_record, write_record
from fs4cli.stages import evaluate as stage
from fs4cli.stages.evaluate import load_maker, run_evaluate
from fs4cli.stages.ingest import run_ingest
from fs4cli.stages.predict import run_predict

LABELS = {"a": [[0, 0, 1, 1], [0, 0, 1, 1]], "b": [[2, 2, 2, 2], [0, 0, 255, 255]]}


def save(path: Path, rows, dtype=np.uint8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(rows, dtype)).save(path)
    return path


@pytest.fixture
def labels(tmp_path) -> Path:
    for name, rows in LABELS.items():
        save(tmp_path / "truth" / "labels" / f"{name}.png", rows)
    (tmp_path / "truth" / "classes.yaml").write_text("{classes: [sky, road, sea], void_id: 255}")
    return tmp_path / "truth" / "labels"


def write_masks(folder: Path, change) -> Path:
    for name, rows in LABELS.items():
        save(folder / f"{name}.png", change(np.array(rows)))
    return folder


def score(labels: Path, masks: Path, **options) -> dict:
    return run_evaluate(Settings(), labels=labels, predictions=masks, progress=SilentProgress(), **options).report


def test_perfect_masks_score_one_whatever_their_ids(labels, tmp_path):
    ids = np.arange(256)
    ids[[0, 1, 2]] = 7, 0, 3
    for name, change in (("same", lambda mask: mask), ("renamed", lambda mask: ids[mask])):
        scores = score(labels, write_masks(tmp_path / name, change))["metrics"]["all"]
        assert {scores[key] for key in ("accuracy", "miou", "boundary_f", "nmi", "ari", "many_to_one_miou")} == {1.0}


def test_shifted_masks_lose(labels, tmp_path):
    scores = score(labels, write_masks(tmp_path / "masks", lambda mask: np.roll(mask, 1, axis=1)))["metrics"]["all"]
    # a: columns move by one, 4 of 8 pixels stay right; b: all of sea stays, and one of the two labelled pixels of sky
    assert scores["accuracy"] == pytest.approx((4 + 4 + 1) / 14)
    assert scores["miou"] < 0.7


def test_constant_masks_score_the_largest_class(labels, tmp_path):
    scores = score(labels, write_masks(tmp_path / "masks", np.zeros_like))["metrics"]["all"]
    # 6 sky, 4 road, 4 sea
    assert scores["accuracy"] == pytest.approx(6 / 14)
    assert scores["class_iou"] == {"sky": pytest.approx(6 / 14), "road": 0, "sea": 0}


def test_classes_come_from_the_labels_where_no_list_is(labels, tmp_path):
    (labels.parent / "classes.yaml").unlink()
    report = score(labels, write_masks(tmp_path / "masks", lambda mask: mask))
    assert [row["name"] for row in report["classes"]] == ["class-0", "class-1", "class-2"]
    assert report["metrics"]["all"]["miou"] == 1


def test_another_void_value_can_be_chosen(labels, tmp_path):
    (labels.parent / "classes.yaml").unlink()
    settings = Settings(evaluate=EvaluateSettings(void=2))
    masks = write_masks(tmp_path / "masks", lambda mask: mask)
    report = run_evaluate(settings, labels=labels, predictions=masks, progress=SilentProgress()).report
    assert report["counted"]["void_pixels"] == 4
    assert [row["name"] for row in report["classes"]] == ["class-0", "class-1", "class-255"]


def test_every_bad_label_is_named_in_one_error(labels, tmp_path):
    masks = write_masks(tmp_path / "masks", lambda mask: mask)
    save(labels / "small.png", [[0, 1]])
    save(masks / "small.png", [[0, 1, 1]])
    save(labels / "lone.png", [[0, 1]])
    save(labels / "unknown.png", [[0, 77]])
    save(masks / "unknown.png", [[0, 0]])
    with pytest.raises(InputError) as caught:
        score(labels, masks)
    assert caught.value.message == "3 of 5 labels cannot be used"
    reasons = " ".join(caught.value.details)
    assert "`lone.png`: no mask" in reasons
    assert "`small.png`: size differs: 2x1, its mask is 3x1" in reasons
    assert "`unknown.png`: unknown id 77" in reasons
    assert "--skip-bad" in caught.value.hints[0]


def test_an_error_lists_ten_bad_labels_at_most(labels, tmp_path):
    masks = write_masks(tmp_path / "masks", lambda mask: mask)
    for index in range(12):
        save(labels / f"lone{index:02}.png", [[0, 1]])
    with pytest.raises(InputError) as caught:
        score(labels, masks)
    assert len(caught.value.details) == 11
    assert caught.value.details[-1] == "and 2 more"


def test_bad_labels_can_be_left_out_and_are_said(labels, tmp_path):
    masks = write_masks(tmp_path / "masks", lambda mask: mask)
    save(labels / "lone.png", [[0, 1]])
    progress = SilentProgress()
    result = run_evaluate(Settings(), labels=labels, predictions=masks, skip_bad=True, progress=progress)
    assert result.miou == 1
    assert result.report["counted"] | {"images": 2, "skipped": 1} == result.report["counted"]
    assert [problem.name for problem in result.skipped] == ["lone.png"]
    assert "lone.png" in progress.warned[0]


def test_nothing_usable_is_an_error_even_if_bad_labels_are_left_out(labels, tmp_path):
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError, match="no label in"):
        score(labels, tmp_path / "masks", skip_bad=True)


def test_a_bad_mask_is_named_as_the_mask(labels, tmp_path):
    masks = write_masks(tmp_path / "masks", lambda mask: mask)
    (masks / "a.png").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        score(labels, masks)
    assert caught.value.details == ("`a.png`: its mask `a.png`: 0 bytes",)


def test_a_request_that_cannot_be_met_says_what_to_add(labels, tmp_path):
    for options, word in (
        ({}, "nothing to evaluate"),
        ({"model": tmp_path / "m.safetensors"}, "needs the images"),
        ({"model": tmp_path / "m.safetensors", "predictions": labels}, "both"),
    ):
        with pytest.raises(UsageError, match=word) as caught:
            run_evaluate(Settings(), labels=labels, progress=SilentProgress(), **options)
        assert caught.value.hints


def test_the_report_goes_where_it_is_asked_for(labels, tmp_path):
    masks = write_masks(tmp_path / "masks", lambda mask: mask)
    result = run_evaluate(
        Settings(), labels=labels, predictions=masks, out=tmp_path / "x.json", progress=SilentProgress()
    )
    assert json.loads((tmp_path / "x.json").read_text()) == result.report
    assert result.report["schema"] == "fs4.report/1"
    assert np.load(result.confusion_path).sum() == 14
    assert run_evaluate(Settings(), labels=labels, predictions=masks, progress=SilentProgress()).report_path is None


def test_a_project_keeps_the_report_and_a_record_each_time(labels, tmp_path):
    project = Project(tmp_path / "project")
    for name, change, accuracy in (("good", lambda mask: mask, 1.0), ("constant", np.zeros_like, 6 / 14)):
        masks = write_masks(tmp_path / name, change)
        run_evaluate(Settings(), labels=labels, predictions=masks, project=project, progress=SilentProgress())
        report = json.loads((project.stage("evaluate") / "report.json").read_text())
        record = read_record(project, "evaluate")
        assert report["metrics"]["all"]["accuracy"] == pytest.approx(accuracy)
        assert record.state == "done"
        assert record.summary["accuracy"] == pytest.approx(accuracy)
    assert (project.stage("evaluate") / "confusion.npy").exists()


class StopsAfter(SilentProgress):
    """Asks to stop once so many images are counted."""

    def __init__(self, images: int):
        super().__init__()
        self.left = images

    @contextmanager
    def task(self, name, total, *, unit, done=0):
        progress = self

        class Counting(SilentTask):
            def advance(self, count=1, **values):
                progress.left -= count * (name == "evaluate")

        yield Counting()

    def stop_requested(self):
        return 15 if self.left <= 0 else None


def test_a_signal_stops_it_without_a_report_and_the_same_command_goes_on(labels, tmp_path):
    masks = write_masks(tmp_path / "masks", lambda mask: mask)
    options = {"labels": labels, "predictions": masks, "out": tmp_path / "out"}
    with pytest.raises(Interrupted) as caught:
        run_evaluate(Settings(), progress=StopsAfter(1), **options)
    assert caught.value.exit_code == 143
    assert caught.value.hints == ("the same command goes on",)
    assert not (tmp_path / "out" / "report.json").exists()
    (kept,) = (tmp_path / "out").iterdir()

    progress = SilentProgress()
    resumed = run_evaluate(Settings(), progress=progress, **options)
    assert any("going on after 1 of 2" in line for line in progress.said)
    assert not kept.exists()
    undisturbed = run_evaluate(Settings(), progress=SilentProgress(), **(options | {"out": tmp_path / "other"}))
    assert resumed.report_path.read_bytes() == undisturbed.report_path.read_bytes()


def test_without_a_place_for_the_report_nothing_is_kept_and_that_is_said(labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    masks = write_masks(tmp_path / "masks", lambda mask: mask)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Interrupted) as caught:
        run_evaluate(Settings(), labels=labels, predictions=masks, progress=StopsAfter(1))
    assert "-o FILE" in caught.value.hints[0]
    assert sorted(tmp_path.rglob("*")) == before


KILLED = """
import os, sys
from contextlib import contextmanager
from pathlib import Path
from fs4cli.config import Settings
from fs4cli.evaluation import unfinished
from fs4cli.progress import SilentProgress, SilentTask
from fs4cli.stages.evaluate import run_evaluate

unfinished.EVERY = 0.0
folder, after = Path(sys.argv[1]), int(sys.argv[2])

class Deadly(SilentProgress):
    @contextmanager
    def task(self, name, total, *, unit, done=0):
        class Counting(SilentTask):
            count = 0
            def advance(self, count=1, **values):
                self.count += count
                if self.count == after:
                    os.kill(os.getpid(), 9)
        yield Counting()

run_evaluate(
    Settings(), labels=folder / "labels", predictions=[folder / "one", folder / "two"], protocol="honest",
    out=folder / "out", progress=Deadly(),
)
"""


def test_an_evaluation_killed_again_and_again_ends_with_the_same_report_byte_for_byte(tmp_path):
    random = np.random.default_rng(0)
    for number in range(12):
        for folder in ("labels", "one", "two"):
            save(tmp_path / folder / f"{number}.png", random.integers(0, 3, (9, 7)))
    options = {"labels": tmp_path / "labels", "predictions": [tmp_path / "one", tmp_path / "two"]}
    undisturbed = run_evaluate(
        Settings(), out=tmp_path / "undisturbed", protocol="honest", progress=SilentProgress(), **options
    )
    codes = []
    while not codes or codes[-1]:
        codes.append(subprocess.run([sys.executable, "-c", KILLED, tmp_path, "7"]).returncode)
        assert len(codes) < 9
    assert codes == [-9, -9, -9, -9, 0] or codes == [-9, -9, 0], codes
    for name in ("report.json", "confusion.npy"):
        assert (tmp_path / "out" / name).read_bytes() == (undisturbed.report_path.parent / name).read_bytes()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.json", "confusion.npy"}


def test_counts_of_other_files_or_rules_are_not_taken_up(labels, tmp_path):
    masks = write_masks(tmp_path / "masks", lambda mask: mask)
    options = {"labels": labels, "predictions": masks, "out": tmp_path / "out"}
    with pytest.raises(Interrupted):
        run_evaluate(Settings(), progress=StopsAfter(1), **options)
    for change in ("rules", "mask"):
        progress = SilentProgress()
        if change == "mask":
            save(masks / "a.png", np.zeros((2, 4)))
        else:
            options["protocol"] = "honest"
        run_evaluate(Settings(), progress=progress, **options)
        assert not any("going on" in line for line in progress.said)


def test_damaged_counts_are_counted_anew(labels, tmp_path):
    masks = write_masks(tmp_path / "masks", lambda mask: mask)
    options = {"labels": labels, "predictions": masks, "out": tmp_path / "out"}
    with pytest.raises(Interrupted):
        run_evaluate(Settings(), progress=StopsAfter(1), **options)
    (kept,) = (tmp_path / "out").iterdir()
    kept.write_bytes(kept.read_bytes()[:-40])
    assert run_evaluate(Settings(), progress=SilentProgress(), **options).miou == 1


def test_ready_masks_are_scored_without_torch(labels, tmp_path):
    masks = write_masks(tmp_path / "masks", lambda mask: mask)
    code = (
        "import sys; from pathlib import Path; from fs4cli.config import Settings\n"
        "from fs4cli.progress import SilentProgress; from fs4cli.stages.evaluate import run_evaluate\n"
        f"result = run_evaluate(Settings(), labels=Path({str(labels)!r}), predictions=Path({str(masks)!r}),"
        " progress=SilentProgress())\n"
        "assert result.miou == 1 and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- with a model ---


@pytest.fixture
def photos(labels, tmp_path) -> Path:
    """Photos of 32 x 16 pixels whose brightness tells the class, and labels of their size."""
    for name, rows in LABELS.items():
        ids = np.kron(np.array(rows), np.ones((8, 8), int))
        save(labels / f"{name}.png", ids)
        save(tmp_path / "photos" / f"{name}.png", np.dstack([np.where(ids == 255, 0, ids * 100)] * 3))
    return tmp_path / "photos"


class ByBrightness:
    """A model whose clusters are steps of brightness."""

    clusters, identity, scaling = 5, {}, ""

    def __init__(self, path: Path, settings: Settings):
        self.key = str(path)

    def prepare(self, pixels):
        return pixels[..., 0].astype(int) // 100

    def segment(self, images):
        return list(images)

    def choose(self, small, size):
        assert small.shape == size
        return small


def test_a_model_is_run_on_every_image(labels, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "load_maker", ByBrightness)
    model = tmp_path / "m.safetensors"
    report = run_evaluate(Settings(), labels=labels, images=photos, model=model, progress=SilentProgress()).report
    assert report["metrics"]["all"]["miou"] == 1
    assert report["source"]["model"] == {"path": str(model)}
    assert len(report["confusion"]["counts"]) == 5
    assert report["spare_clusters"] == []


def test_bad_labels_and_images_are_named_before_the_model_runs(labels, photos, monkeypatch, tmp_path):
    class Never(ByBrightness):
        def segment(self, images):
            raise AssertionError("the model ran")

    monkeypatch.setattr(stage, "load_maker", Never)
    save(labels / "a.png", np.zeros((32, 16)))
    (photos / "b.png").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        run_evaluate(Settings(), labels=labels, images=photos, model=tmp_path / "m", progress=SilentProgress())
    assert "swapped" in caught.value.details[0]
    assert caught.value.details[1] == "`b.png`: its image `b.png`: 0 bytes"


def test_an_image_without_a_label_is_not_scored_and_said(labels, photos, monkeypatch, tmp_path):
    monkeypatch.setattr(stage, "load_maker", ByBrightness)
    save(photos / "extra.png", np.zeros((16, 16, 3)))
    progress = SilentProgress()
    result = run_evaluate(Settings(), labels=labels, images=photos, model=tmp_path / "m", progress=progress)
    assert result.report["counted"]["unlabelled_images"] == 1
    assert progress.warned == ["not scored, no label: `extra.png`"]


def test_a_project_without_a_trained_model_names_the_command(labels, photos, tmp_path):
    with pytest.raises(ProjectError) as caught:
        run_evaluate(
            Settings(), labels=labels, images=photos, project=Project(tmp_path / "p"), progress=SilentProgress()
        )
    assert caught.value.hints == ("run `fs4 train` first",)


def test_the_record_names_the_training_that_was_scored(labels, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "load_maker", ByBrightness)
    project = Project(tmp_path / "p")
    trained = start_record("train", settings={}, explicit=[], inputs={}, seed=0)
    trained = finish_record(trained, outputs={"model": "abc"}, summary={})
    write_record(project, trained)
    report = run_evaluate(Settings(), labels=labels, images=photos, project=project, progress=SilentProgress()).report
    assert report["source"]["model"] == {"path": str(project.model)}
    assert read_record(project, "evaluate").inputs == {"train": trained.fingerprint}


@pytest.fixture
def model(tmp_path) -> Path:
    """A model file with random weights, whose masks have several classes."""
    torch = pytest.importorskip("torch")
    from fs4cli.model.model_file import ModelCard, build_segmenter, save_model

    torch.manual_seed(0)
    card = ModelCard("test_resnet", channels=16, classes=("x", "y", "z"), palette=((0, 0, 0),) * 3, short_side=32)
    segmenter = build_segmenter(card)
    torch.nn.init.normal_(segmenter.head.weight)
    segmenter.head.weight.data -= segmenter.head.weight.data.mean(1, keepdim=True)  # cues decide, not their mean
    save_model(tmp_path / "model.safetensors", segmenter, card)
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("changes", [{}, {"predict.flip": False, "predict.refine": False, "predict.size": 64}])
def test_the_masks_that_are_scored_are_those_that_predict_writes_pixel_for_pixel(labels, tmp_path, model, changes):
    settings = with_values(Settings(), {"device": "cpu", **changes})
    random = np.random.default_rng(0)
    for path in sorted(labels.iterdir()):
        path.unlink()
    for number in range(11):  # two groups, of two sizes
        size = (40, 56) if number % 3 else (70, 34)
        save(labels / f"{number:02}.png", random.integers(0, 3, size))
        patches = np.kron(random.integers(0, 256, (2, 2, 3)), np.ones((size[0] // 2, size[1] // 2, 1), int))
        save(tmp_path / "photos" / f"{number:02}.png", patches)
    run_predict(
        [str(tmp_path / "photos")],
        out=tmp_path / "masks",
        project=None,
        model=model,
        settings=settings,
        progress=SilentProgress(),
    )
    maker = load_maker(model, settings)
    photos = sorted((tmp_path / "photos").iterdir())
    for path, small in zip(
        photos, maker.segment([maker.prepare(read_image(path).pixels) for path in photos]), strict=True
    ):
        written = np.asarray(Image.open(tmp_path / "masks" / path.name))
        assert (maker.choose(small, written.shape) == written).all()

    options = {"labels": labels, "images": tmp_path / "photos", "progress": SilentProgress()}
    scored = run_evaluate(settings, model=model, **options).report
    written = run_evaluate(settings, predictions=tmp_path / "masks", **options).report
    assert scored["confusion"] == written["confusion"]
    assert (np.array(scored["confusion"]["counts"]).sum(1) > 0).sum() > 1
    assert scored["metrics"] == written["metrics"]
    assert scored["source"]["model"] | {"classes": 3, "from_scratch": True} == scored["source"]["model"]


def test_a_model_is_probed_on_images_that_are_not_scored(labels, photos, tmp_path, model):
    for folder in ("labels", "photos"):
        source = labels if folder == "labels" else photos
        for path in source.iterdir():
            save(tmp_path / "fit" / folder / path.name, np.asarray(Image.open(path))[::-1])
    shutil.copy(labels.parent / "classes.yaml", tmp_path / "fit")
    settings = with_values(Settings(), {"device": "cpu"})
    options = {"labels": labels, "images": photos, "model": model, "progress": SilentProgress()}
    source = ProbeSource(images=tmp_path / "fit" / "photos", labels=tmp_path / "fit" / "labels")
    report = run_evaluate(settings, probe=source, **options).report
    plain = run_evaluate(settings, **options).report
    assert report["probe"]["is_supervised"]
    assert report["probe"]["fitted_images"] == 2
    assert report["probe"]["metrics"]["all"]["accuracy"] > 0.6  # brightness is among the features
    assert {key: value for key, value in report.items() if key != "probe"} == plain

    with pytest.raises(InputError, match="fitted on and scored as well"):
        run_evaluate(settings, probe=ProbeSource(images=photos, labels=labels), **options)
    with pytest.raises(UsageError, match="labelled images of its own"):
        run_evaluate(settings, probe=ProbeSource(), **options)


def test_a_probe_that_cannot_be_fitted_is_refused_before_anything_is_scored(labels, photos, model, monkeypatch):
    monkeypatch.setattr(Scoring, "score_model", lambda *_: pytest.fail("scored"))
    settings = with_values(Settings(), {"device": "cpu"})
    options = {"labels": labels, "images": photos, "model": model, "progress": SilentProgress()}
    with pytest.raises(UsageError, match="labelled images of its own"):
        run_evaluate(settings, probe=ProbeSource(), **options)
    (labels.parent / "classes.yaml").unlink()
    with pytest.raises(UsageError, match="needs to know the classes"):
        run_evaluate(settings, probe=ProbeSource(images=photos, labels=labels), **options)


def test_a_probe_of_a_data_set_is_fitted_on_another_split_of_it(tmp_path, model):
    for split in ("train2017", "val2017"):
        for number in range(3):
            name = f"{number + (10 if split == 'val2017' else 20):012}"
            ids = np.kron(np.roll([[0, 15, 123, 255]], number, 1), np.ones((32, 16), int))  # person, outdoor, ground
            save(tmp_path / "coco" / split / f"{name}.png", ids)
            light = np.select([ids == 0, ids == 15, ids == 123], [20, 120, 220], 0)
            save(tmp_path / "coco" / split / f"{name}.jpg", np.dstack([light] * 3))
    settings = with_values(Settings(), {"device": "cpu"})
    options = {"dataset": "cocostuff", "root": tmp_path / "coco", "split": "val", "protocol": "full", "model": model}
    report = run_evaluate(settings, probe=ProbeSource(), progress=SilentProgress(), **options).report
    assert report["counted"]["images"] == 3
    assert report["probe"]["fitted_images"] == 3
    assert "split train" in report["probe"]["fitted_on"]
    assert report["probe"]["metrics"]["all"]["accuracy"] > 0.8  # what is left are the borders: features have stride 4
    with pytest.raises(InputError, match="fitted on and scored as well"):
        run_evaluate(settings, probe=ProbeSource(split="val"), progress=SilentProgress(), **options)


def test_without_labels_the_report_has_health_and_stability_and_no_scores(labels, photos, tmp_path, model):
    settings = with_values(Settings(), {"device": "cpu"})
    options = {"images": photos, "model": model, "unlabeled": True, "out": tmp_path / "out"}
    result = run_evaluate(settings, progress=SilentProgress(), **options)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report == result.report
    assert result.miou is None and report["metrics"] == {}
    assert report["unlabeled"]["images"] == report["unlabeled"]["of"] == 2
    assert set(report["unlabeled"]["stability"]) == {"mirrored", "smaller", "brighter"}
    assert report["unlabeled"]["stability"]["smaller"]["short_side"] == 64  # it looks at 32, the least there is

    both = run_evaluate(settings, labels=labels, progress=SilentProgress(), **options).report
    assert both["unlabeled"] == report["unlabeled"]
    assert both["metrics"]["all"]["accuracy"] is not None
    with pytest.raises(UsageError, match="not at ready masks"):
        run_evaluate(settings, predictions=labels, unlabeled=True, progress=SilentProgress())


def test_without_labels_and_images_those_that_the_project_learned_from_are_looked_at(photos, tmp_path, model):
    project = Project(tmp_path / "p")
    settings = with_values(Settings(), {"device": "cpu", "workers": 0})
    run_ingest(project, settings, images=[str(photos)], progress=SilentProgress())
    trained = start_record("train", settings={}, explicit=[], inputs={}, seed=0)
    write_record(project, finish_record(trained, outputs={"model": "abc"}, summary={}))
    shutil.copy(model, project.model)
    report = run_evaluate(settings, project=project, unlabeled=True, progress=SilentProgress()).report
    assert report["metrics"] == {}
    assert report["unlabeled"]["images"] == report["unlabeled"]["of"] == 2
    with pytest.raises(UsageError, match="no project whose images"):
        run_evaluate(settings, model=model, unlabeled=True, progress=SilentProgress())


def test_how_ready_masks_were_made_is_not_in_the_record(labels, tmp_path):
    project = Project(tmp_path / "p")
    run_evaluate(Settings(), labels=labels, predictions=labels, project=project, progress=SilentProgress())
    assert set(read_record(project, "evaluate").settings) == {"evaluate.void"}


def test_several_models_give_the_mean_and_the_spread(labels, photos, tmp_path, monkeypatch):
    class Dimmed(ByBrightness):
        def prepare(self, pixels):
            step = 100 if self.key == "first" else 256
            return pixels[..., 0].astype(int) // step

    monkeypatch.setattr(stage, "load_maker", Dimmed)
    models = [Path("first"), Path("second")]
    progress = SilentProgress()
    report = run_evaluate(Settings(), labels=labels, images=photos, model=models, progress=progress).report
    accuracies = [run["metrics"]["all"]["accuracy"] for run in report["runs"]]
    assert accuracies == [1, pytest.approx(6 / 14)]
    assert report["metrics"]["all"]["accuracy"] == pytest.approx(np.mean(accuracies))
    assert report["spread"]["all"]["accuracy"]["std"] == pytest.approx(np.std(accuracies, ddof=1))
    assert [found["path"] for found in report["source"]["model"]] == ["first", "second"]
    assert "model 2 of 2: `second`" in progress.said


# --- real sets ---


@pytest.mark.real_data
def test_the_hostile_labels_come_out_as_their_list_says(real_data, tmp_path):
    folder = real_data / "hostile" / "labels"
    shutil.copytree(folder / "labels", tmp_path / "labels")
    (tmp_path / "labels" / "classes.yaml").write_text("{classes: [a, b, c], void_id: 255}")
    masks = tmp_path / "masks"
    for image in (folder / "images").iterdir():
        save(masks / f"{image.stem}.png", np.zeros((150, 226)))
    options = {"images": folder / "images", "predictions": masks, "progress": SilentProgress()}
    with pytest.raises(InputError) as caught:
        run_evaluate(Settings(), labels=tmp_path / "labels", **options)
    said = dict(line.split(": ", 1) for line in caught.value.details)
    expected = {
        "colour_coded.png": "colour table",
        "wrong_size.png": "size differs: 113x75",
        "rotated_size.png": "swapped",
        "id_out_of_range.png": "unknown id 77",
        "jpeg_label.jpg": "lossy label",
        "empty_label.png": "0 bytes",
        "no_image.png": "no image",
    }
    assert set(said) == {f"`{name}`" for name in expected}
    assert all(word in said[f"`{name}`"] for name, word in expected.items())

    result = run_evaluate(Settings(), labels=tmp_path / "labels", skip_bad=True, **options)
    assert result.report["counted"]["images"] == 7
    assert any("no label" in line and "no_label.jpg" in line for line in options["progress"].warned)


@pytest.mark.real_data
def test_real_labels_renamed_and_shifted(real_data, tmp_path):
    labels = real_data / "camvid" / "labels" / "test"
    renamed, shifted = tmp_path / "renamed", tmp_path / "shifted"
    (tmp_path / "labels").mkdir()
    shutil.copy(real_data / "camvid" / "classes.yaml", tmp_path)
    counts = np.zeros((256, 256), np.int64)
    for path in sorted(labels.iterdir())[::40]:
        shutil.copy(path, tmp_path / "labels")
        ids = np.asarray(Image.open(path)).astype(int)
        save(renamed / path.name, np.where(ids == 255, 4, (ids * 3 + 5) % 11))
        moved = np.where(np.roll(ids, 12, axis=1) == 255, 2, np.roll(ids, 12, axis=1))
        save(shifted / path.name, moved)
        np.add.at(counts, (moved, ids), 1)
    assert score(tmp_path / "labels", renamed)["metrics"]["all"]["miou"] == 1

    # an independent scorer: clusters in the order of their classes, then the diagonal
    counts = counts[:11, :11]
    clusters, classes = linear_sum_assignment(-counts)
    counts = counts[clusters[np.argsort(classes)]]
    iou = np.diag(counts) / (counts.sum(0) + counts.sum(1) - np.diag(counts))
    scores = score(tmp_path / "labels", shifted)["metrics"]["all"]
    assert list(scores["class_iou"].values()) == pytest.approx(iou)
    assert scores["miou"] == pytest.approx(iou.mean())
    assert scores["accuracy"] == pytest.approx(np.trace(counts) / counts.sum())
    assert scores["miou"] < 0.9
    assert scores["boundary_f"] < 0.7
