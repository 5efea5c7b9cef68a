"""What a command works with: its project and settings, who watches it, what it says and with which code it ends."""

import os
import re
import shlex
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from fs4cli.cli.crash import explain
from fs4cli.cli.options import PROGRESS_VARIABLE, SharedOptions
from fs4cli.cli.report import OutputClosed, Report
from fs4cli.cli.signals import SignalWatch
from fs4cli.cli.watch import Style, Watch
from fs4cli.config import Settings
from fs4cli.errors import Fs4Error, Interrupted, UsageError
from fs4cli.project.find import FoundProject, find_project, look_for_project
from fs4cli.project.lock import lock_project
from fs4cli.project.project import STAGES, Project
from fs4cli.settings_file import LoadedSettings, load_settings
from fs4cli.settings_file.keys import read_setting, value_text

Options = Mapping[str, tuple[Any, str]]
"""By dotted setting, the value of an option and the option's name; None and empty values count as not given."""
_COMMAND = re.compile(rf"`(fs4 (?:{'|'.join(STAGES)}|status|verify)(?: [^`]*)?)`")
"""A command in a hint that works in a project; `fs4 init` and `fs4 demo` make one of their own."""

CLOSED = 141
"""Exit code when nobody reads stdout any more."""


class Session:
    """One run of one command.

    Args:
        command: Its name.
        shared: The options that all commands share.
    """

    def __init__(self, command: str, shared: SharedOptions):
        self.command = command
        self.shared = shared
        self.report = Report(
            command, as_json=shared.json, quiet=shared.quiet, verbose=shared.verbose, color=shared.color or "auto"
        )
        self._crash_folder: Path | None = None

    def run(self, function: Callable[[], None]) -> int:
        """Run a command's function.

        Returns:
            The exit code; every error is shown by then.
        """
        try:
            try:
                function()
                self.report.close()
                return 0
            except (Fs4Error, OutputClosed, typer.Exit):
                raise
            except (KeyboardInterrupt, typer.Abort):  # Abort: Ctrl-C at a question
                raise Interrupted(f"{self.command} was interrupted", signal=2) from None
            except Exception as error:
                raise explain(error, self._crash_folder) from error
        except OutputClosed:
            return close_output()
        except Fs4Error as error:
            if self.report.verbose:
                self.report.talk("".join(traceback.format_exception(error)).rstrip())
            error.hints = tuple(self._name_project(hint) for hint in error.hints)
            try:
                self.report.fail(error)
            except OutputClosed:
                return close_output()
            return error.exit_code

    def find_project(self) -> Project:
        """The project that the command means.

        Raises:
            ProjectError: There is none, or several.
        """
        return self._use(find_project(self.shared.project, environment=os.environ, folder=Path.cwd()))

    def look_for_project(self, *, is_needed: bool = True) -> Project | None:
        """The project that the command means, or None if there is none.

        Args:
            is_needed: Which one it is decides what happens; else several are as none.

        Raises:
            ProjectError: The named folder is none, or there are several and one is needed.
        """
        found = look_for_project(self.shared.project, environment=os.environ, folder=Path.cwd(), is_needed=is_needed)
        return None if found is None else self._use(found)

    def use_project(self, project: Project) -> Project:
        """Work in a project that was made just now."""
        return self._use(FoundProject(project))

    def load(self, project: Project | None, options: Options | None = None) -> LoadedSettings:
        """The settings with their origins.

        Args:
            project: Whose `fs4.yaml` is read, if any.
            options: Values of the command's own options.
        """
        given: dict[str, tuple[Any, str]] = dict(options or {})
        given["seed"] = (self.shared.seed, "--seed")
        given["device"] = (self.shared.device, "--device")
        given = {key: (value, name) for key, (value, name) in given.items() if value is not None and value != ()}
        path = project.settings_path if project is not None else None
        loaded = load_settings(path, overrides=self.shared.set, options=given)
        if self.report.verbose:
            for key, origin in loaded.origins.items():
                if origin != "default":
                    self.report.say(f"{key}: {value_text(read_setting(loaded.settings, key))} ({origin})")
        return loaded

    def settings(self, project: Project | None, options: Options | None = None) -> Settings:
        """The settings; see `load`."""
        return self.load(project, options).settings

    def suggest(self, command: str) -> str:
        """A command to type next, for the same project."""
        named = self.shared.project
        return f"{command} -C {shlex.quote(str(named))}" if named is not None else command

    @contextmanager
    def writing(self, project: Project) -> Iterator[Watch]:
        """Be the one writer of a project, heed signals, and show progress.

        Raises:
            LockedError: Another run writes.
        """
        style = self._style()
        with lock_project(project, command=("fs4", *sys.argv[1:])) as note, SignalWatch() as signals:

            def note_stage(task: str) -> None:
                word = task.partition(" ")[0]
                note.stage = word if word in STAGES else note.stage

            watch = Watch(
                self.report, style=style, signals=signals, log=_open_log(project, self.command), on_task=note_stage
            )
            with _hear_libraries(watch, shown=self.report.verbose):
                yield watch

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """Heed signals and show progress of work outside any project."""
        style = self._style()
        with SignalWatch() as signals:
            watch = Watch(self.report, style=style, signals=signals)
            with _hear_libraries(watch, shown=self.report.verbose):
                yield watch

    def confirm_removal(self, folders: Sequence[Path], *, agreed: bool) -> None:
        """Name what `--fresh` removes, and ask unless `--yes` was given.

        Args:
            folders: What goes; those that are not there are not named.
            agreed: `--yes` was given.

        Raises:
            UsageError: The answer is no, or nobody can be asked.
        """
        there = [folder for folder in folders if folder.exists()]
        if not there:
            return
        for folder in there:
            self.report.say(f"removes `{folder}` ({_size(folder)})")
        if agreed:
            return
        if not sys.stdin.isatty():
            raise UsageError(
                "`--fresh` removes results, and nobody can be asked here",
                details=tuple(f"`{folder}` ({_size(folder)})" for folder in there) if self.report.quiet else (),
                hints=("add `--yes` if they may go",),
            )
        if not typer.confirm("Go on?", err=True):
            raise UsageError("nothing was removed", hints=("leave out `--fresh` to go on with what is there",))

    def _name_project(self, hint: str) -> str:
        """The hint with this project in the commands that it names."""
        return _COMMAND.sub(lambda command: f"`{self.suggest(command[1])}`", hint)

    def _use(self, found: FoundProject) -> Project:
        if found.is_guess:
            self.report.say(f"project `{found.project.root}`, the only one below the current folder")
        elif self.report.verbose:
            self.report.say(f"project `{found.project.root}`")
        self._crash_folder = found.project.logs
        return found.project

    def _style(self) -> Style:
        choice = self.shared.progress or os.environ.get(PROGRESS_VARIABLE) or "auto"
        if choice not in ("auto", "bar", "lines", "none"):
            raise UsageError(f"{PROGRESS_VARIABLE}=`{choice}` is not auto, bar, lines or none")
        if self.report.quiet:
            return "none"
        if choice == "auto":
            return "bar" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else "lines"
        return choice


def close_output() -> int:
    """Point stdout at nothing, so that Python's own flush at the end cannot fail, and say how to exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass
    return CLOSED


@contextmanager
def _hear_libraries(watch: Watch, *, shown: bool) -> Iterator[None]:
    """Warnings of the libraries below go to the log; they are ours to mend, not the user's."""

    def hear(message: Warning | str, category: type[Warning], path: str, line: int, *more: Any, **named: Any) -> None:
        text = f"{category.__name__}: {' '.join(str(message).split())} ({path}:{line})"
        if shown:
            watch.say(text)
        else:
            watch.note(text)

    with warnings.catch_warnings():
        warnings.showwarning = hear
        yield


def _open_log(project: Project, command: str) -> Path | None:
    path = project.logs / "fs4.log"
    try:
        project.logs.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"--- {datetime.now().astimezone().isoformat(timespec='seconds')} fs4 {command}\n")
    except OSError:
        return None
    return path


def _size(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    word = "file" if len(files) == 1 else "files"
    return f"{len(files)} {word}, {size / 1e6:.1f} MB"
