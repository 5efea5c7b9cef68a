"""One Rich bar on a terminal: stage, share, what the stage tells, time left, memory."""

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn


class Bar:
    """A bar on stderr while a stretch of work runs; a context manager.

    Args:
        name: Of the stretch.
        total: Units in all; None draws a moving bar.
        done: Units finished before.
        color: With colours.
    """

    def __init__(self, name: str, total: int | None, *, done: int, color: bool):
        console = Console(file=sys.stderr, no_color=not color, highlight=False, markup=False, emoji=False)
        self._progress = Progress(
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[memory]}", markup=False),
            console=console,
            transient=True,
            refresh_per_second=4,
        )
        self._task = self._progress.add_task(name, total=total, completed=done, memory=_memory())

    def update(self, done: int, text: str) -> None:
        """Set the units finished so far and the text beside the bar."""
        self._progress.update(self._task, completed=done, description=text, memory=_memory())

    def print(self, line: str) -> None:
        """A line above the bar."""
        self._progress.console.print(line, soft_wrap=True)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def _memory() -> str:
    """The most memory this process has held so far, or nothing where the system does not say."""
    try:
        import resource
    except ImportError:
        return ""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"mem {peak / 2**30:.1f} GB"
