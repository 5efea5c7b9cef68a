import errno
import hashlib
import io
import json
import multiprocessing
import os
import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fs4cli.errors import ProjectError, ResourceError
from fs4cli.training.checkpoint import CheckpointFolder


def make_state(value: float) -> dict:
    return {"weights": torch.full((64,), value), "counts": {"skipped": 1}, "names": ["a", "b"], "pair": (0.9, None)}


@pytest.fixture
def saved(tmp_path) -> Path:
    """Steps 100 and 200, which hold 1.0 and 2.0."""
    folder = CheckpointFolder(tmp_path / "checkpoints")
    folder.save(100, make_state(1.0))
    folder.save(200, make_state(2.0))
    return folder.path


def file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def load(folder: Path) -> tuple[int, float, list[str]]:
    """Step, value and warnings."""
    warned: list[str] = []
    found = CheckpointFolder(folder).load_newest(warn=warned.append)
    assert found is not None
    return found[0], found[1]["weights"][0].item(), warned


def test_what_is_saved_comes_back(saved):
    found = CheckpointFolder(saved).load_newest()

    assert found is not None
    step, state = found
    assert step == 200
    assert torch.equal(state.pop("weights"), torch.full((64,), 2.0))
    assert state == {"counts": {"skipped": 1}, "names": ["a", "b"], "pair": (0.9, None)}


def test_an_empty_or_missing_folder_has_no_checkpoint(tmp_path):
    assert CheckpointFolder(tmp_path).load_newest() is None
    assert CheckpointFolder(tmp_path / "missing").load_newest() is None


def test_only_the_last_checkpoints_are_kept(saved):
    CheckpointFolder(saved).save(1200, make_state(3.0))

    assert file_names(saved) == ["manifest.json", "step-0000200.pt", "step-0001200.pt"]
    CheckpointFolder(saved, keep=1).save(1300, make_state(4.0))
    assert file_names(saved) == ["manifest.json", "step-0001300.pt"]
    assert load(saved) == (1300, 4.0, [])


def test_the_manifest_lists_steps_sizes_and_hashes(saved):
    manifest = json.loads((saved / "manifest.json").read_text())

    assert manifest["format"] == 1
    assert [entry["file"] for entry in manifest["checkpoints"]] == ["step-0000100.pt", "step-0000200.pt"]
    for entry in manifest["checkpoints"]:
        assert entry["bytes"] == (saved / entry["file"]).stat().st_size
        assert len(entry["sha256"]) == 64


def test_the_same_state_gives_the_same_bytes_wherever_its_parts_come_from(saved, tmp_path):
    again = CheckpointFolder(tmp_path / "another place")
    again.save(
        100, {"".join(["weig", "hts"]): torch.ones(64), **{k: v for k, v in make_state(0).items() if k[0] != "w"}}
    )

    assert (again.path / "step-0000100.pt").read_bytes() == (saved / "step-0000100.pt").read_bytes()


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def replace_by_the_other(file: Path) -> None:
    shutil.copy(file.with_name("step-0000100.pt"), file)


def replace_by_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES = [
    (truncate, "bytes instead of"),
    (empty, "is empty"),
    (flip_a_bit, "is not what was saved: its sha256 differs"),
    (replace_by_the_other, "is not what was saved: its sha256 differs"),
    (Path.unlink, "is missing"),
    (replace_by_a_folder, "bytes instead of"),
]


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_older_one_used(saved, damage, reason):
    damage(saved / "step-0000200.pt")
    step, value, warned = load(saved)

    assert (step, value) == (100, 1.0)
    assert len(warned) == 1
    assert str(saved / "step-0000200.pt") in warned[0]
    assert reason in warned[0]


@pytest.mark.parametrize(("damage", "reason"), [row for row in DAMAGES if row[0] is not replace_by_the_other])
def test_when_all_are_damaged_the_error_names_each_and_the_way_out(saved, damage, reason):
    for name in ("step-0000100.pt", "step-0000200.pt"):
        damage(saved / name)
    with pytest.raises(ProjectError) as raised:
        CheckpointFolder(saved).load_newest()

    assert raised.value.exit_code == 5
    assert [name in line and reason in line for name, line in zip(
        ("step-0000200.pt", "step-0000100.pt"), raised.value.details, strict=True
    )] == [True, True]  # fmt: skip
    assert any("--fresh" in hint for hint in raised.value.hints)


def test_two_files_with_swapped_names_are_both_refused(saved):
    first, second = saved / "step-0000100.pt", saved / "step-0000200.pt"
    first.rename(saved / "aside")
    second.rename(first)
    (saved / "aside").rename(second)
    with pytest.raises(ProjectError, match="no checkpoint in .* is whole"):
        CheckpointFolder(saved).load_newest()


def test_the_manifest_of_another_run_is_refused(saved, tmp_path):
    other = CheckpointFolder(tmp_path / "other")
    other.save(100, make_state(7.0))
    other.save(200, make_state(8.0))
    shutil.copy(other.path / "manifest.json", saved / "manifest.json")
    with pytest.raises(ProjectError, match="no checkpoint in .* is whole"):
        CheckpointFolder(saved).load_newest()


class Planted:
    def __reduce__(self):
        return os.mkdir, ("planted-by-a-pickle",)


@pytest.mark.parametrize("foreign", ["a pickle that acts", "tensors of something else"])
def test_a_foreign_file_is_refused_even_if_the_manifest_vouches_for_it(saved, foreign, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = saved / "step-0000200.pt"
    if foreign == "a pickle that acts":
        file.write_bytes(pickle.dumps(Planted()))
    else:
        torch.save({"weights": torch.ones(3)}, file)
    manifest = json.loads((saved / "manifest.json").read_text())
    manifest["checkpoints"][1] |= {"bytes": file.stat().st_size, "sha256": _sha256(file)}
    (saved / "manifest.json").write_text(json.dumps(manifest))
    step, _, warned = load(saved)

    assert step == 100
    assert "step-0000200.pt" in warned[0]
    assert not Path("planted-by-a-pickle").exists()


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is damaged"),
        ('{"format": 1, "check', "is damaged"),
        ("[]", "is no list of checkpoints"),
        ('{"format": 1, "checkpoints": [{"file": "step-0000100.pt"}]}', "is no list of checkpoints"),
        (
            '{"format": 1, "checkpoints": [{"file": "../step-0000100.pt", "step": 100, "bytes": 1, "sha256": ""}]}',
            "is no list of checkpoints",
        ),
        ('{"format": 2, "steps": []}', "is of format 2, and this fs4 reads up to 1"),
    ],
)
def test_a_damaged_or_newer_manifest_is_an_error_that_names_it(saved, text, reason):
    (saved / "manifest.json").write_text(text)
    with pytest.raises(ProjectError, match=reason) as raised:
        CheckpointFolder(saved).load_newest()

    assert "manifest.json" in raised.value.message
    assert any("--fresh" in hint for hint in raised.value.hints)


def test_a_missing_manifest_is_not_taken_for_a_new_run(saved):
    (saved / "manifest.json").unlink()
    with pytest.raises(ProjectError) as raised:
        CheckpointFolder(saved).load_newest()

    assert "step-0000100.pt" in raised.value.details[0]
    assert "`manifest.json` is missing" in raised.value.details[0]


def test_a_run_killed_before_its_first_manifest_begins_anew(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path)
    write_manifest = CheckpointFolder._write_manifest
    monkeypatch.setattr(
        CheckpointFolder, "_write_manifest", lambda self, rows: write_manifest(self, rows) if not rows else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        folder.save(100, make_state(1.0))

    assert file_names(tmp_path) == ["manifest.json", "step-0000100.pt"]
    assert folder.load_newest() is None


def test_the_last_good_checkpoint_goes_only_after_the_next_is_listed(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(100, make_state(1.0))
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFolder, "_write_manifest", lambda self, rows: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            folder.save(200, make_state(2.0))

    assert load(tmp_path) == (100, 1.0, [])


def save_for_ever(path: Path, step: int) -> None:
    folder = CheckpointFolder(path)
    while True:
        step += 1
        folder.save(step, {"weights": torch.full((200_000,), float(step))})


def test_a_writer_killed_at_any_moment_leaves_a_folder_that_loads(tmp_path):
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["fs4cli.training.fit", "torch._dynamo"])
    folder = CheckpointFolder(tmp_path)
    folder.save(1, {"weights": torch.full((200_000,), 1.0)})
    step = 1
    for delay in np.random.default_rng(0).uniform(0, 0.05, 6):
        writer = processes.Process(target=save_for_ever, args=(tmp_path, step))
        writer.start()
        while not (tmp_path / f"step-{step + 1:07d}.pt").exists() and folder_step(folder) < step + 1:
            assert writer.is_alive()
        time.sleep(delay)
        writer.kill()
        writer.join()
        before = step
        step, value, warned = load(tmp_path)

        assert (value, warned) == (step, [])
        assert step >= before
        assert len(file_names(tmp_path)) <= 3


def folder_step(folder: CheckpointFolder) -> int:
    """The newest step that is listed."""
    return json.loads((folder.path / "manifest.json").read_text())["checkpoints"][-1]["step"]


def test_what_dead_runs_left_is_removed_and_nothing_else(saved):
    (saved / "step-0000300.pt").write_bytes(b"saved, but not listed before the kill")
    (saved / ".step-0000300.pt.123-abcd.tmp").write_bytes(b"half")
    (saved / ".manifest.json.123-abcd.tmp").write_bytes(b"half")
    (saved / "notes.txt").write_text("mine")
    load(saved)

    assert file_names(saved) == ["manifest.json", "notes.txt", "step-0000100.pt", "step-0000200.pt"]


def test_a_damaged_checkpoint_beyond_the_resumed_step_does_not_come_back(saved):
    flip_a_bit(saved / "step-0000200.pt")
    load(saved)
    CheckpointFolder(saved).save(150, make_state(1.5))

    assert file_names(saved) == ["manifest.json", "step-0000100.pt", "step-0000150.pt"]
    assert load(saved) == (150, 1.5, [])


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_or_locked_disk_is_an_error_and_the_old_checkpoints_stay(saved, monkeypatch, code):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}

    class Full(io.FileIO):
        def write(self, data):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fdopen", Full)
    with pytest.raises(ResourceError, match=r"step-0000300\.pt"):
        CheckpointFolder(saved).save(300, make_state(3.0))
    monkeypatch.undo()

    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_a_state_that_could_not_be_loaded_safely_is_not_saved(saved):
    with pytest.raises(ValueError, match="not ndarray"):
        CheckpointFolder(saved).save(300, {"rows": np.zeros(3)})

    assert load(saved) == (200, 2.0, [])


def test_a_numpy_number_is_saved_as_a_number(saved):
    CheckpointFolder(saved).save(300, make_state(3.0) | {"loss": np.float64(0.5)})
    found = CheckpointFolder(saved).load_newest()

    assert found is not None and type(found[1]["loss"]) is float


def test_strides_of_tensors_survive(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.save(1, {"weight": torch.zeros(4, 3, 2, 2).to(memory_format=torch.channels_last)})
    found = folder.load_newest()

    assert found is not None and found[1]["weight"].is_contiguous(memory_format=torch.channels_last)


def test_keeping_no_checkpoint_is_the_callers_mistake(tmp_path):
    with pytest.raises(ValueError, match="at least 1, not 0"):
        CheckpointFolder(tmp_path, keep=0)
