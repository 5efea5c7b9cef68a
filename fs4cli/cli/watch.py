"""What a person sees of a running stage: one bar on a terminal, else a line every 30 seconds; the same in fs4.log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from fs4cli.cli.report import Report, show_lines
from fs4cli.cli.signals import SignalWatch
from fs4cli.data.sources import show_path
from fs4cli.progress import Task

Style = Literal["bar", "lines", "none"]
LINE_EVERY = 30.0
"""Seconds between two lines about the same stretch of work."""


class Watch:
    """Implements `fs4cli.progress.Progress` for a person at the command line.

    Args:
        report: Where lines go.
        style: A bar, lines, or nothing.
        signals: Who collects the requests to stop and to save.
        log: The file that every line is added to; None for none.
        on_task: Is told the name of each stretch of work.
    """

    def __init__(
        self,
        report: Report,
        *,
        style: Style,
        signals: SignalWatch,
        log: Path | None = None,
        on_task: Callable[[str], None] | None = None,
    ):
        self._report = report
        self._style = style
        self._signals = signals
        self._log = log
        self._on_task = on_task
        self._bar: Any = None

    @contextmanager
    def task(self, name: str, total: int | None, *, unit: str, done: int = 0) -> Iterator[Task]:
        """Show a stretch of work while the block runs."""
        if self._on_task is not None:
            self._on_task(name)
        stretch = _Stretch(name, total, unit, done)
        if self._style == "bar" and self._bar is None:
            with self._draw(stretch) as task:
                yield task
        else:
            task = _Lines(stretch, self._line)
            yield task
            task.end()

    def say(self, message: str) -> None:
        """One line a user should read."""
        message = show_lines(message)
        self._to_log(message)
        if self._bar is not None and not self._report.quiet:
            self._bar.print(message)
        else:
            self._report.say(message)

    def warn(self, message: str) -> None:
        """One line that should be looked at."""
        self._to_log(f"warning: {show_path(message)}")
        if self._bar is not None and not self._report.quiet:
            self._report.warnings.append(message)
            self._bar.print(f"warning: {show_path(message)}")
        else:
            self._report.warn(message)

    def note(self, message: str) -> None:
        """One line for the log alone."""
        self._to_log(message)

    def stop_requested(self) -> int | None:
        """The signal that asked to stop, or None."""
        return self._signals.stop_requested()

    def save_requested(self) -> bool:
        """True once after each SIGUSR1."""
        return self._signals.save_requested()

    @contextmanager
    def _draw(self, stretch: "_Stretch") -> Iterator[Task]:
        from fs4cli.cli.bar import Bar

        with Bar(stretch.name, stretch.total, done=stretch.done, color=self._report.color) as bar:
            self._bar = bar
            lines = _Lines(stretch, self._to_log, draw=bar.update)
            try:
                yield lines
            finally:
                self._bar = None
            lines.end()

    def _line(self, text: str) -> None:
        self._to_log(text)
        if self._style == "lines":
            self._report.say(text)

    def _to_log(self, text: str) -> None:
        if self._log is None:
            return
        try:
            with self._log.open("a", encoding="utf-8", errors="replace") as file:
                file.write(text + "\n")
        except OSError as error:
            path, self._log = self._log, None
            self._report.warn(f"no more lines go to `{path}`: {error.strerror}")


class _Stretch:
    """One stretch of work as numbers and as text."""

    def __init__(self, name: str, total: int | None, unit: str, done: int):
        self.name, self.total, self.unit = name, total, unit
        self.first = self.done = done
        self.values: dict[str, float | int | str] = {}
        self.began = time.monotonic()

    def add(self, count: int, values: dict[str, float | int | str]) -> None:
        self.done += count
        self.values.update(values)

    def text(self) -> str:
        """`train 1200/5000 loss 0.412 310 img/s eta 41m`, without the time of day."""
        words = [self.name, f"{self.done}/{self.total}" if self.total is not None else f"{self.done} {self.unit}"]
        words += [_pair(key, value) for key, value in self.values.items()]
        rate = self.rate()
        if rate and not any(key.endswith("_per_second") for key in self.values):
            words.append(f"{_number(rate)} {_short(self.unit)}/s")
        left = self.seconds_left()
        if left is not None and self.total is not None and self.done < self.total:
            words.append(f"eta {duration(left)}")
        return " ".join(words)

    def rate(self) -> float | None:
        """Units a second since this run began, not counting what earlier runs did."""
        seconds = time.monotonic() - self.began
        made = self.done - self.first
        return made / seconds if made > 0 and seconds > 0 else None

    def seconds_left(self) -> float | None:
        rate = self.rate()
        return None if self.total is None or not rate else (self.total - self.done) / rate


class _Lines:
    """A task that writes a line at the first unit, every 30 seconds, and at the last."""

    def __init__(
        self, stretch: _Stretch, write: Callable[[str], None], *, draw: Callable[[int, str], None] | None = None
    ):
        self._stretch = stretch
        self._write = write
        self._draw = draw
        self._written_at: float | None = None
        self._written_done: int | None = None

    def advance(self, count: int = 1, **values: float | int | str) -> None:
        """Count finished units."""
        self._stretch.add(count, values)
        if self._draw is not None:
            self._draw(self._stretch.done, self._stretch.text())
        if self._written_at is None or time.monotonic() - self._written_at >= LINE_EVERY:
            self._line()

    def end(self) -> None:
        """The last line, unless it stands there already."""
        if self._written_done != self._stretch.done and self._stretch.done > self._stretch.first:
            self._line()

    def _line(self) -> None:
        self._written_at, self._written_done = time.monotonic(), self._stretch.done
        self._write(f"{datetime.now():%H:%M:%S} {self._stretch.text()}")


def duration(seconds: float | int) -> str:
    """A stretch of time as people write it: 41s, 2m 10s, 3h 02m, 2d 04h."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def _pair(key: str, value: float | int | str) -> str:
    if key.endswith("_per_second"):
        return f"{_number(value)} {_short(key.removesuffix('_per_second'))}/s"
    return f"{key.replace('_', ' ')} {_number(value)}"


def _number(value: float | int | str) -> str:
    if isinstance(value, str | int):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _short(unit: str) -> str:
    return "img" if unit == "images" else unit
