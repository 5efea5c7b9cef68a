"""Labels are read by the scorer only: whatever else a run starts cannot open one."""

import subprocess
import sys
from pathlib import Path

import cells
import numpy as np
import pytest
from cells import Cell, RunFailed, blindfold, run_cell
from PIL import Image
from sets import DataSet

from fs4cli.files import write_json

TINY = "preset=tiny model.backbone=test_resnet model.channels=16 pretrain.steps=2 train.steps=2 precision=fp32".split()
TINY += ["pretrain.batch_size=2", "train.batch_size=2", "workers=1", "train.rounds=1"]


@pytest.fixture
def data(tmp_path) -> DataSet:
    """Eight pictures to learn from, two held out, and labels of all of them."""
    random = np.random.default_rng(0)
    for number in range(10):
        split = "train" if number < 8 else "test"
        mask = np.zeros((64, 64), np.uint8)
        mask[:, random.integers(16, 48) :] = 1
        pixels = np.where(mask[..., None] == 1, (200, 60, 40), (40, 80, 200)) + random.normal(0, 9, (64, 64, 3))
        for folder, picture in ((split, pixels.clip(0, 255).astype(np.uint8)), (f"labels/{split}", mask)):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(tmp_path / folder / f"{number}.png")
    return DataSet(
        "toy",
        2,
        60,
        train=tmp_path / "train",
        test=tmp_path / "test",
        labels=tmp_path / "labels" / "test",
        hidden=(tmp_path / "labels",),
        held_out=(tmp_path / "test",),
    )


def try_to(code: str, hidden: tuple[Path, ...], *arguments: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=blindfold(hidden), capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "code",
    [
        "import sys; open(sys.argv[1], 'rb')",
        "import sys, os; os.open(sys.argv[1], os.O_RDONLY)",
        "import sys; from PIL import Image; Image.open(sys.argv[1])",
        "import sys, pathlib; list(pathlib.Path(sys.argv[1]).parent.iterdir())",
        "import sys, os; os.chdir(sys.argv[2]); os.symlink(sys.argv[1], 'link.png'); open('link.png', 'rb')",
        "import sys, subprocess as s; sys.exit(s.call([sys.executable, '-c', f'open({sys.argv[1]!r})']))",
    ],
    ids=["open", "os.open", "Pillow", "listing", "link", "child"],
)
def test_a_run_that_opens_a_label_is_stopped(data, code):
    label = data.labels / "8.png"
    refused = try_to(code, data.hidden, label, data.train)

    assert refused.returncode == 1 and "only the scorer may see it" in refused.stderr
    allowed = try_to(code, (), label, data.train)
    assert allowed.returncode == 0, allowed.stderr


def test_a_link_that_was_there_before_is_no_way_around(data):
    (data.train / "link.png").symlink_to(data.labels / "8.png")
    refused = try_to("import sys; open(sys.argv[1], 'rb')", data.hidden, data.train / "link.png")

    assert refused.returncode == 1 and "Blindfolded" in refused.stderr


def test_the_network_stays_shut_under_the_blindfold(data):
    refused = try_to("import socket; socket.create_connection(('192.0.2.1', 80), 1)", data.hidden)

    assert "NetworkBlocked" in refused.stderr


def test_a_whole_run_needs_no_label_but_for_its_score(data, tmp_path):
    result = run_cell(Cell("toy", "fs4", 0, 60, tuple(TINY)), data, tmp_path / "runs")

    assert result.state == "done", result.error
    assert result.images == 2 and result.metrics["miou"] is not None
    assert result.updates["train"]["steps"] == 2
    assert 1 <= result.health["effective_clusters"] <= 2


def test_learning_from_a_label_fails_the_cell_and_says_why(data, tmp_path):
    (data.train / "link.png").symlink_to(data.labels / "8.png")
    result = run_cell(Cell("toy", "floor: colour", 0, 0), data, tmp_path / "runs")

    assert result.state == "failed" and "only the scorer may see: open of" in result.error


def test_a_label_that_passes_for_a_bad_image_fails_the_cell_all_the_same(data, tmp_path):
    (data.train / "link.png").symlink_to(data.labels / "8.png")
    result = run_cell(Cell("toy", "fs4", 0, 60, tuple(TINY)), data, tmp_path / "runs")

    assert result.state == "failed" and "ingest tried to see what only the scorer may see" in result.error


def test_learning_sees_neither_labels_nor_what_is_held_out_and_only_the_scorer_sees_all(data, tmp_path, monkeypatch):
    seen = {}

    def run(command, *, hidden, log):
        name = command[3]
        seen[name] = set(hidden)
        project = log.parent / "project"
        if name == "init":
            project.mkdir()
        if name == "train":
            for stage in ("pretrain", "train"):
                write_json(project / stage / "record.json", {"summary": {"steps": 1, "seconds": 1}})
        if name == "evaluate":
            raise RunFailed("far enough")

    monkeypatch.setattr(cells, "_run", run)
    assert run_cell(Cell("toy", "fs4", 0, 60), data, tmp_path / "runs").error == "far enough"
    everything = {*data.hidden, *data.held_out}
    learning = dict.fromkeys(("init", "ingest", "pretrain", "train"), everything)
    assert seen == {**learning, "predict": set(data.hidden), "evaluate": set()}


def test_a_floor_is_scored_as_a_trained_model_is(data, tmp_path):
    result = run_cell(Cell("toy", "floor: colour", 0, 0), data, tmp_path / "runs")

    assert result.state == "done", result.error
    assert result.metrics["miou"] == pytest.approx(1.0)
