"""The generated pages: `python -m fs4cli.cli.docs [FOLDER]` writes docs/commands.md and docs/settings.md."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from fs4cli.cli.app import app
from fs4cli.cli.help_page import OptionHelp, read_options
from fs4cli.config import USED_BY
from fs4cli.files import write_text
from fs4cli.settings_file.keys import default_text, describe_values, section_names, setting_fields

_NOTE = "<!-- generated: `python -m fs4cli.cli.docs` writes this page from the code -->"
_ALWAYS = {"--help", "--version", "--install-completion", "--show-completion"}


def commands_page() -> str:
    """docs/commands.md: every command with its help, examples and options."""
    root: Any = typer.main.get_command(app)
    context = root.make_context("fs4", [], resilient_parsing=True)
    shared = list(read_options(context))
    lines = [
        "# Commands",
        "",
        _NOTE,
        "",
        "The same text as `fs4 COMMAND --help`. [Settings](settings.md) stand behind many options;"
        " [exit codes](exit-codes.md) say how a command ended.",
        "",
        "## Options of every command",
        "",
        "They may stand before or after the command's name; what stands after it wins.",
        "",
        *_table(shared),
    ]
    names = {option.names for option in shared}
    for name, command, inner in _walk(root, context):
        options = [option for option in read_options(inner) if option.names not in names]
        usage = " ".join([name, "[OPTIONS]", *(option.names for option in options if option.is_argument)])
        first, *blocks = (command.help or "").split("\n\n")
        lines += ["", f"## {name}", "", f"{first}.", "", f"`{usage}`"]
        for block in blocks:
            if block.startswith("Examples:"):
                examples = [line.strip() for line in block.splitlines()[1:]]
                lines += ["", "```sh", *examples, "```"]
            else:
                lines += ["", " ".join(block.split())]
        if options:
            lines += ["", *_table(options)]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """docs/settings.md: every setting with its default, what it takes and what it does."""
    lines = [
        "# Settings",
        "",
        _NOTE,
        "",
        "All settings may be left out. Where one is given in several places, the later of these wins:",
        "",
        "1. the default below; `auto` is planned from the images and the machine, and `plan.json` says why",
        "2. `fs4.yaml` in the project's folder",
        "3. the environment: `FS4__TRAIN__BATCH_SIZE=8`",
        "4. the command line: `--set train.batch_size=8`",
        "5. the option of its own, where a [command](commands.md) has one: `--classes 11`",
        "",
        "`fs4 config show --origin` prints every value and where it came from. An unknown key is refused and the",
        "nearest one named. Lists are written `[1, 2, 4]`, on the command line also `1,2,4`. Paths in `fs4.yaml` start",
        "at its folder, others where the command is typed. The file is plain data: no anchors, tags or variables.",
        "",
        "A changed setting makes the stages that use it stale, unless it is marked with *: those change how a stage",
        "runs, not what it makes.",
        "",
        "## General",
        "",
        "The keys that belong to no section.",
        "",
        *_settings(""),
    ]
    for section, about in section_names().items():
        lines += ["", f"## {section}", "", about, "", *_settings(f"{section}.")]
    return "\n".join(lines) + "\n"


def write_pages(folder: Path) -> list[Path]:
    """Write both pages into a folder and say where."""
    pages = {"commands.md": commands_page(), "settings.md": settings_page()}
    for name, text in pages.items():
        write_text(folder / name, text)
    return [folder / name for name in pages]


def _walk(command: Any, context: Any) -> Iterator[tuple[str, Any, Any]]:
    for name, child in command.commands.items():
        if child.hidden:
            continue
        inner = child.make_context(name, [], parent=context, resilient_parsing=True)
        if hasattr(child, "commands"):
            yield from _walk(child, inner)
        else:
            yield inner.command_path, child, inner


def _table(options: list[OptionHelp]) -> list[str]:
    rows = [
        f"| `{_cell(option.names)}` | {_cell(option.help)} |"
        for option in options
        if option.names.rpartition(", ")[2] not in _ALWAYS
    ]
    return ["| option | what it does |", "|---|---|", *rows]


def _settings(prefix: str) -> list[str]:
    users = {name: [stage for stage, names in USED_BY.items() if name in names] for name in _names()}
    lines = ["| key | default | takes | what it does | used by |", "|---|---|---|---|---|"]
    for key, field in setting_fields().items():
        section, _, _ = key.rpartition(".")
        if (f"{section}." if section else "") != prefix:
            continue
        extra = field.json_schema_extra
        runs_only = isinstance(extra, dict) and extra.get("affects_result") is False
        stages = ", ".join(users[section or key]) or "all"
        cells = [f"`{key}`" + ("*" if runs_only else ""), f"`{default_text(key)}`", describe_values(key)]
        lines.append("| " + " | ".join(_cell(cell) for cell in [*cells, field.description or "", stages]) + " |")
    return lines


def _names() -> set[str]:
    return {key.partition(".")[0] for key in setting_fields()}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    for written in write_pages(Path(sys.argv[1] if len(sys.argv) > 1 else "docs")):
        typer.echo(written)
