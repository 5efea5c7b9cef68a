"""Run `fs4` in this process, or in another one with stages that are replaced by a few lines."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fs4cli.cli.app import main

_VARIABLES = ("FS4_PROJECT", "FS4_PROGRESS", "NO_COLOR", "FORCE_COLOR", "TERM")


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def quiet_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test starts in an empty folder, with none of fs4's variables set."""
    for name in [*_VARIABLES, *(name for name in os.environ if name.startswith("FS4__"))]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fs4(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`fs4("status", "--json")` in this process."""

    def run(*words: str | Path) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def start_fs4(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """`start_fs4(body, "ingest")`: fs4 in a process of its own, where `run_ingest(progress)` is `body`."""

    def start(body: str, *words: str | Path, **more) -> subprocess.Popen[str]:
        driver = tmp_path.parent / f"{tmp_path.name}-driver.py"
        driver.write_text(
            "import sys, types, time, os, signal\n"
            "from fs4cli.errors import *\n"
            "stage = types.ModuleType('fs4cli.stages.ingest')\n"
            "def run_ingest(project, settings, *, images=(), progress, fresh=False):\n"
            + textwrap.indent(textwrap.dedent(body).strip(), "    ")
            + "\nstage.run_ingest = run_ingest\n"
            "sys.modules['fs4cli.stages.ingest'] = stage\n"
            "from fs4cli.cli.app import main\n"
            "main(sys.argv[1:])\n"
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FS4_")}
        arguments = [sys.executable, str(driver), *map(str, words)]
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(arguments, env=environment, **{**options, **more})

    return start


@pytest.fixture
def project(fs4: Callable[..., Outcome], tmp_path: Path) -> Path:
    """A project `p` below the current folder, made by `fs4 init`."""
    assert fs4("init", "p").code == 0
    return tmp_path / "p"
