"""Baselines through the same stages: an ordinary model at the end, and a stopped run as one that was not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_project import CLASSES, Stopping, choose_tiny, draw_folder

from fs4cli.config import Settings
from fs4cli.errors import Interrupted
from fs4cli.files import read_json_lines
from fs4cli.model.model_file import load_model
from fs4cli.pipeline import train_from_images
from fs4cli.progress import SilentProgress
from fs4cli.project.project import Project
from fs4cli.project.record import read_record
from fs4cli.stages.train.stage import TrainResult

ROUNDS = 3


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("toy"), count=8) / "images"


def choose(method: str, **values) -> Settings:
    steps = 2 if method == "kmeans" else 0
    return choose_tiny(train__method=method, pretrain__steps=steps, train__rounds=ROUNDS, **values)


def train(project: Project, images: Path, settings: Settings, progress=None) -> TrainResult:
    return train_from_images(project, settings, images=[str(images)], progress=progress or SilentProgress())


@pytest.fixture(scope="module")
def undisturbed(images, tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("undisturbed") / "project")
    train(project, images, choose("picie"))
    return project


def test_picie_learns_from_random_weights_in_rounds_and_gives_an_ordinary_model(undisturbed):
    segmenter, card = load_model(undisturbed.model, torch.device("cpu"))
    assert card.nearest and not card.context and not card.place and card.from_scratch
    assert segmenter.probabilities(torch.rand(1, 3, 64, 64)).shape == (1, CLASSES, 64, 64)
    rows = read_json_lines(undisturbed.metrics("train"))
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert {"within", "cross"} <= set(rows[0])
    pretrain, record = (read_record(undisturbed, stage) for stage in ("pretrain", "train"))
    assert pretrain is not None and pretrain.summary["steps"] == 0
    assert record is not None and record.summary["steps"] == 6
    assert 1 <= record.summary["health"]["effective_clusters"] <= CLASSES
    assert [path.name for path in undisturbed.stage("train").glob("round-*")] == ["round-3"]


@pytest.mark.parametrize(("stretch", "after"), [("train", 1), ("train", 4), ("assign", 3)])
def test_a_baseline_stopped_anywhere_ends_as_one_that_was_not(undisturbed, images, tmp_path, stretch, after):
    project = Project(tmp_path / "project")
    with pytest.raises(Interrupted):
        train(project, images, choose("picie"), Stopping(stretch, after))
    train(project, images, choose("picie"))

    assert project.model.read_bytes() == undisturbed.model.read_bytes()
    assert len(read_json_lines(project.metrics("train"))) == ROUNDS


def test_kmeans_makes_no_update_and_keeps_the_pretrained_network(images, tmp_path):
    project = Project(tmp_path / "project")
    result = train(project, images, choose("kmeans"))

    assert result.steps == 0 and not project.metrics("train").exists()
    from safetensors.torch import load_file

    pretrained, model = load_file(project.pretrained), load_file(project.model)
    assert all((model[f"network.{name}"] == value).all() for name, value in pretrained.items())
    assert np.linalg.norm(model["head.centroids"].numpy(), axis=1) == pytest.approx(1, abs=1e-5)
