import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WAIT = """
print("begun", file=sys.stderr, flush=True)
for _ in range(200):
    time.sleep(0.05)
    if progress.save_requested():
        print("saved", file=sys.stderr, flush=True)
    if progress.stop_requested():
        raise Interrupted("saved at step 3", signal=progress.stop_requested(), hints=("the same command goes on",))
"""
DEAF = """
print("begun", file=sys.stderr, flush=True)
time.sleep(30)
"""


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stderr is not None
    for found in process.stderr:
        if found.strip() == line:
            return
    raise AssertionError(f"{line!r} was never said")


@pytest.mark.parametrize(
    ("body", "code", "kind"),
    [
        ("raise UsageError('x')", 2, "usage"),
        ("raise ConfigError('x')", 3, "config"),
        ("raise InputError('x')", 4, "input"),
        ("raise ProjectError('x')", 5, "project"),
        ("raise ResourceError('x')", 6, "resources"),
        ("raise MemoryError()", 6, "resources"),
        ("raise OSError(28, 'No space left on device')", 6, "resources"),
        ("raise PermissionError(13, 'Permission denied', str(project.root / 'logs'))", 6, "resources"),
        ("raise OSError(30, 'Read-only file system', '/data')", 6, "resources"),
        ("open(project.root / 'cluster' / 'labels.npy')", 5, "project"),  # a file of the project is gone
        ("open('/nowhere/at/all')", 1, "bug"),
        ("raise type('OutOfMemoryError', (RuntimeError,), {})('CUDA out of memory')", 6, "resources"),
        ("raise LockedError('x')", 7, "locked"),
        ("raise PartialError('x')", 8, "partial"),
        ("raise CheckError('x')", 9, "check"),
        ("raise KeyError('x')", 1, "bug"),
        ("raise Interrupted('x', signal=15)", 143, "interrupted"),
        ("raise KeyboardInterrupt", 130, "interrupted"),
        ("import json; return {'images': 3}", 0, None),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_one_json_object(start_fs4, project, body, code, kind):
    process = start_fs4(body, "ingest", "--json", "-C", project)
    out, err = process.communicate(timeout=30)
    value = json.loads(out)

    assert process.returncode == code
    assert value["ok"] is (code == 0)
    assert (value["error"] or {}).get("code") == (code or None)
    assert (value["error"] or {}).get("kind") == kind
    assert "Traceback" not in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("ignored", [False, True], ids=["foreground", "background"])
def test_a_signal_asks_the_stage_to_save_and_stop(start_fs4, project, number, code, ignored):
    # shells start `fs4 ... &` with SIGINT ignored
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if ignored else None
    try:
        process = start_fs4(WAIT, "ingest", "-C", project)
    finally:
        if ignored:
            signal.signal(signal.SIGINT, before)
    wait_for(process, "begun")
    process.send_signal(number)
    _, err = process.communicate(timeout=10)

    assert process.returncode == code
    assert err.endswith("stopped: saved at step 3\n\nhint: the same command goes on\n")


@pytest.mark.parametrize(("second", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_a_deaf_stage_at_once(start_fs4, project, second, code):
    process = start_fs4(DEAF, "ingest", "-C", project)
    wait_for(process, "begun")
    process.send_signal(signal.SIGINT)
    time.sleep(0.8)
    assert process.poll() is None
    process.send_signal(second)

    assert process.wait(timeout=5) == code
    process.communicate()


def test_one_request_that_arrives_twice_is_one_request(start_fs4, project):
    process = start_fs4(WAIT, "ingest", "-C", project)
    wait_for(process, "begun")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)

    assert process.returncode == 143
    assert "saved at step 3" in err


def test_sigusr1_asks_to_save_and_go_on(start_fs4, project):
    process = start_fs4(WAIT, "ingest", "-C", project)
    wait_for(process, "begun")
    process.send_signal(signal.SIGUSR1)
    wait_for(process, "saved")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)

    assert process.returncode == 130


def test_a_child_that_is_ended_by_its_parent_does_not_stop_the_parent(start_fs4, project):
    body = """
    child = os.fork()
    if child == 0:
        time.sleep(30)
    time.sleep(0.2)
    os.kill(child, signal.SIGINT)
    time.sleep(0.2)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGTERM)
    assert os.waitpid(child, 0)[1] == signal.SIGTERM
    time.sleep(0.2)
    assert progress.stop_requested() is None
    """
    process = start_fs4(body, "ingest", "-C", project)
    _, err = process.communicate(timeout=10)

    assert process.returncode == 0, err


def test_a_killed_run_leaves_the_project_free_and_the_next_one_goes_on(start_fs4, project):
    process = start_fs4(DEAF, "ingest", "-C", project)
    wait_for(process, "begun")
    refused = start_fs4("return 1", "ingest", "-C", project)
    _, err = refused.communicate(timeout=10)
    process.kill()
    process.communicate()
    again = start_fs4("return 1", "ingest", "-C", project)
    again.communicate(timeout=10)

    assert refused.returncode == 7
    assert re.search(rf"pid {process.pid} on \S+ since 20", err)
    assert "command: fs4 ingest -C" in err
    assert again.returncode == 0


def test_a_bug_is_one_line_on_screen_and_a_file_with_the_traceback(start_fs4, project, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "s3cret-value")
    process = start_fs4("secret = 'kept-' + 'out'; raise KeyError('lost')", "ingest", "-C", project)
    out, err = process.communicate(timeout=30)
    [crash] = (project / "logs").glob("crash-*.txt")
    text = crash.read_text()

    assert process.returncode == 1
    assert out == ""
    assert err == f"error: a bug in fs4: KeyError: 'lost'\n\nhint: please report it with `{crash}`\n"
    assert "KeyError: 'lost'" in text and "Traceback" in text and "fs4cli: " in text
    assert "s3cret-value" not in text and "kept-out" not in text
    assert crash.stat().st_mode & 0o077 == 0


def test_a_bug_without_a_project_goes_to_the_temporary_folder(tmp_path):
    code = (
        "import sys, fs4cli.cli.config_show as c\n"
        "def lost(project): raise KeyError('lost')\n"
        "c._planned = lost\n"
        "from fs4cli.cli.app import main; main(['config', 'show'])"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    [crash] = tmp_path.glob("crash-*.txt")

    assert done.returncode == 1
    assert str(crash) in done.stderr


def test_warnings_are_shown_and_kept_for_json(start_fs4, project):
    body = "progress.say('reading'); progress.warn('3 files are odd'); return {'images': 3}"
    process = start_fs4(body, "ingest", "--json", "-C", project)
    out, err = process.communicate(timeout=30)

    assert json.loads(out)["warnings"] == ["3 files are odd"]
    assert json.loads(out)["result"] == {"images": 3}
    assert "reading\nwarning: 3 files are odd\n" in err


def test_quiet_leaves_errors_and_data_only(start_fs4, project):
    process = start_fs4("progress.say('a'); progress.warn('b')", "ingest", "-q", "-C", project)
    out, err = process.communicate(timeout=30)
    failing = start_fs4("progress.say('a'); raise InputError('c')", "ingest", "-q", "-C", project)
    _, failing_err = failing.communicate(timeout=30)

    assert (out, err) == (f"{project / 'ingest' / 'index.jsonl'}\n", "")
    assert failing_err == "error: c\n"


def test_names_that_would_command_the_terminal_are_shown_and_not_obeyed(start_fs4, project):
    body = r"progress.warn('odd: a\x1b[31m.png'); raise InputError('bad `a\x1b[2J\nerror: b\u202e`', hints=('\x07',))"
    _, err = start_fs4(body, "ingest", "-C", project).communicate(timeout=30)
    log = (project / "logs" / "fs4.log").read_text()

    assert "warning: odd: a\\x1b[31m.png\n" in err
    assert "error: bad `a\\x1b[2J\\nerror: b\\u202e`\n\nhint: \\x07\n" in err
    assert "\x1b" not in err + log


def test_results_with_arrays_paths_and_nan_are_json(start_fs4, project):
    body = """
    import dataclasses, pathlib, numpy
    @dataclasses.dataclass(frozen=True)
    class Result:
        path: pathlib.Path
        counts: object
        score: float
        worst: object
        names: tuple
    return Result(pathlib.Path("a"), numpy.arange(3), float("nan"), numpy.float32(0.5), ("x", None))
    """
    process = start_fs4(body, "ingest", "--json", "-C", project)
    out, _ = process.communicate(timeout=30)

    expected = {"path": "a", "counts": [0, 1, 2], "score": None, "worst": 0.5, "names": ["x", None]}
    assert json.loads(out)["result"] == expected


def test_a_closed_stderr_does_not_stop_the_work(start_fs4, project):
    body = "[progress.say('line ' * 1000) for _ in range(100)]; open(project.root / 'end', 'w')"
    process = start_fs4(body, "ingest", "-C", project)
    assert process.stderr is not None and process.stdout is not None
    process.stderr.close()
    code = process.wait(timeout=30)
    process.stdout.close()

    assert code == 0
    assert (project / "end").exists()


def test_the_project_of_settings_is_the_one_of_the_stage(start_fs4, project):
    (project / "fs4.yaml").write_text("images: ./here\nclasses: 5\n")
    body = "return {'images': settings.images, 'handed': images, 'classes': settings.classes, 'root': project.root}"
    process = start_fs4(body, "ingest", "--json", "-C", project)
    value = json.loads(process.communicate(timeout=30)[0])["result"]

    assert value == {
        "images": [str(project / "here")],
        "handed": [str(project / "here")],
        "classes": 5,
        "root": str(Path(project).resolve()),
    }


def test_warnings_of_libraries_go_to_the_log_and_with_v_to_the_screen(start_fs4, project):
    body = "import warnings; warnings.warn('not writable')"
    _, err = start_fs4(body, "ingest", "-C", project).communicate(timeout=30)
    _, told = start_fs4(body, "ingest", "-v", "-C", project).communicate(timeout=30)
    log = (project / "logs" / "fs4.log").read_text()

    assert "not writable" not in err
    assert "UserWarning: not writable (" in told
    assert log.count("UserWarning: not writable (") == 2
