"""A run that was killed, however often, ends as one that was left alone: byte for byte."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from random import Random

import pytest
from launcher import Launcher
from toy_project import CLASSES, draw_folder

from fs4cli.files import hash_file, read_json, read_json_lines
from fs4cli.project.project import Project

STEPS = 12
SETTINGS = {
    "classes": CLASSES,
    "preset": "tiny",
    "model.backbone": "test_resnet",  # a third of a million weights: saved in milliseconds, so it is saved often
    "model.channels": 16,
    "pretrain.batch_size": 4,
    "train.batch_size": 4,
    "pretrain.steps": STEPS,
    "train.steps": STEPS,
    "pretrain.checkpoint_every": 0.001,  # after every step
    "train.checkpoint_every": 0.001,
    "device": "cpu",
}
TRAIN = (
    "train",
    "--images",
    "images",
    *(part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")),
)


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    launcher = Launcher()
    yield launcher
    launcher.close()


@pytest.fixture(scope="module")
def undisturbed(launcher, tmp_path_factory) -> Project:
    """The project of a run that nobody disturbed."""
    folder = draw_folder(tmp_path_factory.mktemp("undisturbed"))
    assert launcher.run(folder, TRAIN) == 0, (folder / "output.txt").read_text()
    return Project(folder / "fs4-project")


def _saved_step(project: Project, stage: str) -> int:
    """Of the newest checkpoint."""
    try:
        saved = json.loads((project.checkpoints(stage) / "manifest.json").read_text())["checkpoints"]
    except FileNotFoundError:
        return 0
    return saved[-1]["step"] if saved else 0


def _later(reached: Callable[[], bool], seconds: float) -> Callable[[], bool]:
    """True some time after `reached` first was."""
    since: list[float] = []

    def until() -> bool:
        if not since and reached():
            since.append(time.monotonic())
        return bool(since) and time.monotonic() - since[0] >= seconds

    return until


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_killed_seven_times_ends_as_one_that_was_left_alone(launcher, undisturbed, tmp_path, seed):
    random = Random(seed)
    project = Project(draw_folder(tmp_path) / "fs4-project")
    moments = []
    for stage in ("pretrain", "train"):
        for step in sorted(random.sample(range(1, STEPS - 3), 3)):
            moments.append((lambda stage=stage, step=step: _saved_step(project, stage) >= step, f"{stage} {step}"))
        if stage == "pretrain":  # and once while pixels are being assigned
            labels = project.stage("train") / "round-1" / "labels.bin"
            moments.append((labels.exists, "round 1"))
    for reached, name in moments:
        code = launcher.run(tmp_path, TRAIN, until=_later(reached, random.uniform(0, 0.03)))
        assert code == -signal.SIGKILL, f"{name}: {(tmp_path / 'output.txt').read_text()}"

    assert launcher.run(tmp_path, TRAIN) == 0, (tmp_path / "output.txt").read_text()

    for path in (project.pretrained, project.model, project.model.with_suffix(".json")):
        assert path.read_bytes() == (undisturbed.root / path.relative_to(project.root)).read_bytes(), path.name
    for level in (1, 2, 4):
        assert hash_file(project.stage("cluster") / f"level-{level}" / "labels.npy") == hash_file(
            undisturbed.stage("cluster") / f"level-{level}" / "labels.npy"
        )
    assert "goes on at step" in (tmp_path / "output.txt").read_text()
    # every step is logged once, with the same losses
    for stage in ("pretrain", "train"):
        rows, expected = (read_json_lines(one.metrics(stage)) for one in (project, undisturbed))
        for row in rows + expected:
            del row["images_per_second"]
        assert rows == expected
        assert len({row["step"] for row in rows}) == len(rows)
        assert rows[-1]["step"] == STEPS


def test_a_run_that_is_asked_to_stop_saves_says_so_and_goes_on(launcher, undisturbed, tmp_path):
    project = Project(draw_folder(tmp_path) / "fs4-project")
    steps = {}
    for stage, number in (("pretrain", signal.SIGTERM), ("train", signal.SIGINT)):
        until = _later(lambda stage=stage: _saved_step(project, stage) >= 2, 0.02)
        assert launcher.run(tmp_path, TRAIN, until=until, number=number) == 128 + number
        steps[stage] = _saved_step(project, stage)
        output = (tmp_path / "output.txt").read_text()
        assert f"{stage} stopped at step {steps[stage]} of {STEPS}; everything up to here is saved" in output
        assert read_json(project.record(stage))["state"] == "running"

    assert launcher.run(tmp_path, TRAIN) == 0
    for stage, step in steps.items():
        assert f"{stage} goes on at step {step} of {STEPS}" in (tmp_path / "output.txt").read_text()
    assert project.model.read_bytes() == undisturbed.model.read_bytes()


def test_a_process_of_its_own_ends_with_143(tmp_path):
    # once without the launcher: the command as it is typed
    draw_folder(tmp_path)
    project = Project(tmp_path / "fs4-project")
    command = [sys.executable, "-m", "fs4cli", *TRAIN, "--set", "pretrain.steps=1000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        until = _later(lambda: _saved_step(project, "pretrain") >= 2, 0.0)
        while not until() and process.poll() is None:
            time.sleep(0.01)
        process.terminate()
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 143, stderr
    assert "everything up to here is saved" in stderr
    assert _saved_step(project, "pretrain") >= 2
