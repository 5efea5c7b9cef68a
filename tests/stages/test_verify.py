"""`fs4 verify` on a project with every stage done: whatever is damaged is named, and the remedy mends it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from toy_project import Stopping, choose_tiny, draw_folder

from fs4cli.errors import Interrupted
from fs4cli.files import read_json, write_json
from fs4cli.pipeline import train_from_images
from fs4cli.progress import SilentProgress
from fs4cli.project.inspection import Damage
from fs4cli.project.lock import lock_project
from fs4cli.project.project import STAGES, Project
from fs4cli.project.record import read_record, write_record
from fs4cli.project.verify import verify_project
from fs4cli.stages.evaluate import run_evaluate
from fs4cli.stages.ingest import run_ingest
from fs4cli.stages.predict import run_predict

SETTINGS = choose_tiny(model__backbone="test_efficientnet", pretrain__steps=2, train__steps=2, predict__size=32)


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Path:
    """A folder with images and a project that has run every stage."""
    folder = draw_folder(tmp_path_factory.mktemp("whole"), count=6)
    project = Project(folder / "project")
    project.root.mkdir()
    project.settings_path.write_text("classes: 3\n")
    progress, images = SilentProgress(), [str(folder / "images")]
    train_from_images(project, SETTINGS, images=images, progress=progress)
    run_predict(
        images,
        out=None,
        project=project,
        model=None,
        settings=SETTINGS,
        confidence=True,
        overlay=True,
        probabilities=True,
        progress=progress,
    )
    run_evaluate(
        SETTINGS, labels=folder / "labels", images=folder / "images", project=project, progress=SilentProgress()
    )
    return folder


@pytest.fixture
def project(job: Path, tmp_path: Path) -> Project:
    return Project(shutil.copytree(job / "project", tmp_path / "project"))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    status = path.stat()
    path.write_bytes(data)
    # a flipped bit changes neither size nor time: nothing but the bytes tells

    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _damages(project: Project) -> dict[str, Damage]:
    """By the path in the project."""
    found = verify_project(project).damages
    return {str(damage.path.relative_to(project.root)): damage for damage in found}


def test_a_whole_project_is_whole_and_every_stage_was_looked_at(project):
    before = {path: path.stat().st_mtime_ns for path in project.root.rglob("*")}
    found = verify_project(project)

    assert found.damages == ()
    assert found.stages == STAGES
    assert found.bytes > project.model.stat().st_size + project.pretrained.stat().st_size
    assert {path: path.stat().st_mtime_ns for path in project.root.rglob("*")} == before


# every file that a stage or a user reads, but for those that nothing stands on and that have no hash
LATER_READ = [
    "ingest/index.jsonl",
    "ingest/cache/cache.json",
    "ingest/cache/table-*.npy",
    "ingest/cache/shard-000000.bin",
    "ingest/cache/shard-000000.json",
    "pretrain/network.safetensors",
    "pretrain/checkpoints/step-0000002.pt",
    "pretrain/checkpoints/manifest.json",
    "cluster/level-1/labels.npy",
    "cluster/level-2/centroids.npy",
    "train/model.safetensors",
    "train/model.json",
    "train/round-1/labels.bin",
    "train/round-2/expected.npz",
    "train/round-1/round.json",
    "train/checkpoints/manifest.json",
    "predict/masks/03.png",
    "predict/overlays/03.jpg",
    "predict/confidence/02.png",
    "predict/probabilities/01.npz",
    "predict/classes.json",
    "predict/predictions.jsonl",
    "evaluate/report.json",
    "evaluate/confusion.npy",
    "plan.json",
    *(f"{stage}/record.json" for stage in STAGES),
]


@pytest.mark.parametrize("damage", [_cut, _empty], ids=lambda damage: damage.__name__[1:])
@pytest.mark.parametrize("name", LATER_READ)
def test_a_cut_file_is_named_with_a_remedy(project, name, damage):
    [path] = project.root.glob(name)
    damage(path)
    found = verify_project(project).damages

    assert [one for one in found if one.path == path or one.path == path.with_suffix(".bin")], found
    assert all(one.remedy and one.problem for one in found)


@pytest.mark.parametrize(
    "name", [name for name in LATER_READ if name.endswith((".bin", ".npy", ".npz", "tensors", ".png"))]
)
def test_one_flipped_bit_is_found_though_size_and_time_are_as_before(project, name):
    [path] = project.root.glob(name)
    _flip(path)

    assert verify_project(project).damages


@pytest.mark.parametrize("name", [name for name in LATER_READ if "record" not in name and "plan" not in name])
def test_a_missing_file_is_named(project, name):
    [path] = project.root.glob(name)
    path.unlink()
    found = verify_project(project).damages
    if name == "train/round-1/round.json":  # rounds of a finished training may be deleted
        assert found == ()
    else:
        assert "is missing" in " ".join(one.problem for one in found)
        assert path.name in " ".join(f"{one.path} {one.problem}" for one in found)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("ingest/cache/shard-000000.bin", _flip),
        ("ingest/cache/cache.json", _cut),
        ("ingest/index.jsonl", _empty),
        ("ingest/cache/table-*.npy", _flip),
    ],
)
def test_what_it_says_about_the_cache_and_the_index_mends_them(project, job, name, damage):
    [path] = project.root.glob(name)
    damage(path)
    [found] = verify_project(project).damages
    assert found.remedy.startswith("delete it and run `fs4 ingest`")

    found.path.unlink()
    run_ingest(project, SETTINGS, images=[str(job / "images")], progress=SilentProgress())

    assert verify_project(project).damages == ()


def test_masks_that_are_damaged_are_made_again(project, job):
    path = project.stage("predict") / "masks" / "03.png"
    before = path.read_bytes()
    _cut(path)
    [found] = verify_project(project).damages
    assert (found.path, found.remedy) == (path, "delete it if it is there; the same `fs4 predict` makes it again")

    path.unlink()
    run_predict(
        [str(job / "images")],
        out=None,
        project=project,
        model=None,
        settings=SETTINGS,
        confidence=True,
        overlay=True,
        probabilities=True,
        progress=SilentProgress(),
    )

    assert verify_project(project).damages == ()
    assert path.read_bytes() == before


def test_checkpoints_of_a_finished_stage_may_go_and_a_damaged_one_says_so(project):
    newest = project.checkpoints("train") / "step-0000002.pt"
    _flip(newest)
    [found] = verify_project(project).damages
    assert found.problem == "is not what was saved: its sha256 differs"
    assert found.remedy == f"delete `{newest.parent}`: train is done, and checkpoints serve only to go on"

    shutil.rmtree(newest.parent)

    assert verify_project(project).damages == ()


def test_a_damaged_checkpoint_of_a_stopped_stage_tells_from_where_it_goes_on(tmp_path):
    folder = draw_folder(tmp_path, count=4)
    project = Project(folder / "project")
    settings = choose_tiny(
        model__backbone="test_efficientnet", pretrain__steps=6, pretrain__checkpoint_every=1e-4, pretrain__batch_size=2
    )
    with pytest.raises(Interrupted):
        train_from_images(project, settings, images=[str(folder / "images")], progress=Stopping("pretrain", 3))
    assert verify_project(project).damages == ()

    older, newest = sorted(project.checkpoints("pretrain").glob("step-*.pt"))
    _cut(newest)
    [found] = verify_project(project).damages
    assert (found.path, found.problem.split(" instead")[0]) == (newest, f"has {newest.stat().st_size} bytes")
    assert found.remedy == f"nothing: `fs4 pretrain` goes on from step {int(older.stem[5:])}"

    _empty(older)
    assert [one.problem for one in verify_project(project).damages][0] == "is empty"
    assert all("fs4 pretrain --fresh" in one.remedy for one in verify_project(project).damages)


def test_a_model_of_another_training_is_found(project):
    shutil.copy(project.pretrained, project.model)
    found = _damages(project)

    assert found["train/model.safetensors"].problem == "is not what was saved: its sha256 differs"
    assert "fs4 train --fresh" in found["train/model.safetensors"].remedy


def test_a_card_that_was_edited_is_found(project):
    path = project.model.with_suffix(".json")
    write_json(path, {**read_json(path), "channels": 17})

    assert "does not say what the card in the model says" in _damages(project)["train/model.json"].problem


def test_an_index_and_a_cache_of_other_images_are_found(project, tmp_path):
    other = draw_folder(tmp_path / "other", count=3)
    elsewhere = Project(tmp_path / "elsewhere")
    run_ingest(elsewhere, SETTINGS, images=[str(other / "images")], progress=SilentProgress())
    shutil.copy(elsewhere.index, project.index)

    assert "the images that ingest recorded" in _damages(project)["ingest/index.jsonl"].problem

    shutil.copytree(elsewhere.cache, project.cache, dirs_exist_ok=True)
    assert verify_project(project).damages


def test_a_step_that_is_logged_twice_is_found(project):
    path = project.metrics("train")
    path.write_text(path.read_text() * 2)

    assert "every step once" in _damages(project)["train/metrics.jsonl"].problem


def test_a_record_whose_fingerprint_was_changed_is_found(project):
    record = read_record(project, "cluster")
    assert record is not None
    write_record(project, replace(record, fingerprint="0" * 64))

    assert "fingerprint" in _damages(project)["cluster/record.json"].problem


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("values", [{"outputs": {"model": 3}}, {"settings": [], "outputs": {"x": 1}}, {"outputs": []}])
def test_a_record_of_other_kinds_is_a_damage_and_no_crash(project, stage, values):
    path = project.record(stage)
    path.write_text(json.dumps({**read_json(path), **values}))

    assert verify_project(project).damages


def test_what_a_running_command_writes_is_passed_over_and_named(project):
    record = read_record(project, "train")
    assert record is not None
    write_record(project, replace(record, state="running"))
    _flip(project.checkpoints("train") / "step-0000002.pt")
    with lock_project(project, command=("fs4", "train")):
        found = verify_project(project)

    assert found.damages == ()
    assert found.passed_over == ("train",)
    assert verify_project(project).damages


def _fs4(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", "fs4cli", "verify", "-C", str(project.root), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_command_names_damage_and_remedy_with_exit_code_nine_and_imports_no_torch(project):
    whole = _fs4(project)
    assert whole.returncode == 0
    assert whole.stdout.startswith("whole: ")
    assert "| torch" not in whole.stderr

    _flip(project.model)
    damaged = _fs4(project, "--json")
    answer = json.loads(damaged.stdout)
    assert damaged.returncode == answer["error"]["code"] == 9
    [row] = answer["result"]["damages"]
    assert (row["stage"], row["path"]) == ("train", str(project.model))
    assert row["remedy"] == "restore it from a copy, or run `fs4 train --fresh`"
    assert _fs4(project).stdout.splitlines()[:2] == [
        f"train     `{project.model}` is not what was saved: its sha256 differs",
        "          remedy: restore it from a copy, or run `fs4 train --fresh`",
    ]


def test_settings_that_cannot_be_used_are_named_like_every_other_damage(project, monkeypatch):
    project.settings_path.write_text("classes: 3\ntrain:\n  lerning_rate: 1\n")
    answer = json.loads(_fs4(project, "--json").stdout)

    [row] = answer["result"]["damages"]
    assert row["stage"] == "settings" and "did you mean `train.learning_rate`? (fs4.yaml line 3)" in row["problem"]
