"""A report in, a table of its figures out: one row a figure, for spreadsheets."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fs4cli.files import write_bytes

HEADING = ("part", "figure", "class", "value")


def list_figures(report: dict[str, Any]) -> Iterator[tuple[str, str, str, float | None]]:
    """Every figure of a report: its part (all, things, stuff), its name, its class if it is of one, and its value.

    Of several runs first the means, then their standard deviations as parts of their own.
    """
    for part, scores in report["metrics"].items():
        yield from _list_part(part, scores)
    for part, scores in report.get("spread", {}).items():
        yield from _list_part(f"{part} (std)", _choose_std(scores))
    for part, scores in (report["picie_as_released"] or {}).items():
        yield from ((f"{part} (picie-as-released)", name, "", value) for name, value in scores.items())


def _list_part(part: str, scores: dict[str, Any]) -> Iterator[tuple[str, str, str, float | None]]:
    for name, value in scores.items():
        if isinstance(value, dict):
            yield from ((part, name.replace("class_iou", "iou"), label, iou) for label, iou in value.items())
        else:
            yield part, name, "", value


def _choose_std(spread: Any) -> Any:
    """Of the spread of each figure its `std`."""
    if not isinstance(spread, dict):
        return spread
    return spread["std"] if "std" in spread else {key: _choose_std(value) for key, value in spread.items()}


def write_table(path: Path, report: dict[str, Any]) -> None:
    """Write the figures as CSV, fractions with all their digits; what cannot be computed is left empty.

    Raises:
        ResourceError: The place cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADING)
    for part, name, label, value in list_figures(report):
        writer.writerow((part, name, label, "" if value is None else repr(value)))
    write_bytes(path, text.getvalue().encode())
