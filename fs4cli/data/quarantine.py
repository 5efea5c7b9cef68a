"""The two lists that a user may want to look through: files left out, and pictures that look alike.

CSV with one line an entry, whatever the file names hold: what cannot be printed stands there as an escape.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fs4cli.data.index import ImageEntry
from fs4cli.data.near_duplicates import NearDuplicate
from fs4cli.data.sources import FoundFiles, show_path
from fs4cli.errors import InputError
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


def count_reasons(entries: Iterable[ImageEntry]) -> dict[str, int]:
    """How many bad entries there are by kind of reason, the commonest first."""
    return dict(Counter(kind_of(entry.reason) for entry in entries if entry.state == "bad").most_common())


def join_counts(counts: Mapping[str, int]) -> str:
    """Counts in words: `4 truncated, 1 too small`."""
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())


def judge_share(
    entries: Sequence[ImageEntry], sources: Sequence[str], *, largest: float, hints: tuple[str, ...]
) -> None:
    """Refuse to go on without any image, or with too large a share of bad ones.

    Args:
        entries: Of all files.
        sources: Where they were looked for.
        largest: Share of the images, good and bad, that may be bad.
        hints: What a user can do about it.

    Raises:
        InputError: Says how many there are by kind of reason.
    """
    bad = sum(entry.state == "bad" for entry in entries)
    good = sum(entry.has_picture for entry in entries)
    counts = join_counts(count_reasons(entries))
    if not good:
        looked = f"looked at {len(entries):,} files" + (f": {counts}" if counts else "")
        raise InputError(f"no readable images in {_name(sources)}", details=(looked,), hints=hints[:1] if bad else ())
    if bad > largest * (good + bad):
        raise InputError(
            f"{bad:,} of {good + bad:,} images in {_name(sources)} cannot be read", details=(counts,), hints=hints
        )


def refuse_nothing(sources: Sequence[str], found: FoundFiles) -> InputError:
    """The error for sources without a single file to look at."""
    details = [f"{found.passed_over:,} files are hidden or do not match the pattern"] if found.passed_over else []
    details += [f"`{show_path(folder)}` may not be listed" for folder in found.unreadable_folders]
    return InputError(f"no files in {_name(sources)}", details=tuple(details), hints=("check the path",))


def _name(sources: Sequence[str]) -> str:
    return ", ".join(f"`{show_path(source)}`" for source in sources)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())
