"""What a stage tells whoever watches it, and the one thing it is told: to stop.

Stages and the training loop report here; the command line draws it, tests pass a silent one. No code below `cli/`
prints.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Task(Protocol):
    """One stretch of work with a known length."""

    def advance(self, count: int = 1, **values: float | int | str) -> None:
        """Count finished units; `values` are shown beside them (loss, images/s)."""
        ...


@runtime_checkable
class Progress(Protocol):
    """Whoever watches a stage."""

    def task(self, name: str, total: int | None, *, unit: str, done: int = 0) -> AbstractContextManager[Task]:
        """Open a stretch of work as a context manager that yields a `Task`.

        Args:
            name: The stage, and a word more where a stage has several stretches.
            total: Units in all; None if it is not known.
            unit: What is counted: "images", "steps".
            done: Units finished before (a resumed run).
        """
        ...

    def say(self, message: str) -> None:
        """One line a user should read: what starts, what is reused, what resumes where."""
        ...

    def warn(self, message: str) -> None:
        """One line about something that went on but should be looked at."""
        ...

    def stop_requested(self) -> int | None:
        """The signal that asked to stop, or None. A stage saves, then raises `Interrupted`."""
        ...

    def save_requested(self) -> bool:
        """True once after each SIGUSR1: save now and go on."""
        ...


class SilentTask:
    """Counts for nobody."""

    def advance(self, count: int = 1, **values: float | int | str) -> None:
        """Do nothing."""


class SilentProgress:
    """Watches nothing and never asks to stop; collects what was said, for tests."""

    def __init__(self):
        self.said: list[str] = []
        self.warned: list[str] = []

    @contextmanager
    def task(self, name: str, total: int | None, *, unit: str, done: int = 0) -> Iterator[Task]:
        """Yield a task that shows nothing."""
        yield SilentTask()

    def say(self, message: str) -> None:
        """Keep the line."""
        self.said.append(message)

    def warn(self, message: str) -> None:
        """Keep the line."""
        self.warned.append(message)

    def stop_requested(self) -> int | None:
        """Never."""
        return None

    def save_requested(self) -> bool:
        """Never."""
        return False
