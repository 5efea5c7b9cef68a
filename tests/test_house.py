"""The picture of the house in docs/house.md; `python tests/test_house.py` draws its tree anew from the code."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "house.md"
MARKS = ("<!-- tree -->\n```\n", "```\n<!-- end of tree -->")
WIDTH = 100


def test_the_tree_shows_every_file_and_what_it_says_of_itself():
    assert _tree_in(PAGE.read_text()) == draw_tree(), "run `make docs`"


def test_every_file_says_what_it_is():
    assert [path for path in _modules() if not _first_sentence(path)] == []


def test_the_floors_are_those_that_are_checked():
    shown = re.search(r"<!-- floors -->\n```\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)

    assert shown is not None
    assert [re.split(r" {2,}", line)[0] for line in shown[1].splitlines()] == _floors()


def draw_tree() -> str:
    """The packages from the top floor to the ground, each file with the first sentence of its docstring."""
    lines = ["fs4cli/"]
    package = ROOT / "fs4cli"
    modules = _modules()
    lines += [_line(path, indent=1) for path in modules if path.parent == package]
    names = [name for floor in _floors() for name in floor.split(" | ")]
    folders = {path.parent.relative_to(package) for path in modules if path.parent != package}
    for folder in sorted(folders, key=lambda folder: (names.index(folder.parts[0]), folder.parts)):
        depth = len(folder.parts)
        lines.append(f"{'  ' * depth}{folder.name}/")
        lines += [_line(path, indent=depth + 1) for path in modules if path.parent == package / folder]
    return "\n".join(lines) + "\n"


def _floors() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [contract] = [each for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers"]
    return [layer.replace("fs4cli.", "") for layer in contract["layers"]]


def _modules() -> list[Path]:
    return sorted((ROOT / "fs4cli").rglob("*.py"))


def _line(path: Path, *, indent: int) -> str:
    name = "  " * indent + path.name
    words = _first_sentence(path)
    if len(words) > WIDTH:
        words = words[: WIDTH - 3].rsplit(" ", 1)[0] + " ..."
    return f"{name:<27} {words}"


def _first_sentence(path: Path) -> str:
    text = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=\w)[.;] ", text.rstrip(".:"))[0]


def _tree_in(page: str) -> str:
    return page.partition(MARKS[0])[2].partition(MARKS[1])[0]


if __name__ == "__main__":
    text = PAGE.read_text()
    if MARKS[0] not in text:
        sys.exit(f"{PAGE} has no place for the tree")
    PAGE.write_text(text.replace(MARKS[0] + _tree_in(text) + MARKS[1], MARKS[0] + draw_tree() + MARKS[1]))
