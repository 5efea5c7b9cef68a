"""Rounds of assigning pixels and training on the assignment."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from toy_project import CLASSES, Stopping, choose_tiny, draw_folder

from fs4cli.clustering import context, search
from fs4cli.clustering.health import find_collapse
from fs4cli.config import Settings
from fs4cli.errors import Interrupted, ProjectError
from fs4cli.files import read_json_lines
from fs4cli.model.inference import predict_mask
from fs4cli.model.model_file import load_model, read_card
from fs4cli.pipeline import train_from_images
from fs4cli.progress import SilentProgress
from fs4cli.project.project import Project
from fs4cli.project.record import read_record
from fs4cli.stages.train import fs4
from fs4cli.stages.train.stage import TrainResult, run_train
from fs4cli.training import assigning
from fs4cli.training.assignment import read_assignment
from fs4cli.training.segmentation import OTHER_LIGHT, OWN_LIGHT, Segmentation

IMAGES = 10


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A project with everything done."""
    folder = draw_folder(tmp_path_factory.mktemp("toy"), count=IMAGES)
    project = Project(folder / "project")
    train_from_images(project, choose_tiny(), images=[str(folder / "images")], progress=SilentProgress())
    return project.root


@pytest.fixture
def project(trained, tmp_path) -> Project:
    """The same, but for train."""
    without_train = shutil.ignore_patterns("train")
    return Project(shutil.copytree(trained, tmp_path / "project", ignore=without_train))


def _train(project: Project, settings: Settings | None = None, **options) -> TrainResult:
    return run_train(project, settings or choose_tiny(), progress=options.pop("progress", SilentProgress()), **options)


def test_the_model_is_one_file_that_predicts_and_describes_itself(trained):
    segmenter, card = load_model(Project(trained).model, torch.device("cpu"))
    assert card.classes == ("class-0", "class-1", "class-2")
    assert len(set(card.palette)) == CLASSES
    assert card.backbone == "test_resnet" and card.from_scratch and not card.context
    assert card.summary["steps"] == 6 and card.summary["images"] == IMAGES and card.summary["seed"] == 0
    assert sum(card.summary["shares"]) == pytest.approx(1, abs=1e-3)
    probabilities = segmenter.probabilities(torch.rand(1, 3, 64, 64))
    assert probabilities.shape == (1, CLASSES, 64, 64)


def test_nothing_in_the_model_changes_from_run_to_run(trained, project):
    _train(project)
    assert project.model.read_bytes() == Project(trained).model.read_bytes()
    assert str(project.root).encode() not in project.model.read_bytes()
    assert "seconds" not in json.dumps(read_card(project.model).summary)


def test_classes_that_hold_no_pixels_are_warned_of(project):
    # images of one colour cannot be divided
    progress = SilentProgress()
    folder = project.root.parent / "blank"
    folder.mkdir()
    for number in range(2):
        Image.new("RGB", (96, 64 + number), (90, 90, 90)).save(folder / f"{number}.png")

    train_from_images(Project(folder / "project"), choose_tiny(), images=[str(folder)], progress=progress)

    assert any(line.startswith("2 of 3 classes hold no pixels") for line in progress.warned)


def test_each_round_is_an_assignment_of_every_pixel(trained):
    for number in (1, 2):
        assignment = read_assignment(Project(trained).stage("train") / f"round-{number}")
        assert assignment is not None
        assert len(assignment.label_maps) == IMAGES
        assert all(labels.max() < CLASSES for labels in assignment.label_maps)
        assert assignment.shares.sum() == pytest.approx(1)
    assert read_assignment(Project(trained).stage("train") / "round-3") is None


def test_the_record_has_health_and_time_of_all_rounds(trained):
    record = read_record(Project(trained), "train")
    assert record is not None and record.state == "done"
    assert record.summary["classes"] == CLASSES
    assert 1 <= record.summary["health"]["effective_clusters"] <= CLASSES
    assert record.summary["seconds"] > 0
    rows = read_json_lines(Project(trained).metrics("train"))
    assert [row["step"] for row in rows] == [3, 6]
    assert {"pixels", "views", "cells", "top_down"} <= set(rows[0]) and "context" not in rows[0]


def test_what_is_done_is_not_done_again(trained, tmp_path):
    project = Project(shutil.copytree(trained, tmp_path / "copy"))
    written = project.model.stat().st_mtime_ns
    again = _train(project)
    assert not again.is_new and again.steps == 6 and again.classes == CLASSES
    assert project.model.stat().st_mtime_ns == written


def test_pixels_can_be_embedded_with_their_neighbours(project):
    _train(project, choose_tiny(train__context=True, train__steps=2, train__rounds=1))
    [row] = read_json_lines(project.metrics("train"))
    assert row["context"] > 0
    segmenter, card = load_model(project.model, torch.device("cpu"))
    assert card.context and segmenter.context is not None
    assert segmenter.probabilities(torch.rand(1, 3, 64, 64)).shape == (1, CLASSES, 64, 64)


@pytest.fixture(scope="module")
def road(tmp_path_factory) -> Path:
    """A project of one road at any hour, pretrained and clustered."""
    folder = tmp_path_factory.mktemp("road")
    random = np.random.default_rng(0)
    (folder / "images").mkdir()
    for number, light in enumerate(np.linspace(0.5, 1.4, IMAGES)):
        picture = np.empty((64, 64, 3))
        picture[:24], picture[24:] = (120, 140, 170), (70, 68, 64)
        picture[30:50, 8 * (number % 5) : 8 * (number % 5) + 20] = (150, 60, 50)
        noisy = light * (picture + random.normal(0, 4, picture.shape))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{number}.png")
    project = Project(folder / "project")
    train_from_images(project, choose_tiny(), images=[str(folder / "images")], progress=SilentProgress())
    return project.root


def test_a_road_at_any_hour_is_learned_from_and_segmented_in_one_light(road):
    segmenter, card = load_model(Project(road).model, torch.device("cpu"))
    pixels = np.asarray(Image.open(road.parent / "images" / "4.png"))
    dimmer = np.rint(pixels * 0.6).astype(np.uint8)
    options = {"short_side": 96, "flip": False, "refine": False}
    mask, dim = (predict_mask(segmenter, one, **options)[0] for one in (pixels, dimmer))

    assert card.exposed
    assert (mask == dim).mean() > 0.99


@pytest.fixture
def doubted_road(road, tmp_path, monkeypatch) -> Project:
    """The same, whose groupings are doubted however well they agree."""
    monkeypatch.setattr(search, "SURE", 1.1)
    monkeypatch.setattr(search, "USUAL_ENOUGH", 0.0)
    return Project(shutil.copytree(road, tmp_path / "project", ignore=shutil.ignore_patterns("train")))


def test_a_model_keeps_what_usually_lies_at_each_place_where_its_classes_hang_on_it(doubted_road):
    _train(doubted_road)
    segmenter, card = load_model(doubted_road.model, torch.device("cpu"))
    told = json.loads((doubted_road.stage("train") / "round-1" / "grouping.json").read_text())

    assert told["usual_places"] and card.prior_mapped
    assert segmenter.prior is not None and segmenter.prior.places is not None
    assert torch.equal(segmenter.prior.places.values, torch.tensor(told["rule"]["places"]))
    assert segmenter.prior.places.values.std() > 0.5


def test_a_run_that_knows_what_usually_lies_at_each_place_goes_on_as_if_left_alone(doubted_road, tmp_path):
    other = Project(shutil.copytree(doubted_road.root, tmp_path / "other"))
    _train(other)
    with pytest.raises(Interrupted):
        _train(doubted_road, progress=Stopping("train", 4))
    _train(doubted_road)

    assert doubted_road.model.read_bytes() == other.model.read_bytes()


def test_a_road_is_learned_from_as_it_was_photographed_if_that_is_asked_for(road, tmp_path):
    project = Project(shutil.copytree(road, tmp_path / "project", ignore=shutil.ignore_patterns("train")))
    _train(project, choose_tiny(train__exposure=False, train__steps=2, train__rounds=1))

    assert not read_card(project.model).exposed
    assert not (project.stage("train") / "exposure.json").exists()


@pytest.mark.parametrize(("task", "after"), [("assign 1", 3), ("train", 4)])
def test_a_run_in_one_light_that_is_stopped_ends_as_one_that_was_left_alone(road, tmp_path, task, after):
    project = Project(shutil.copytree(road, tmp_path / "project", ignore=shutil.ignore_patterns("train")))
    with pytest.raises(Interrupted):
        _train(project, progress=Stopping(task, after))
    _train(project)

    assert project.model.read_bytes() == Project(road).model.read_bytes()


def test_parts_of_the_method_can_be_left_out(project):
    _train(project, choose_tiny(train__pyramid=False, train__steps=2, train__rounds=1))
    [row] = read_json_lines(project.metrics("train"))
    assert {"pixels", "views"} <= set(row) and not {"cells", "top_down", "context"} & set(row)
    assert not (project.stage("train") / "round-2").exists()


@pytest.mark.parametrize(
    ("grouping", "chosen"), [("features", "k-means of learned features"), ("cues", "colour|texture")]
)
def test_the_first_grouping_can_be_held_to_cues_or_to_features(project, grouping, chosen):
    _train(project, choose_tiny(train__grouping=grouping, train__steps=2, train__rounds=1))
    told = json.loads((project.stage("train") / "round-1" / "grouping.json").read_text())
    assert re.search(chosen, told["chosen"])
    assert grouping == "features" or not any("learned" in name for name in told["gains"])
    assert (read_card(project.model).prior_side > 0) is (grouping == "cues")  # cues cannot tell classes of features


def test_the_model_keeps_the_word_of_the_first_grouping_unless_it_is_told_not_to(trained, project):
    segmenter, card = load_model(Project(trained).model, torch.device("cpu"))
    told = json.loads((Project(trained).stage("train") / "round-1" / "grouping.json").read_text())
    assert card.prior_side == 96 and segmenter.prior is not None
    assert torch.equal(segmenter.prior.weights, torch.tensor(told["rule"]["weights"]))
    _train(project, choose_tiny(train__prior=False, train__steps=2, train__rounds=1))
    segmenter, card = load_model(project.model, torch.device("cpu"))
    assert card.prior_side == 0 and segmenter.prior is None


@pytest.fixture
def places_tell(monkeypatch):
    """In the toy images no pixel is in doubt, and so places have nothing to tell."""
    monkeypatch.setattr(context, "LEAST_DOUBT", 0)
    monkeypatch.setattr(context, "DOUBT_LEFT", 2)


def test_a_model_is_guided_by_the_pyramid_where_places_tell(project, places_tell):
    _train(project, choose_tiny(train__steps=4, train__rounds=2))
    segmenter, card = load_model(project.model, torch.device("cpu"))
    assert card.pyramid == (1, 2, 4) and segmenter.guidance is not None
    shares = segmenter.guidance.shares
    assert shares.sum().item() == pytest.approx(1, abs=1e-4)
    assert len(shares.unique()) == CLASSES  # as it sees them, not the even ones that it began with


@pytest.mark.parametrize(("task", "after"), [("train", 4), ("assign 2", 3)])
def test_a_guided_run_that_is_stopped_ends_as_one_that_was_left_alone(project, tmp_path, places_tell, task, after):
    other = Project(shutil.copytree(project.root, tmp_path / "other"))
    _train(other)
    with pytest.raises(Interrupted):
        _train(project, progress=Stopping(task, after))
    _train(project)
    assert read_card(project.model).pyramid == (1, 2, 4)
    assert project.model.read_bytes() == other.model.read_bytes()


def test_without_a_pyramid_a_model_is_not_guided_though_places_tell(project, places_tell):
    _train(project, choose_tiny(train__pyramid=False, train__steps=2, train__rounds=1))
    segmenter, card = load_model(project.model, torch.device("cpu"))
    assert card.pyramid == () and segmenter.guidance is None


def test_a_model_is_not_guided_where_places_tell_nothing(trained):
    segmenter, card = load_model(Project(trained).model, torch.device("cpu"))
    told = json.loads((Project(trained).stage("train") / "round-1" / "grouping.json").read_text())
    assert told["guided_by"] == [] and told["doubt_alone"] < context.LEAST_DOUBT
    assert card.pyramid == () and segmenter.guidance is None


def test_a_round_that_an_older_fs4_began_ends_without_that_word(trained, project):
    with pytest.raises(Interrupted):
        _train(project, choose_tiny(train__prior=False), progress=Stopping("train", 2))
    path = project.stage("train") / "round-1" / "grouping.json"
    told = json.loads(path.read_text())
    del told["rule"]
    path.write_text(json.dumps(told))
    record = json.loads(project.record("train").read_text())
    del record["settings"]["train.prior"]
    record["explicit"] = [key for key in record["explicit"] if key != "train.prior"]
    project.record("train").write_text(json.dumps(record))
    _train(project)
    assert read_card(project.model).prior_side == 0


@pytest.mark.parametrize(("power", "light"), [(0.25, OTHER_LIGHT), (1.0, OWN_LIGHT), (None, OWN_LIGHT)])
def test_views_are_in_other_light_where_the_rule_of_plain_cues_is_doubted(project, monkeypatch, power, light):
    with pytest.raises(Interrupted):
        _train(project, progress=Stopping("train", 2))
    path = project.stage("train") / "round-1" / "grouping.json"
    told = json.loads(path.read_text())
    # None: an older fs4 began this and said nothing of it
    path.write_text(
        json.dumps({key: value for key, value in (told | {"rule_power": power}).items() if value is not None})
    )

    class Seen(Exception):
        pass

    def look(segmenter, options, **more):
        raise Seen(options.photometry)

    monkeypatch.setattr(fs4, "Segmentation", look)
    with pytest.raises(Seen) as caught:
        _train(project)
    assert caught.value.args == (light,)


def test_assignments_may_be_left_as_they_were_found(project, monkeypatch):
    def refuse(soft, pixels):
        raise AssertionError("an assignment was sharpened")

    monkeypatch.setattr(assigning, "refine_assignment", refuse)
    _train(project, choose_tiny(train__refine=False))


def _merge(segmenter) -> None:
    """One background: every pixel is of class 0."""
    segmenter.head.bias[0] = 1000


def _forget(segmenter) -> None:
    """No pixel is of class 1."""
    segmenter.head.bias[1] = -1000


def _shatter(segmenter) -> None:
    """Clutter: what a pixel is hangs on the last bit of its colour."""
    segmenter.cue_std.fill_(1e-6)
    generator = torch.Generator().manual_seed(0)
    for layer in (segmenter.fuse[0], segmenter.fuse[2], segmenter.head):
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
    segmenter.head.bias.zero_()


def _spoil(monkeypatch, spoil, steps: range) -> None:
    """Spoil the average at these updates, as a training that goes wrong would."""
    after_step = Segmentation.after_step

    @torch.no_grad()
    def spoiled(objective, step: int, of: int) -> None:
        after_step(objective, step, of)
        if step in steps:
            spoil(objective.average)

    monkeypatch.setattr(Segmentation, "after_step", spoiled)


@pytest.mark.parametrize(
    ("spoil", "words", "change"),
    [(_merge, "merging into one background", "balance 0.5 -> 1"), (_shatter, "shattering", "cross 0.3 -> 0.6")],
)
def test_a_round_that_collapses_is_taken_back(project, monkeypatch, spoil, words, change):
    _spoil(monkeypatch, spoil, range(3))
    chosen = choose_tiny(train__prior=False, train__refine=False)
    progress = SilentProgress()
    result = _train(project, chosen, progress=progress)
    [told] = [line for line in progress.warned if "goes back to the assignment and the weights" in line]
    assert words in told and change in told
    first, second = (read_assignment(project.stage("train") / f"round-{number}") for number in (1, 2))
    assert first is not None and second is not None
    assert result.health["effective_clusters"] == first.health.as_dict()["effective_clusters"]
    assert find_collapse(first.health, second.health) is not None
    weights = torch.load(project.checkpoints("train") / "step-0000006.pt", weights_only=True)["state"]["objective"]
    spoiled = weights["average.head.bias"].max() > 100 or weights["average.cue_std"].max() < 1e-5
    assert not spoiled, "the weights that collapsed were learned on"


def test_a_run_killed_after_a_collapse_ends_as_one_that_was_not(project, tmp_path, monkeypatch):
    _spoil(monkeypatch, _merge, range(3))
    chosen = choose_tiny(train__prior=False)
    other = Project(shutil.copytree(project.root, tmp_path / "other"))
    _train(other, chosen)
    for stretch, after in (("assign 2", 3), ("train", 5)):
        with pytest.raises(Interrupted):
            _train(project, chosen, progress=Stopping(stretch, after))
    _train(project, chosen)
    assert project.model.read_bytes() == other.model.read_bytes()


def test_a_last_round_that_collapses_leaves_the_model_from_before_it(project, monkeypatch):
    chosen = choose_tiny(train__prior=False)
    _spoil(monkeypatch, _merge, range(3, 6))
    progress = SilentProgress()
    _train(project, chosen, progress=progress)
    assert [line for line in progress.warned if "the model is the one from before it" in line]
    segmenter, _ = load_model(project.model, torch.device("cpu"))
    before = load_file(project.stage("train") / "round-2" / "segmenter.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in segmenter.state_dict().items())


def test_a_class_that_training_lost_is_named(project, monkeypatch):
    monkeypatch.setattr("fs4cli.training.rounds.find_collapse", lambda before, now: None)  # as for a rare class
    _spoil(monkeypatch, _forget, range(3, 6))
    progress = SilentProgress()
    _train(project, choose_tiny(train__prior=False), progress=progress)
    assert [line for line in progress.warned if line.startswith("the finished model hardly sees class-1, which")]


def test_the_health_of_a_finished_model_knows_of_other_views_and_of_the_round_before(trained):
    health = load_model(Project(trained).model, torch.device("cpu"))[1].summary["health"]
    assert 0 < health["view_agreement"] <= 1 and 0 <= health["round_nmi"] <= 1
    second = read_assignment(Project(trained).stage("train") / "round-2")
    assert second is not None and second.health.round_nmi is not None


def test_a_number_of_classes_given_once_stays_in_the_record(project):
    chosen = choose_tiny(train__steps=2, train__rounds=1, classes=4)
    with pytest.raises(Interrupted):
        _train(project, chosen, progress=Stopping("train", 1))
    values = chosen.model_dump(exclude_unset=True)
    del values["classes"]
    assert _train(project, Settings.model_validate(values)).classes == 4
    assert len(read_card(project.model).classes) == 4


@pytest.mark.parametrize(("stretch", "after"), [("assign 1", 3), ("train", 2), ("assign 2", 3)])
def test_a_run_stopped_anywhere_ends_as_one_that_was_not(trained, project, stretch, after):
    with pytest.raises(Interrupted):
        _train(project, progress=Stopping(stretch, after))
    record = read_record(project, "train")
    assert record is not None and record.state == "running"
    _train(project)
    assert project.model.read_bytes() == Project(trained).model.read_bytes()


@pytest.mark.parametrize("number", [1, 2])
def test_a_damaged_round_is_assigned_again(trained, project, number):
    with pytest.raises(Interrupted):
        _train(project, progress=Stopping("train", 5))
    path = project.stage("train") / f"round-{number}" / "labels.bin"
    path.write_bytes(bytes(len(path.read_bytes())))
    if number == 1:  # it can be made again from the pretrained network
        _train(project)
        assert project.model.read_bytes() == Project(trained).model.read_bytes()
    else:  # the segmenter that made it has learned on since: nothing may pretend to be the same run
        with pytest.raises(ProjectError, match="past the 3 that are asked for"):
            _train(project)


def test_a_run_whose_later_checkpoints_are_gone_ends_as_one_that_has_them(trained, project):
    checkpoints, kept = project.checkpoints("train"), project.root / "kept"
    with pytest.raises(Interrupted):
        _train(project, progress=Stopping("train", 2))  # in the first round, of three updates
    shutil.copytree(checkpoints, kept)
    with pytest.raises(Interrupted):
        _train(project, progress=Stopping("train", 5))  # in the second, whose assignment is there now
    shutil.rmtree(checkpoints)
    kept.rename(checkpoints)

    _train(project)

    assert project.model.read_bytes() == Project(trained).model.read_bytes()


def test_pyramid_labels_are_needed(project):
    project.record("cluster").unlink()
    with pytest.raises(ProjectError, match="train needs the result of cluster"):
        _train(project)
