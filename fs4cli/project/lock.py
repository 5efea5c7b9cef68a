"""One writer at a time: a kernel lock that dies with its process, and a note of who holds it.

The lock is `.fs4/lock`; `.fs4/run.json` beside it says who writes, or who wrote last and how that ended. Readers ask
neither. The note is for messages only: it may be older than the lock, never the other way round.
"""

import os
import shlex
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import filelock

from fs4cli.errors import Fs4Error, LockedError, ProjectError, ResourceError
from fs4cli.files import build_row, explain_os_errors, read_json, write_json
from fs4cli.project.project import Project

_PATIENCE = 0.5  # seconds: a status that looks whether the lock is held takes it for an instant


@dataclass(frozen=True)
class Run:
    """Who writes in the project, or who wrote last.

    Args:
        pid: Of its process.
        host: The machine it runs on.
        since: When it began, ISO 8601 with the time zone.
        command: As it was typed.
        ended: When it ended; empty while it runs, or if it was killed.
        outcome: "done", "interrupted" or "failed"; empty while it runs, or if it was killed.
        stage: The stage it was in when it failed, if known.
        message: What went wrong, in one line.
    """

    pid: int
    host: str
    since: str
    command: str
    ended: str = ""
    outcome: str = ""
    stage: str = ""
    message: str = ""


class RunNote:
    """What the holder of the lock may add while it runs."""

    def __init__(self) -> None:
        self.stage = ""
        """The stage that is running now; told to the next who asks if it fails."""


@contextmanager
def lock_project(project: Project, *, command: Sequence[str]) -> Iterator[RunNote]:
    """Be the one writer of a project until the block ends, by whatever death.

    Args:
        project: Whose folder.
        command: The words of the command line, for the message others get.

    Raises:
        LockedError: Another run writes; names its pid, host, start and command.
        ProjectError: The lock is a link.
        ResourceError: The folder may not be written, or its disk knows no locks.
    """
    path = project.lock_path
    _refuse_links(path)
    with explain_os_errors(path):
        path.parent.mkdir(exist_ok=True)
    lock = _acquire(project, path)
    note = RunNote()
    run = Run(os.getpid(), socket.gethostname(), _now(), shlex.join(command))
    try:
        write_json(_note_path(project), asdict(run))
        try:
            yield note
        except BaseException as error:
            _close_note(project, run, note, error)
            raise
        _close_note(project, run, note, None)
    finally:
        lock.release()


def read_run(project: Project) -> Run | None:
    """Who writes in the project, or who wrote last; None if nobody ever did, or the note is damaged."""
    try:
        return build_row(Run, read_json(_note_path(project), limit=64 * 1024))
    except (OSError, ProjectError, TypeError):
        return None


def is_locked(project: Project) -> bool:
    """Does another process write in the project right now? Holds nobody up."""
    path = project.lock_path
    if path.is_symlink() or not path.is_file():
        return False
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    except OSError:
        return False  # a read-only folder: nobody can write there
    lock.release()
    return False


def _acquire(project: Project, path: Path) -> filelock.BaseFileLock:
    lock = filelock.FileLock(path, mode=0o600)
    try:
        with explain_os_errors(path):
            lock.acquire(timeout=_PATIENCE, poll_interval=0.05)
    except filelock.Timeout:
        raise _locked(project, read_run(project)) from None
    except (OSError, NotImplementedError) as error:
        raise _no_locks(path, error) from error
    if isinstance(lock, filelock.SoftFileLock):  # filelock's way out where the disk knows no locks: it outlives a kill
        lock.release()
        raise _no_locks(path, None)
    return lock


def _locked(project: Project, run: Run | None) -> LockedError:
    if run is None or run.ended:
        return LockedError(f"another run is writing in `{project.root}`", hints=("wait for it to end",))
    return LockedError(
        f"another run is writing in `{project.root}`",
        details=(f"pid {run.pid} on {run.host} since {run.since}", f"command: {run.command}"),
        hints=("wait for it to end, or stop it: it saves and can be resumed", f"on {run.host}: `kill {run.pid}`"),
    )


def _no_locks(path: Path, error: Exception | None) -> ResourceError:
    why = f": {error}" if error else ""
    return ResourceError(
        f"cannot lock `{path}`{why}", hints=("keep the project on a local disk; network disks may know no locks",)
    )


def _refuse_links(path: Path) -> None:
    for place in (path.parent, path):
        if place.is_symlink():
            raise ProjectError(
                f"`{place}` is a link, which could lead the lock elsewhere", hints=(f"remove it: `rm {place}`",)
            )


def _close_note(project: Project, run: Run, note: RunNote, error: BaseException | None) -> None:
    if error is None:
        run = replace(run, outcome="done")
    elif isinstance(error, KeyboardInterrupt) or (isinstance(error, Fs4Error) and error.kind == "interrupted"):
        run = replace(run, outcome="interrupted", stage=note.stage)
    else:
        message = error.message if isinstance(error, Fs4Error) else f"{type(error).__name__}: {error}"
        run = replace(run, outcome="failed", stage=note.stage, message=message.splitlines()[0][:300] if message else "")
    try:
        write_json(_note_path(project), asdict(replace(run, ended=_now())))
    except (OSError, Fs4Error):
        pass  # a full disk must not hide why the run ended


def _note_path(project: Project) -> Path:
    return project.lock_path.with_name("run.json")


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")
