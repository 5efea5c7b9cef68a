"""Help as plain text, 80 columns, options in panels; drawn here because importing Rich's Markdown takes too long."""

import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from fs4cli.cli.report import wants_color, write_out

WIDTH = 80
COMMON, MODEL, HARDWARE, OUTPUT, ADVANCED = "Common", "Model", "Hardware", "Output", "Advanced"
PANELS = (COMMON, MODEL, HARDWARE, OUTPUT, ADVANCED)
"""The panels of every help page, in this order."""
_LONGEST_NAME = 26


@dataclass(frozen=True)
class OptionHelp:
    """One option or argument of a command.

    Args:
        names: As typed, with what it takes: "-o, --out OUT".
        help: What it does, with its default and its setting in brackets.
        panel: Under which heading it stands.
        is_argument: It has no name on the command line.
    """

    names: str
    help: str
    panel: str
    is_argument: bool


# contexts are `Any` here: what Typer hands out is no `typer.Context`
def show_help(context: Any, value: bool) -> None:
    """The callback of `--help`: write the page to stdout and leave."""
    if value:
        write_out(help_text(context) + "\n")
        raise typer.Exit()


def help_text(context: Any) -> str:
    """The help page of the context's command, without a final newline."""
    command: Any = context.command
    options = list(read_options(context))
    arguments = [option.names for option in options if option.is_argument]
    groups = _commands_by_panel(command)
    tail = ["COMMAND [ARGS]..."] if groups else arguments
    lines = [" ".join([f"Usage: {context.command_path} [OPTIONS]", *tail]), ""]
    for block in (command.help or "").strip().split("\n\n"):
        kept = block.startswith(("Examples:", " "))
        lines += [*(block.splitlines() if kept else textwrap.wrap(" ".join(block.split()), WIDTH)), ""]
    for panel, rows in groups.items():
        lines += [_heading(f"{panel}:"), *_table(rows), ""]
    for panel in PANELS:
        rows = [(option.names, option.help) for option in options if option.panel == panel]
        if rows:
            lines += [_heading(f"{panel}:"), *_table(rows), ""]
    return "\n".join(lines).rstrip("\n")


def read_options(context: Any) -> Iterator[OptionHelp]:
    """The options and arguments of the context's command, in the order of their panels."""
    command: Any = context.command
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        panel = getattr(parameter, "rich_help_panel", None) or ADVANCED
        if parameter.param_type_name == "argument":
            names = parameter.metavar or parameter.name.upper()
            yield OptionHelp(names, parameter.help or "", panel, True)
            continue
        short_first = sorted(parameter.opts, key=lambda name: name.startswith("--"))
        names = ", ".join([*short_first, *parameter.secondary_opts])
        takes = "" if parameter.is_flag else parameter.metavar or parameter.display_type(context).strip("<>").upper()
        yield OptionHelp(f"{names} {takes}".strip(), parameter.help or "", panel, False)


def _commands_by_panel(command: Any) -> dict[str, list[tuple[str, str]]]:
    panels: dict[str, list[tuple[str, str]]] = {}
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            first = (child.help or "").strip().split("\n")[0]
            panels.setdefault(child.rich_help_panel or "Commands", []).append((name, first))
    return panels


def _table(rows: list[tuple[str, str]]) -> list[str]:
    column = min(_LONGEST_NAME, max(len(names) for names, _ in rows)) + 4
    lines = []
    for names, text in rows:
        wrapped = textwrap.wrap(text, WIDTH - column, break_on_hyphens=False) or [""]
        head = f"  {names}"
        if len(head) + 2 > column:
            lines.append(head)
            head = ""
        lines.append(f"{head:<{column}}{wrapped[0]}".rstrip())
        lines += [f"{'':<{column}}{more}" for more in wrapped[1:]]
    return lines


def _heading(text: str) -> str:
    return typer.style(text, bold=True) if wants_color("auto", is_terminal=sys.stdout.isatty()) else text
