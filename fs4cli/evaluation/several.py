"""Reports of the same images by several models in, one report with the mean and the spread out."""

from collections.abc import Callable, Iterator, Sequence
from statistics import mean, stdev
from typing import Any

from fs4cli.errors import InputError

SPREAD = ("std", "min", "max")


def join_reports(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One report of several models, such as three trainings with other seeds.

    Args:
        reports: Of one kind, over the same classes, at least two.

    Returns:
        A report whose `metrics` are means; beside them `spread`, of the same shape with `std` (of the sample, n - 1),
        `min` and `max` of each figure; and `runs`, every report as it would be alone. A figure that is null in one of
        them is null.

    Raises:
        InputError: They differ in their classes.
    """
    first = reports[0]
    classes = [[row["name"] for row in report["classes"]] for report in reports]
    if any(names != classes[0] for names in classes):
        raise InputError(
            "the masks were scored over different classes",
            hints=("name the classes in a `classes.yaml` beside the labels",),
        )
    notes = [f"figures are means over {len(reports)} runs, each with a matching of its own"]
    if len({report["counted"]["images"] for report in reports}) > 1:
        numbers = ", ".join(str(report["counted"]["images"]) for report in reports)
        notes.append(f"the runs were not scored on the same images: {numbers}")
    shared = [note for note in first["notes"] if all(note in report["notes"] for report in reports)]
    own = [
        f"run {number}: {note}"
        for number, report in enumerate(reports, 1)
        for note in report["notes"]
        if note not in shared
    ]
    joined = {key: value for key, value in first.items() if key not in _OF_ONE_RUN}
    source = {key: value for key, value in first["source"].items() if key not in ("predictions", "model")}
    joined["source"] = source | {
        "predictions": [report["source"]["predictions"] for report in reports],
        "model": [report["source"]["model"] for report in reports],
    }
    for key in _FIGURES:
        if first.get(key) is not None:
            joined[key] = _merge([report[key] for report in reports], mean)
    joined["spread"] = _merge([report["metrics"] for report in reports], _describe_spread)
    if "probe" in first:
        joined["probe"]["spread"] = _merge([report["probe"]["metrics"] for report in reports], _describe_spread)
    joined["confusion"] = {
        "rows": "runs, clusters",
        "columns": "classes",
        "counts": _pad([report["confusion"]["counts"] for report in reports], len(classes[0])),
    }
    runs = [{key: value for key, value in report.items() if key != "published"} for report in reports]
    return joined | {"notes": [*notes, *shared, *own], "runs": runs}


_OF_ONE_RUN = ("matching", "spare_clusters", "notes", "confusion")
_FIGURES = ("metrics", "picie_as_released", "probe", "unlabeled")


def _merge(values: Sequence[Any], merge: Callable[[Sequence[float]], Any]) -> Any:
    """Objects of one shape, number by number."""
    first = values[0]
    if isinstance(first, dict):
        return {key: _merge([value[key] for value in values], merge) for key in first}
    if any(value is None for value in values):
        return None
    if isinstance(first, list):
        return (
            [_merge(items, merge) for items in zip(*values, strict=True)] if len(set(map(len, values))) == 1 else None
        )
    return merge(values) if isinstance(first, int | float) and not isinstance(first, bool) else first


def _describe_spread(values: Sequence[float]) -> dict[str, float]:
    return dict(zip(SPREAD, (stdev(values), min(values), max(values)), strict=True))


def _pad(counts: Sequence[list[list[int]]], classes: int) -> list[list[list[int]]]:
    """Matrices of one size: clusters that a model does not have are rows of zeros."""
    most = max(len(matrix) for matrix in counts)
    return [list(_fill(matrix, most, classes)) for matrix in counts]


def _fill(matrix: list[list[int]], rows: int, columns: int) -> Iterator[list[int]]:
    yield from matrix
    yield from ([0] * columns for _ in range(rows - len(matrix)))
