import os
import pty
import re
import select
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from fs4cli.cli import watch as watch_module
from fs4cli.cli.report import Report, as_plain, wants_color
from fs4cli.cli.signals import SignalWatch
from fs4cli.cli.watch import Watch, duration
from fs4cli.errors import InputError
from fs4cli.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when told to."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(watch_module.time, "monotonic", lambda: now.seconds)
    return now


def make_watch(log=None, style="lines", quiet=False) -> Watch:
    return Watch(Report("train", quiet=quiet), style=style, signals=SignalWatch(), log=log)


def lines_of(text: str) -> list[str]:
    """Lines without the time of day."""
    return [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in text.splitlines()]


def test_it_is_what_stages_report_to():
    assert isinstance(make_watch(), Progress)


def test_a_line_is_written_first_every_30_seconds_and_last(clock, capsys):
    with make_watch().task("train", 100, unit="steps") as task:
        for _ in range(100):
            clock.seconds += 1
            task.advance(loss=0.41234, clusters="25/27")
    lines = lines_of(capsys.readouterr().err)

    assert [line.split()[1] for line in lines] == ["1/100", "31/100", "61/100", "91/100", "100/100"]
    assert lines[1] == "train 31/100 loss 0.412 clusters 25/27 1 steps/s eta 1m 09s"
    assert lines[-1] == "train 100/100 loss 0.412 clusters 25/27 1 steps/s"


def test_a_resumed_stretch_counts_what_was_done_but_not_in_its_speed(clock, capsys):
    with make_watch().task("pretrain", 1000, unit="steps", done=800) as task:
        clock.seconds += 10
        task.advance(100)
    assert lines_of(capsys.readouterr().err) == ["pretrain 900/1000 10 steps/s eta 10s"]


def test_a_stretch_without_a_known_end_counts_on(clock, capsys):
    with make_watch().task("ingest", None, unit="images") as task:
        clock.seconds += 2
        task.advance(500)
    assert lines_of(capsys.readouterr().err) == ["ingest 500 images 250 img/s"]


def test_a_speed_that_the_stage_tells_replaces_ours(clock, capsys):
    with make_watch().task("train", 10, unit="steps") as task:
        clock.seconds += 1
        task.advance(images_per_second=310.4)
    assert lines_of(capsys.readouterr().err) == ["train 1/10 310 img/s eta 9s"]


def test_the_log_gets_the_same_lines(clock, capsys, tmp_path):
    watch = make_watch(tmp_path / "fs4.log")
    watch.say("train: runs")
    watch.warn("one cluster is empty")
    with watch.task("train", 1, unit="steps") as task:
        task.advance()
    shown = capsys.readouterr().err

    assert (tmp_path / "fs4.log").read_text() == shown
    assert shown.startswith("train: runs\nwarning: one cluster is empty\n")


@pytest.mark.parametrize(("style", "quiet"), [("none", False), ("none", True)])
def test_no_progress_still_goes_to_the_log(clock, capsys, tmp_path, style, quiet):
    with make_watch(tmp_path / "fs4.log", style, quiet).task("train", 1, unit="steps") as task:
        task.advance()

    assert capsys.readouterr().err == ""
    assert "train 1/1" in (tmp_path / "fs4.log").read_text()


def test_a_log_that_cannot_be_written_is_one_warning(capsys, tmp_path):
    watch = make_watch(tmp_path / "missing" / "fs4.log")
    watch.say("a")
    watch.say("b")

    assert capsys.readouterr().err.count("warning: no more lines go to") == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (41.4, "41s"),
        (59.6, "1m 00s"),
        (130, "2m 10s"),
        (3600, "1h 00m"),
        (10920, "3h 02m"),
        (187200, "2d 04h"),
    ],
)
def test_times_are_written_as_people_do(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("choice", "variables", "is_terminal", "wanted"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colour_is_for_terminals_and_for_who_asks(monkeypatch, choice, variables, is_terminal, wanted):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert wants_color(choice, is_terminal=is_terminal) is wanted


def test_a_message_has_the_form_of_the_documents_with_and_without_colour(capsys):
    error = InputError("no images in `a`", details=("looked at 2 files",), hints=("do this", "or that"))
    Report("ingest").fail(error)
    plain = capsys.readouterr().err
    Report("ingest", color="always").fail(error)
    colored = capsys.readouterr().err

    assert plain == "error: no images in `a`\n  looked at 2 files\n\nhint: do this\nhint: or that\n"
    assert "\x1b[" in colored and re.sub(r"\x1b\[\d+m", "", colored) == plain


def test_long_paths_are_never_wrapped(capsys):
    path = "/very" * 60
    Report("x").fail(InputError(f"cannot read `{path}`"))

    assert f"error: cannot read `{path}`\n" in capsys.readouterr().err


def test_names_that_are_no_utf8_become_json_text():
    assert as_plain({"name": os.fsdecode(b"caf\xe9")}) == {"name": "caf?"}


def test_a_terminal_gets_one_bar_that_goes_away_and_the_lines_above_it():
    code = (
        "import time\n"
        "from fs4cli.cli.report import Report\n"
        "from fs4cli.cli.signals import SignalWatch\n"
        "from fs4cli.cli.watch import Watch\n"
        "watch = Watch(Report('train'), style='bar', signals=SignalWatch())\n"
        "with watch.task('train', 5, unit='steps') as task:\n"
        "    for _ in range(5):\n"
        "        task.advance(loss=0.5); time.sleep(0.3)\n"
        "    watch.say('saved in ' + '/deep' * 40)\n"
    )
    child, master = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm", COLUMNS="80", NO_COLOR="1")
        os.execv(sys.executable, [sys.executable, "-c", code])
    shown = read_all(master)
    os.waitpid(child, 0)

    assert "train 3/5 loss 0.5" in shown
    assert "mem " in shown
    assert "saved in " + "/deep" * 40 in shown.replace("\r\n", "")


def read_all(master: int) -> str:
    data = b""
    while select.select([master], [], [], 20)[0]:
        try:
            part = os.read(master, 4096)
        except OSError:
            break
        if not part:
            break
        data += part
    os.close(master)
    return data.decode()


def test_no_request_to_save_is_lost_while_it_is_asked_for():
    import signal

    with SignalWatch() as watch:
        for _ in range(300):
            os.kill(os.getpid(), signal.SIGUSR1)
            deadline = time.monotonic() + 20
            while not watch.save_requested():
                assert time.monotonic() < deadline


def test_signals_of_the_host_program_are_put_back():
    import signal

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    with SignalWatch() as watch:
        os.kill(os.getpid(), signal.SIGUSR1)
        deadline = time.monotonic() + 5
        while not watch.save_requested():
            assert time.monotonic() < deadline
        assert not watch.save_requested()

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == before
    assert not any(thread.name == "fs4-signals" for thread in wait_for_threads())


def wait_for_threads() -> list[threading.Thread]:
    for thread in threading.enumerate():
        if thread.name == "fs4-signals":
            thread.join(timeout=5)
    return threading.enumerate()


def test_outside_the_main_thread_signals_are_left_to_the_host_program():
    found = []

    def work() -> None:
        with SignalWatch() as watch:
            found.append(watch.stop_requested())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert found == [None]
