import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fs4cli.errors import Interrupted, LockedError, ProjectError, ResourceError
from fs4cli.project.lock import is_locked, lock_project, read_run
from fs4cli.project.project import Project

HOLDER = """
import sys, time
from pathlib import Path
from fs4cli.project.lock import lock_project
from fs4cli.project.project import Project
with lock_project(Project(Path(sys.argv[1])), command=("fs4", "train", "--images", "a b")):
    print("held", flush=True)
    {body}
"""


def start_holder(folder: Path, body: str = "time.sleep(60)") -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(body=body), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    return holder


def stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    holder = start_holder(tmp_path)
    try:
        with pytest.raises(LockedError) as caught, lock_project(Project(tmp_path), command=("fs4", "train")):
            pass
    finally:
        stop(holder)
    text = " ".join(caught.value.details)

    assert caught.value.exit_code == 7
    assert f"pid {holder.pid} on {os.uname().nodename} since 20" in text
    assert "command: fs4 train --images 'a b'" in text


def test_a_killed_writer_leaves_no_lock(tmp_path):
    holder = start_holder(tmp_path)
    assert is_locked(Project(tmp_path))
    stop(holder)

    assert not is_locked(Project(tmp_path))
    with lock_project(Project(tmp_path), command=("fs4", "train")):
        assert read_run(Project(tmp_path)).pid == os.getpid()


def test_a_child_that_outlives_its_killed_parent_holds_no_lock(tmp_path):
    body = "import os; child = os.fork(); print(child, flush=True) if child else None; time.sleep(60)"
    holder = start_holder(tmp_path, body)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    stop(holder)
    try:
        os.kill(child, 0)  # it lives
        with lock_project(Project(tmp_path), command=("fs4", "train")):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_asking_whether_the_lock_is_held_never_stops_a_writer(tmp_path):
    project = Project(tmp_path)
    with lock_project(project, command=("fs4", "ingest")):
        pass
    reader = (
        "import sys, time; from pathlib import Path; from fs4cli.project.lock import is_locked;"
        "from fs4cli.project.project import Project; p = Project(Path(sys.argv[1])); print('go', flush=True)\n"
        "while True: is_locked(p)"
    )
    asking = subprocess.Popen([sys.executable, "-c", reader, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert asking.stdout is not None and asking.stdout.readline() == "go\n"
        for _ in range(50):
            with lock_project(project, command=("fs4", "ingest")):
                pass
    finally:
        stop(asking)


def test_a_project_that_nobody_wrote_in_is_not_locked_and_stays_untouched(tmp_path):
    assert not is_locked(Project(tmp_path))
    assert read_run(Project(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("linked", ["lock", "folder"])
def test_a_link_in_the_locks_place_is_refused(tmp_path, linked):
    project, elsewhere = Project(tmp_path / "p"), tmp_path / "elsewhere"
    project.root.mkdir()
    elsewhere.mkdir()
    if linked == "folder":
        project.lock_path.parent.symlink_to(elsewhere)
    else:
        project.lock_path.parent.mkdir()
        project.lock_path.symlink_to(elsewhere / "victim")
    with pytest.raises(ProjectError, match="is a link"), lock_project(project, command=("fs4", "train")):
        pass

    assert list(elsewhere.iterdir()) == []
    assert not is_locked(project)


@pytest.mark.parametrize(
    ("error", "outcome", "message"),
    [
        (None, "done", ""),
        (Interrupted("saved at step 3", signal=2), "interrupted", ""),
        (KeyboardInterrupt(), "interrupted", ""),
        (ResourceError("disk full"), "failed", "disk full"),
        (KeyError("lost"), "failed", "KeyError: 'lost'"),
    ],
)
def test_the_note_says_how_the_last_run_ended(tmp_path, error, outcome, message):
    project = Project(tmp_path)
    try:
        with lock_project(project, command=("fs4", "train")) as note:
            note.stage = "pretrain"
            if error is not None:
                raise error
    except BaseException as raised:
        assert raised is error
    run = read_run(project)

    assert run is not None and (run.outcome, run.message) == (outcome, message)
    assert run.stage == ("" if error is None else "pretrain")
    assert run.since <= run.ended


def test_a_killed_run_has_no_outcome(tmp_path):
    holder = start_holder(tmp_path)
    stop(holder)
    run = read_run(Project(tmp_path))

    assert run is not None and (run.pid, run.ended, run.outcome) == (holder.pid, "", "")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', json.dumps({"pid": 1, "who": 2})])
def test_a_damaged_note_is_no_error(tmp_path, text):
    project = Project(tmp_path)
    project.lock_path.parent.mkdir()
    project.lock_path.with_name("run.json").write_text(text)

    assert read_run(project) is None


def test_a_writer_that_ends_soon_is_waited_for(tmp_path):
    holder = start_holder(tmp_path, "time.sleep(0.2)")
    with lock_project(Project(tmp_path), command=("fs4", "status")):
        pass
    stop(holder)
