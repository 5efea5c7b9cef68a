"""What an unfinished evaluation has counted: kept every few seconds, so that the same command goes on after a kill.

Images are counted in their order, so that "the first so many" says which are done. Sums of floats are kept with all
their digits: the report of a resumed evaluation is that of an undisturbed one, byte for byte.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from glob import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from fs4cli.evaluation.confusion import Tally
from fs4cli.evaluation.ground_truth import LabelReader
from fs4cli.evaluation.pairs import Pair
from fs4cli.evaluation.problems import Problem
from fs4cli.evaluation.protocols import Protocol
from fs4cli.files import hash_value, write_atomic

EVERY = 10.0
"""Seconds from one keeping to the next."""

_MARK = ".unfinished-"


@dataclass
class Counted:
    """What was counted so far.

    Args:
        tallies: The two halves; the second is empty if they are one.
        problems: What could not be counted.
        done: So many of the pairs, from the first on, are in one or the other.
    """

    tallies: tuple[Tally, Tally] = field(default_factory=lambda: (Tally(), Tally()))
    problems: list[Problem] = field(default_factory=list)
    done: int = 0


class Keeper:
    """Keeps counts beside the report that they will become.

    Args:
        report: The report's file, which need not be there.
        key: From `describe_work`: counts of other work are not taken up.
    """

    def __init__(self, report: Path, key: str):
        self.path = report.with_name(f"{report.stem}{_MARK}{key[:16]}.npz")
        self.key = key
        self._next = time.monotonic() + EVERY

    def load(self) -> Counted:
        """What was kept of this work; nothing if there is none, or it is damaged."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                values = json.loads(file["values"].tobytes())
                if values["key"] != self.key:
                    return Counted()
                tallies = [
                    Tally(file[f"confusion{half}"], file[f"unanswered{half}"], **_read_sums(values["sums"][half]))
                    for half in (0, 1)
                ]
                problems = [Problem(**row) for row in values["problems"]]
                return Counted((tallies[0], tallies[1]), problems, int(values["done"]))
        except Exception:  # a damaged archive raises nearly anything; counting anew is always right
            return Counted()

    def keep(self, counted: Counted, *, now: bool = False) -> None:
        """Write the counts if it is time, or `now`.

        Raises:
            ResourceError: The place cannot be written.
        """
        if not now and time.monotonic() < self._next:
            return
        values: dict[str, Any] = {
            "key": self.key,
            "done": counted.done,
            "problems": [asdict(problem) for problem in counted.problems],
            "sums": [_list_sums(tally) for tally in counted.tallies],
        }
        arrays: dict[str, Any] = {"values": np.frombuffer(json.dumps(values).encode(), np.uint8)}
        for half, tally in enumerate(counted.tallies):
            arrays |= {f"confusion{half}": tally.confusion, f"unanswered{half}": tally.unanswered}
        with write_atomic(self.path) as file:
            np.savez(file, **arrays)
        self._next = time.monotonic() + EVERY


def forget(report: Path) -> None:
    """Remove all that was kept beside a report, now that it is written."""
    for path in report.parent.glob(f"{escape(report.stem)}{_MARK}*.npz"):
        path.unlink(missing_ok=True)


def describe_work(pairs: Sequence[Pair], reader: LabelReader, protocol: Protocol, *, maker: str | None) -> str:
    """A fingerprint of all that shapes the counts: files by path, size and time, classes, rules, the model's key."""
    files = [[pair.name, *(_describe_file(path) for path in (pair.label, pair.image, pair.mask))] for pair in pairs]
    lookup = hashlib.sha256(reader.lookup.tobytes()).hexdigest()
    return hash_value([version("fs4cli"), files, lookup, asdict(protocol), maker])


def _describe_file(path: Path | None) -> list[Any] | None:
    if path is None:
        return None
    try:
        facts = path.stat()
    except OSError:  # whoever reads it will say so
        return [str(path)]
    return [str(path), facts.st_size, facts.st_mtime_ns]


def _list_sums(tally: Tally) -> dict[str, Any]:
    return {
        "void": tally.void,
        "images": tally.images,
        "boundary_images": tally.boundary_images,
        "boundary_sums": list(tally.boundary_sums),
    }


def _read_sums(sums: dict[str, Any]) -> dict[str, Any]:
    precision, recall, f = sums["boundary_sums"]
    return {**sums, "boundary_sums": (precision, recall, f)}
