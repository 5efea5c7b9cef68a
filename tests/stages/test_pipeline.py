"""The whole job: a folder of pictures in, masks and scores out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy_project import CLASSES, Stopping, choose_tiny, draw_folder, draw_picture

from fs4cli.errors import Interrupted, ProjectError, ResourceError
from fs4cli.evaluation.matching import match_clusters
from fs4cli.pipeline import train_from_images
from fs4cli.progress import SilentProgress
from fs4cli.project.project import Project
from fs4cli.project.record import read_record
from fs4cli.stages.evaluate import run_evaluate
from fs4cli.stages.predict import run_predict
from fs4cli.training.assignment import read_assignment

IMAGES = 16
SETTINGS = choose_tiny(train__steps=60, train__learning_rate=3e-3)


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> tuple[Project, list[str]]:
    """A project with the whole job done, and what was said."""
    folder = draw_folder(tmp_path_factory.mktemp("toy"), count=IMAGES)
    project, progress = Project(folder / "project"), SilentProgress()
    train_from_images(project, SETTINGS, images=[str(folder / "images")], progress=progress)
    run_predict([str(folder / "images")], out=None, project=project, model=None, settings=SETTINGS, progress=progress)
    return project, progress.said


def _copy(job, tmp_path: Path) -> Project:
    return Project(shutil.copytree(job[0].root, tmp_path / "project"))


def _train(project: Project, settings=SETTINGS, **options) -> list[str]:
    progress = options.pop("progress", SilentProgress())
    train_from_images(project, settings, progress=progress, **options)
    return progress.said


def _count(masks: list[np.ndarray]) -> np.ndarray:
    confusion = np.zeros((CLASSES, CLASSES), int)
    for number, mask in enumerate(masks):
        np.add.at(confusion, (mask.ravel(), draw_picture(number)[1].ravel()), 1)
    return confusion


def test_every_stage_that_was_missing_ran_and_was_named(job):
    project, said = job
    for stage in ("pretrain", "cluster"):
        assert f"{stage}: runs, as train needs it" in said
    for stage in ("ingest", "pretrain", "cluster", "train"):
        record = read_record(project, stage)
        assert record is not None and record.state == "done"


def test_the_first_assignment_already_finds_the_shapes(job):
    assignment = read_assignment(job[0].stage("train") / "round-1")
    assert assignment is not None
    masks = [
        np.asarray(Image.fromarray(labels.astype(np.uint8)).resize((64, 64), Image.Resampling.NEAREST))
        for labels in assignment.label_maps
    ]
    assert match_clusters(_count(masks)).miou > 0.6


def test_every_picture_has_a_mask_of_its_own_size_and_the_masks_are_right(job):
    project = job[0]
    paths = sorted((project.stage("predict") / "masks").rglob("*.png"))
    assert [path.stem for path in paths] == [f"{number:02d}" for number in range(IMAGES)]
    masks = [np.asarray(Image.open(path)) for path in paths]
    assert all(mask.shape == (64, 64) and mask.max() < CLASSES for mask in masks)
    scores = match_clusters(_count(masks))
    # nothing but background would have an accuracy of 0.77 and a mean IoU of 0.26
    assert scores.miou > 0.8
    assert scores.accuracy > 0.95


def test_evaluate_gives_the_scores_of_the_masks(job):
    project = job[0]
    folder = project.root.parent
    result = run_evaluate(
        SETTINGS,
        labels=folder / "labels",
        images=folder / "images",
        project=project,
        progress=SilentProgress(),
    )
    figures = json.loads((project.stage("evaluate") / "report.json").read_text())["metrics"]["all"]
    masks = [np.asarray(Image.open(path)) for path in sorted((project.stage("predict") / "masks").rglob("*.png"))]
    expected = match_clusters(_count(masks))
    assert result.miou == figures["miou"] == pytest.approx(expected.miou, abs=1e-6)
    assert figures["accuracy"] == pytest.approx(expected.accuracy, abs=1e-6)


def test_a_second_call_does_nothing_and_says_so(job, tmp_path):
    project = _copy(job, tmp_path)
    written = project.model.stat().st_mtime_ns
    said = _train(project)
    assert [line for line in said if line.endswith("done already")] == [
        "pretrain: done already",
        "cluster: done already",
        "train: done already",
    ]
    assert project.model.stat().st_mtime_ns == written


def test_a_change_that_train_cannot_keep_is_refused_before_anything_is_thrown_away(job, tmp_path):
    project = _copy(job, tmp_path)
    settings = choose_tiny(train__steps=60, train__learning_rate=3e-3, cluster__clusters=(2, 2, 3))
    before = project.record("cluster").read_bytes()
    with pytest.raises(ProjectError, match="train finished with other settings or inputs") as caught:
        train_from_images(project, settings, progress=SilentProgress())
    assert caught.value.details == ("cluster: cluster.clusters changed auto -> [2, 2, 3]",)
    assert project.record("cluster").read_bytes() == before

    said = _train(project, choose_tiny(train__steps=2, train__rounds=1, cluster__clusters=(2, 2, 3)), fresh=True)
    [line] = [line for line in said if line.startswith("cluster: runs again")]
    assert "cluster.clusters changed auto -> [2, 2, 3]" in line
    assert "pretrain: done already" in said


def test_a_new_image_costs_no_trained_network_without_asking(job, tmp_path):
    project = _copy(job, tmp_path)
    folder = draw_folder(tmp_path / "more", count=IMAGES + 1)
    network = (project.stage("pretrain") / "network.safetensors").read_bytes()
    with pytest.raises(ProjectError, match="train finished with other settings or inputs") as caught:
        _train(project, images=[str(folder / "images")])
    assert caught.value.details == ("the result of ingest changed",)
    assert str(project.stage("pretrain")) in caught.value.hints[0]
    assert (project.stage("pretrain") / "network.safetensors").read_bytes() == network


def test_images_that_moved_and_stayed_the_same_cost_nothing(job, tmp_path):
    project = _copy(job, tmp_path)
    folder = draw_folder(tmp_path / "moved", count=IMAGES)
    said = _train(project, images=[str(folder / "images")])
    assert [line for line in said if line.endswith("done already")] == [
        "pretrain: done already",
        "cluster: done already",
        "train: done already",
    ]


def test_a_stage_stopped_half_way_asks_before_it_starts_over_with_other_images(tmp_path):
    folder = draw_folder(tmp_path, count=8)
    project, settings = Project(folder / "project"), choose_tiny(train__steps=2, train__rounds=1)
    images = [str(folder / "images")]
    with pytest.raises(Interrupted):
        _train(project, settings, images=images, progress=Stopping("pretrain", 2))
    draw_folder(folder, count=9)
    with pytest.raises(ProjectError, match="pretrain stopped with other settings or inputs"):
        _train(project, settings, images=images)
    said = _train(project, settings, images=images, fresh=True)
    assert "pretrain: runs again, as the result of ingest changed" in said


def test_a_device_that_is_not_there_is_named_before_any_image_is_read(tmp_path):
    folder = draw_folder(tmp_path, count=2)
    project = Project(folder / "project")
    with pytest.raises(ResourceError, match="cuda:7"):
        _train(project, choose_tiny(device="cuda:7"), images=[str(folder / "images")])
    assert read_record(project, "ingest") is None


def test_fresh_trains_the_segmenter_anew_and_keeps_the_rest(job, tmp_path):
    project = _copy(job, tmp_path)
    said = _train(project, choose_tiny(train__steps=2, train__rounds=1), fresh=True)
    assert "pretrain: done already" in said and "train: done already" not in said
    record = read_record(project, "train")
    assert record is not None and record.summary["steps"] == 2


def test_a_job_that_was_stopped_goes_on_in_the_stage_it_was_in(tmp_path):
    folder = draw_folder(tmp_path, count=8)
    project, settings = Project(folder / "project"), choose_tiny(train__steps=2)
    with pytest.raises(Interrupted):
        _train(project, settings, images=[str(folder / "images")], progress=Stopping("pretrain", 2))
    assert read_record(project, "cluster") is None
    said = _train(project, settings)
    assert "pretrain: going on where it stopped" in said
    assert "pretrain: runs, as train needs it" not in said
    assert "cluster: runs, as train needs it" in said
