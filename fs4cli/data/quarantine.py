"""The two lists that a user may want to look through: files left out, and pictures that look alike.

CSV with one line an entry, whatever the file names hold: what cannot be printed stands there as an escape.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from fs4cli.data.index import ImageEntry
from fs4cli.data.near_duplicates import NearDuplicate
from fs4cli.data.sources import show_path
from fs4cli.files import write_text


def write_quarantine(path: Path, entries: Iterable[ImageEntry], *, folders: Sequence[str] = ()) -> None:
    """List every bad file: its absolute path, the kind of reason, the reason, its size in bytes.

    Args:
        path: Of the CSV file.
        entries: Of the index; only bad ones are listed.
        folders: That may not be listed.
    """
    rows = [(entry.place, entry.reason, max(0, entry.bytes)) for entry in entries if entry.state == "bad"]
    rows += [(folder, "folder cannot be listed", 0) for folder in folders]
    _write(
        path,
        ("file", "kind", "reason", "bytes"),
        [(show_path(place), kind_of(reason), show_path(reason), size) for place, reason, size in rows],
    )


def write_near_duplicates(path: Path, entries: Sequence[ImageEntry], found: Iterable[NearDuplicate]) -> None:
    """List pairs that look alike: both absolute paths, and in how many of 64 bits their hashes differ."""
    _write(
        path,
        ("file", "resembles", "distance"),
        [
            (show_path(entries[pair.later].place), show_path(entries[pair.earlier].place), pair.distance)
            for pair in found
        ],
    )


def kind_of(reason: str) -> str:
    """The kind of a reason: what stands before its colon."""
    return reason.split(":", 1)[0]


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())
