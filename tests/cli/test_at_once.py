"""Several commands on one project at once: one writes, all others read, and none waits for it or spoils it."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent.parent / "golden" / "format-1"
_HOLDER = """
import sys
from pathlib import Path
from fs4cli.project.lock import lock_project
from fs4cli.project.project import Project
with lock_project(Project(Path(sys.argv[1])), command=("fs4", "train", "--images", "a b")) as note:
    note.stage = "train"
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def job(tmp_path) -> Path:
    """`images/`, `labels/` and a project `done/` in which another process writes just now."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "job"))


@pytest.fixture
def writer(job) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _HOLDER, str(job / "done")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        yield holder
        assert holder.stdin is not None
        holder.stdin.close()
        assert holder.wait(timeout=120) == 0


def _hashes(folder: Path) -> dict[Path, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and ".fs4" not in path.parts]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_while_one_writes_others_look_segment_and_score_and_change_nothing(fs4, job, writer):
    project, before = job / "done", _hashes(job / "done")
    places = ("--images", job / "images", "--labels", job / "labels")

    status = fs4("status", "--json", "-C", project)
    assert status.code == 0
    assert json.loads(status.out)["result"]["is_running"] is True
    assert f"running: pid {writer.pid} on " in fs4("status", "-C", project).out
    assert fs4("config", "show", "-C", project).code == 0
    assert fs4("predict", job / "images", "-o", job / "masks", "-C", project).code == 0
    assert len(list((job / "masks").glob("*.png"))) == 4
    scored = fs4("evaluate", *places, "-C", project, "-o", job / "report")
    assert scored.code == 0, scored.err

    assert _hashes(project) == before


@pytest.mark.parametrize("words", [["ingest", "--images", "images"], ["cluster"], ["train"], ["predict", "images"]])
def test_while_one_writes_a_second_writer_is_told_who_and_changes_nothing(fs4, job, writer, monkeypatch, words):
    monkeypatch.chdir(job)
    before = _hashes(job / "done")
    refused = fs4(*words, "-C", job / "done")

    assert refused.code == 7
    assert f"pid {writer.pid} on " in refused.err and " since 20" in refused.err
    assert "command: fs4 train --images 'a b'" in refused.err
    assert f"kill {writer.pid}" in refused.err
    assert _hashes(job / "done") == before


def test_two_predicts_at_once_to_two_places_make_the_same_masks(job, tmp_path):
    command = [sys.executable, "-m", "fs4cli", "predict", str(job / "images"), "-C", str(job / "done"), "-o"]
    runs = [subprocess.Popen([*command, str(tmp_path / name)], stderr=subprocess.PIPE, text=True) for name in "ab"]
    for run in runs:
        _, err = run.communicate(timeout=250)
        assert run.returncode == 0, err
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / name).glob("*.png")} for name in "ab")

    assert len(first) == 4
    assert first == second
