import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from fs4cli.cli.app import COMMANDS
from fs4cli.project.project import STAGES

ROOT = Path(__file__).parent.parent
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not link.startswith(("http://", "https://", "#")):
            assert (page.parent / link.partition("#")[0]).exists(), link


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md" and page.exists():
            reached.add(page)
            links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
            waiting += [(page.parent / link).resolve() for link in links if not link.startswith("http")]

    assert set(PAGES) <= reached


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    rows = "".join(line for line in (ROOT / "docs" / "dependencies.md").read_text().splitlines() if line[:3] == "| `")

    for requirement in needed:
        name = re.split(r"[<>=~\[ ;]", requirement)[0]
        assert f"`{name}`" in rows, name


def test_commands_in_the_readme_exist():
    typed = {words for _, words, _, _ in COMMANDS} | {"init", "status"}
    used = set(re.findall(r"(?:^|`)fs4 ([a-z]+)", (ROOT / "README.md").read_text(), flags=re.MULTILINE))

    assert used and used <= typed


def test_the_project_folder_shows_every_stage():
    tree = (ROOT / "docs" / "project-folder.md").read_text()

    for stage in STAGES:
        assert f"\n  {stage}/\n" in tree


@needs_make
def test_the_guide_names_what_ci_runs():
    """`make -n test` prints the commands; the guide lists them in the same order."""
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKEOVERRIDES", "VENV")}
    done = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True, env=alone)
    ran = re.findall(r"^\S*/bin/((?:ruff|basedpyright|lint-imports|pytest).*)$", done.stdout, flags=re.MULTILINE)
    guide = (ROOT / "docs" / "contributing.md").read_text()

    assert len(ran) == 5
    assert "\n".join(ran) in guide


@needs_make
def test_make_names_the_version_that_is_needed_when_python_is_too_old(tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "-C", ROOT, f"PYTHON={old}", f"VENV={tmp_path / 'venv'}", "demo"], capture_output=True, text=True
    )

    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / "venv").exists()
