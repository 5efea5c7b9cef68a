"""What a command says: data on stdout, talk on stderr, or one JSON object with `--json`.

Messages have the form of docs/exit-codes.md: `error: ...`, facts below it, then hints that can be pasted. Nothing is
wrapped, so that paths stay whole.
"""

import dataclasses
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import typer

from fs4cli.data.sources import show_path
from fs4cli.errors import Fs4Error

Color = Literal["auto", "always", "never"]


class OutputClosed(Exception):
    """Whoever read stdout has gone away."""


def wants_color(choice: Color, *, is_terminal: bool) -> bool:
    """Is colour wanted on a stream? Off for NO_COLOR, TERM=dumb and what is no terminal, unless `choice` says so."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and is_terminal


def show_lines(text: str) -> str:
    """Text for a terminal or a log: names from files may hold control characters, which must not command it."""
    return "\n".join(show_path(line) for line in text.split("\n"))


def write_out(text: str) -> None:
    """Data to stdout.

    Raises:
        OutputClosed: Nobody reads it any more.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise OutputClosed from None


class Report:
    """Everything one command says.

    Args:
        command: Its name, for `--json`.
        as_json: One JSON object on stdout instead of paths and tables.
        quiet: On stderr errors only.
        verbose: On stderr more than usual.
        color: As given with `--color`.
    """

    def __init__(
        self, command: str, *, as_json: bool = False, quiet: bool = False, verbose: bool = False, color: Color = "auto"
    ):
        self.command = command
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self.color = wants_color(color, is_terminal=sys.stderr.isatty())
        self.warnings: list[str] = []
        self._result: Any = None
        self._closed = False

    def say(self, message: str) -> None:
        """One line of talk."""
        if not self.quiet:
            self.talk(show_lines(message))

    def warn(self, message: str) -> None:
        """One line about something that should be looked at; also kept for `--json`."""
        self.warnings.append(message)
        if not self.quiet:
            self.talk(self._styled("warning:", "yellow") + f" {show_path(message)}")

    def fail(self, error: Fs4Error) -> None:
        """Show an error; with `--json` it goes into the object too."""
        name = "stopped" if error.kind == "interrupted" else "error"
        self.talk(self._styled(f"{name}:", "red") + f" {show_path(error.message)}")
        for line in error.details:
            self.talk(f"  {show_path(line)}")
        if error.hints:
            self.talk("")
        for hint in error.hints:
            self.talk(self._styled("hint:", "cyan") + f" {show_path(hint)}")
        if self.as_json:
            self._write_json(ok=False, error=error)

    def show(self, result: Any = None, *, paths: Sequence[Path] = (), next_command: str | None = None) -> None:
        """The end of a command that went well: what was made, and what to type next.

        Args:
            result: Shown with `--json`: a dataclass, mapping or list.
            paths: What was made; one a line on stdout without `--json`.
            next_command: Shown on stderr.
        """
        if self.as_json:
            self._result = result
        else:
            for path in paths:
                self.write(f"{path}\n")
        if next_command:
            self._tell_next(next_command)

    def _tell_next(self, command: str) -> None:
        if not self.quiet:
            self.talk(self._styled("next:", "green") + f" {show_path(command)}")

    def close(self) -> None:
        """Write the JSON object of a command that went well, if `--json` wants one."""
        if self.as_json:
            self._write_json(ok=True, error=None)

    def write(self, text: str) -> None:
        """Data to stdout.

        Raises:
            OutputClosed: Nobody reads it any more.
        """
        write_out(text)

    def write_bytes(self, data: bytes) -> None:
        """Binary data to stdout.

        Raises:
            OutputClosed: Nobody reads it any more.
        """
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise OutputClosed from None

    def talk(self, line: str) -> None:
        """A line to stderr as it stands; a closed stderr does not stop the work."""
        if self._closed:
            return
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except (BrokenPipeError, ValueError):
            self._closed = True

    def _write_json(self, *, ok: bool, error: Fs4Error | None) -> None:
        failure = None
        if error is not None:
            failure = {
                "code": error.exit_code,
                "kind": error.kind,
                "message": error.message,
                "details": list(error.details),
                "hint": "\n".join(error.hints) or None,
            }
        value = {
            "schema": f"fs4.{self.command}/1",
            "ok": ok,
            "command": self.command,
            "result": as_plain(self._result),
            "warnings": self.warnings,
            "error": failure,
        }
        self.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")

    def _styled(self, text: str, color: str) -> str:
        return typer.style(text, fg=color, bold=True) if self.color else text


def as_plain(value: Any) -> Any:
    """A result as JSON can hold it: dataclasses as objects, paths as text, NaN as null, arrays as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_plain(item) for item in value]
    if isinstance(value, bool | int | str) or value is None:
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    to_list = getattr(value, "tolist", None)  # a numpy or torch array or scalar
    if callable(to_list):
        return as_plain(to_list())
    return as_plain(str(value))
