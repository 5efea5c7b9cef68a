"""The log of a training run: `metrics.jsonl`, each of its steps once, however often the run was killed.

In: the outcome of each update. Out: a line of means every so many steps. The sums of an unfinished line are kept in the
checkpoint, so a resumed run writes the lines that an uninterrupted one would have written, but for the speed in them.
"""

import os
import time
from pathlib import Path
from typing import Any

from fs4cli.files import append_json_line, cut_json_lines, explain_os_errors
from fs4cli.training.update import Outcome


class MetricsLog:
    """Means of the loss terms since the line before.

    Args:
        path: The file of JSON lines.
        every: Steps between lines.
    """

    def __init__(self, path: Path, every: int):
        self.path = path
        self.every = every
        self.state: dict[str, Any] = _new_state()
        self._images = 0
        self._since = time.perf_counter()

    @property
    def images_per_second(self) -> float:
        """Since the last line, or since this run began."""
        return self._images / max(time.perf_counter() - self._since, 1e-9)

    def add(self, outcome: Outcome, images: int) -> None:
        """Count an update of so many images; one that was not applied adds nothing to the means."""
        self._images += images
        if not outcome.is_applied:
            self.state["skipped"] += 1
            return
        for name, value in outcome.values.items():
            self.state["sums"][name] = self.state["sums"].get(name, 0.0) + value
            self.state["counts"][name] = self.state["counts"].get(name, 0) + 1

    def is_due(self, step: int, steps: int) -> bool:
        """Whether the update that made it `step` ends a line; the last of the run always does."""
        return step % self.every == 0 or step == steps

    def write(self, step: int, learning_rate: float, accumulate: int) -> None:
        """Add the line of `step` and begin the next."""
        means = {name: total / self.state["counts"][name] for name, total in self.state["sums"].items()}
        line = {
            "step": step,
            **means,
            "learning_rate": learning_rate,
            "skipped": self.state["skipped"],
            "accumulate": accumulate,
            "images_per_second": round(self.images_per_second, 2),
        }
        append_json_line(self.path, line)
        self.state = _new_state()
        self._images, self._since = 0, time.perf_counter()

    def cut(self, step: int) -> None:
        """Remove the lines after `step`, which will be written again, and what a kill left of a line."""
        cut_json_lines(self.path, keep=lambda row: row["step"] <= step)

    def sync(self) -> None:
        """Have every line on the disk before this returns."""
        if self.path.exists():
            with explain_os_errors(self.path), self.path.open("rb") as file:
                os.fsync(file.fileno())


def _new_state() -> dict[str, Any]:
    return {"sums": {}, "counts": {}, "skipped": 0}
