import json
import os
import re
import subprocess
import sys
import time

import pytest

from fs4cli.cli.app import COMMANDS

COMMAND_LINES = [["config", "show"] if typed == "show" else [typed] for _, typed, _, _ in COMMANDS]
KEYS = {"schema", "ok", "command", "result", "warnings", "error"}


def run_fs4(*words: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fs4cli", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, **more
    )


def test_fs4_alone_shows_help_on_stdout_and_is_no_mistake(fs4):
    alone, asked, short = fs4(), fs4("--help"), fs4("-h")

    assert alone.code == asked.code == short.code == 0
    assert alone.out == asked.out == short.out
    assert alone.err == ""
    assert {"init", "train", "predict", "evaluate", "status", "demo"} <= set(alone.out.split())


@pytest.mark.parametrize("words", [[], ["config"], *COMMAND_LINES], ids=" ".join)
def test_help_fits_80_columns_and_begins_with_a_short_line(fs4, words):
    page = fs4(*words, "--help")
    lines = page.out.splitlines()
    first = lines[2]

    assert page.code == 0
    assert lines[0].startswith(f"Usage: {' '.join(['fs4', *words])}")
    assert max(len(line) for line in lines) <= 80
    assert len(first) < 70 and not first.endswith(".")
    assert "\x1b" not in page.out


@pytest.mark.parametrize("words", [[], *COMMAND_LINES], ids=" ".join)
def test_help_has_two_or_three_examples_that_name_the_command(fs4, words):
    page = fs4(*words, "-h").out
    examples = re.findall(r"^  (fs4 .*)$", page.split("Examples:\n")[1].split("\n\n")[0], flags=re.MULTILINE)
    name = "evaluate" if words == ["eval"] else " ".join(words)

    assert 2 <= len(examples) <= 3
    assert all(example.startswith(f"fs4 {name}".strip()) for example in examples)


@pytest.mark.parametrize("words", COMMAND_LINES, ids=" ".join)
def test_help_shows_the_default_and_the_setting_of_options_that_stand_for_one(fs4, words):
    page = " ".join(fs4(*words, "-h").out.split())

    assert "[default: auto; setting: device]" in page
    assert "[default: 0; setting: seed]" in page
    if words == ["train"]:
        assert "[default: 27; setting: classes]" in page
        assert "[default: auto; setting: train.steps]" in page


def test_the_panels_stand_in_the_same_order_on_every_page(fs4):
    order = ["Common:", "Model:", "Hardware:", "Output:", "Advanced:"]
    for words in COMMAND_LINES:
        found = [line for line in fs4(*words, "-h").out.splitlines() if line in order]
        assert found == [panel for panel in order if panel in found]


def test_eval_is_evaluate_and_hidden(fs4):
    assert not re.search(r"^  eval ", fs4("-h").out, flags=re.MULTILINE)
    assert fs4("eval", "-h").out.replace("fs4 eval [", "fs4 evaluate [") == fs4("evaluate", "-h").out


def test_the_version_is_one_line_or_one_object(fs4):
    assert re.fullmatch(r"fs4 \d+\.\d+\.\d+\n", fs4("--version").out)
    for words in (["--version", "--json"], ["--json", "--version"]):
        value = json.loads(fs4(*words).out)
        assert value["schema"] == "fs4.version/1" and value["ok"]
        assert {"fs4", "python", "torch"} <= set(value["result"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "no such command 'trian'. Did you mean 'train'"),
        (["train", "--clases", "3"], "no such option: --clases"),
        (["status", "extra"], "got unexpected extra argument"),
        (["predict"], "missing argument"),
        (["train", "--seed", "many"], "invalid value for"),
        (["--progress", "loud", "status"], "invalid value for"),
        (["config", "sho"], "no such command 'sho'"),
    ],
)
def test_a_mistake_in_the_command_line_is_exit_2_in_our_own_form(fs4, words, message):
    outcome = fs4(*words)

    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith(f"error: {message}")
    assert re.search(r"\n\nhint: `fs4.* --help` shows what it takes\n$", outcome.err)


def test_evaluate_without_labels_says_so_before_it_looks_for_a_project(fs4):
    outcome = fs4("evaluate")

    assert outcome.code == 2
    assert outcome.err.startswith("error: missing option `--labels` or `--dataset`\n")


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (["predict"], 2, "usage"),
        (["trian"], 2, "usage"),
        (["status", "--set", "classes=1", "-C", "p"], 3, "config"),
        (["train", "--images", "nowhere"], 4, "input"),
        (["status", "-C", "nowhere"], 5, "project"),
    ],
)
def test_json_is_one_object_also_on_failure(fs4, project, words, code, kind):
    for line in (["--json", *words], [*words, "--json"]):
        outcome = fs4(*line)
        value = json.loads(outcome.out)

        assert outcome.code == code
        assert set(value) == KEYS
        assert value["ok"] is False and value["result"] is None
        assert set(value["error"]) == {"code", "kind", "message", "details", "hint"}
        assert (value["error"]["code"], value["error"]["kind"]) == (code, kind)
        assert outcome.out.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "command"),
    [(["status"], "status"), (["config", "show"], "config.show"), (["init", "q"], "init"), (["init", "p"], "init")],
)
def test_json_is_one_object_on_success(fs4, project, words, command):
    value = json.loads(fs4(*words, "--json").out)

    assert set(value) == KEYS
    assert value["schema"] == f"fs4.{command}/1" and value["command"] == command
    assert value["ok"] is True and value["error"] is None and value["result"] is not None


@pytest.mark.parametrize(
    "words",
    [["--set", "classes=3", "config", "show"], ["config", "show", "--set", "classes=3"]],
    ids=["before", "after"],
)
def test_shared_options_stand_before_or_after_the_commands_name(fs4, words):
    assert "classes: 3\n" in fs4(*words).out


def test_after_the_name_wins_over_before_it_and_sets_add_up(fs4):
    words = ["--seed", "1", "--set", "classes=3", "--set", "train.crop=32"]
    shown = fs4(*words, "config", "show", "--seed", "2", "--set", "classes=4", "--origin").out

    assert re.search(r"^seed: 2 +# --seed$", shown, flags=re.MULTILINE)
    assert re.search(r"^classes: 4 +# --set$", shown, flags=re.MULTILINE)
    assert re.search(r"^train.crop: 32 +# --set$", shown, flags=re.MULTILINE)


def test_the_option_of_its_own_wins_over_set(fs4):
    shown = fs4("config", "show", "--set", "device=cuda", "--device", "cpu", "--origin").out

    assert re.search(r"^device: cpu +# --device$", shown, flags=re.MULTILINE)


@pytest.mark.parametrize("words", [["--help"], ["status"], ["config", "show"], ["train", "--dry-run"], ["init", "q"]])
def test_commands_that_only_look_import_no_heavy_library(project, words):
    heavy = ("torch", "torchvision", "faiss", "timm", "scipy", "numpy", "PIL", "rich")
    code = (
        "import sys\nfrom fs4cli.cli.app import main\n"
        f"try: main({words!r})\nexcept SystemExit as end: assert not end.code, end.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=project.parent)

    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("words", [["--help"], ["status", "-C", "p"]], ids=["help", "status"])
def test_help_and_status_answer_in_under_0_4_seconds_or_four_times_what_typer_takes_on_a_slow_machine(
    project, words, tmp_path_factory
):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path_factory.getbasetemp() / "compiled")  # as installed: once
    typer, answers = ["-c", "import typer, rich.console, rich.table"], ["-m", "fs4cli", *words]
    needed: list[float] = []
    seconds: list[float] = []
    for _ in range(30):  # a busy machine is not our fault: the quickest counts
        needed.append(_time(typer, environment))
        seconds.append(_time(answers, environment))
        if len(seconds) > 2 and min(seconds) < max(0.4, 4 * min(needed)):
            return
    pytest.fail(f"{min(seconds):.2f} s at best; typer takes {min(needed):.2f}")


def _time(words, environment):
    """Seconds of a Python process, those it computed if it waited for others."""
    before, started = os.times(), time.perf_counter()
    assert subprocess.run([sys.executable, *words], env=environment, capture_output=True).returncode == 0
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return min(used, time.perf_counter() - started)


def test_python_m_fs4cli_is_fs4():
    assert run_fs4("--version").stdout.startswith("fs4 ")


@pytest.mark.parametrize("words", [["--help"], ["config", "show"], ["--version", "--json"], ["--json", "nonsense"]])
def test_a_reader_that_goes_away_gives_141_and_no_traceback(words):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "fs4cli", *words], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)

    assert done.returncode == 141
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_file_names_that_are_no_utf8_are_shown_escaped(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    done = subprocess.run(
        [sys.executable, "-m", "fs4cli", "status", "--json", "-C", name],
        capture_output=True,
        cwd=tmp_path,
        env=os.environ,
    )

    assert done.returncode == 5
    assert b"caf" in done.stderr and b"Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"]["kind"] == "project"


def test_every_class_of_error_has_a_code_of_its_own_from_the_table():
    from fs4cli import errors
    from fs4cli.cli.crash import Crash

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind not in (errors.Fs4Error,)]
    codes = {kind.__name__: kind.exit_code for kind in kinds if kind is not errors.Interrupted}

    assert sorted(codes.values()) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert Crash("x").exit_code == 1
    assert [errors.Interrupted("x", signal=number).exit_code for number in (2, 15)] == [130, 143]


def test_every_command_is_documented_by_its_function():
    for _, _, _, function in COMMANDS:
        assert function.__doc__ and "Examples:" in function.__doc__
