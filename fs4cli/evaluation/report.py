"""Counts and scores in, the report out: one JSON object, and its rows for a table.

Shares and scores are fractions in [0, 1]; what cannot be computed (no labelled pixel, a class that occurs nowhere) is
null, never NaN.
"""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from fs4cli.evaluation.agreement import adjusted_rand, mutual_information
from fs4cli.evaluation.boundary import TOLERANCE
from fs4cli.evaluation.classes import ClassTable
from fs4cli.evaluation.confusion import Tally
from fs4cli.evaluation.matching import NONE, Scores, fit_majority, match_clusters, score_clusters
from fs4cli.evaluation.problems import Problem
from fs4cli.files import write_atomic, write_json

SCHEMA = "fs4.report/1"

FITTED_ON = "the images scored"


def build_report(
    tally: Tally, table: ClassTable, *, source: dict[str, Any], skipped: Sequence[Problem], unlabelled: int
) -> dict[str, Any]:
    """Score a tally in every way that needs nothing but it.

    Args:
        tally: Counts over all images; its columns are the table's classes.
        table: The classes.
        source: Where labels, images and masks or model are; copied into the report.
        skipped: Labels that were left out, with the reason.
        unlabelled: Images without a label, which were not scored.

    Returns:
        The report, as docs/evaluation.md lists it.
    """
    tally.reserve(0, len(table))
    one_to_one = match_clusters(tally.confusion, unanswered=tally.unanswered)
    majority = score_clusters(tally.confusion, fit_majority(tally.confusion), unanswered=tally.unanswered)
    spare = _list_spare(tally, one_to_one)
    return {
        "schema": SCHEMA,
        "fs4cli": version("fs4cli"),
        "source": source,
        "counted": {
            "images": tally.images,
            "pixels": tally.pixels,
            "void_pixels": tally.void,
            "unanswered_pixels": int(tally.unanswered.sum()),
            "skipped": len(skipped),
            "unlabelled_images": unlabelled,
        },
        "classes": _list_classes(tally, table),
        "metrics": {"all": _measure(tally, table, one_to_one, majority)},
        "matching": {
            "method": "one to one, most matched pixels (Hungarian)",
            "fitted_on": FITTED_ON,
            "class_of": _name_clusters(one_to_one, table),
            "many_to_one_class_of": _name_clusters(majority, table),
        },
        "spare_clusters": spare,
        "confusion": {"rows": "clusters", "columns": "classes", "counts": tally.confusion.tolist()},
        "skipped": [{"label": problem.name, "reason": problem.reason} for problem in skipped],
        "notes": _note(tally, table, one_to_one, spare),
    }


def write_report(place: Path, report: dict[str, Any], confusion: Int64[np.ndarray, "k c"]) -> tuple[Path, Path]:
    """Write the report, and the confusion matrix as a NumPy file beside it; returns both paths.

    Args:
        place: A folder, for `report.json` and `confusion.npy`; or a name that ends in `.json`.
        report: From `build_report`.
        confusion: Pixels of each cluster on each class.

    Raises:
        ResourceError: The place cannot be written.
    """
    path = place if place.suffix.lower() == ".json" else place / "report.json"
    confusion_path = path.with_name("confusion.npy" if path.name == "report.json" else f"{path.stem}.confusion.npy")
    with write_atomic(confusion_path) as file:
        np.save(file, confusion)
    write_json(path, report)
    return path, confusion_path


def summarize(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """The headline figures in per cent, a heading first: what, accuracy, mIoU."""
    scores = report["metrics"]["all"]
    return [
        ("", "accuracy", "mIoU"),
        ("one cluster a class", percent(scores["accuracy"]), percent(scores["miou"])),
        ("many clusters a class", percent(scores["many_to_one_accuracy"]), percent(scores["many_to_one_miou"])),
        ("boundary F", percent(scores["boundary_f"]), ""),
        ("NMI", percent(scores["nmi"]), ""),
        ("adjusted Rand", percent(scores["ari"]), ""),
    ]


def list_classes(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """One row a class, a heading first: class, its cluster, IoU, share of the labelled pixels, both in per cent."""
    cluster_of = {name: cluster for cluster, name in report["matching"]["class_of"].items() if name is not None}
    iou = report["metrics"]["all"]["class_iou"]
    rows = [
        (row["name"], cluster_of.get(row["name"], "none"), percent(iou[row["name"]]), percent(row["share"]))
        for row in report["classes"]
    ]
    return [("class", "cluster", "IoU", "labels"), *rows]


def percent(fraction: float | None) -> str:
    """A fraction as per cent with one digit, without the sign; a dash for null."""
    return "-" if fraction is None else f"{100 * fraction:.1f}"


def _measure(tally: Tally, table: ClassTable, one_to_one: Scores, majority: Scores) -> dict[str, Any]:
    precision, recall, f = (
        total / tally.boundary_images if tally.boundary_images else None for total in tally.boundary_sums
    )
    # pixels without an answer are one more region of the mask
    regions = np.vstack([tally.confusion, tally.unanswered])
    return {
        "accuracy": _or_null(one_to_one.accuracy),
        "miou": _or_null(one_to_one.miou),
        "miou_present": _or_null(one_to_one.miou_present),
        "class_iou": dict(zip(table.names, map(_or_null, one_to_one.class_iou), strict=True)),
        "many_to_one_accuracy": _or_null(majority.accuracy),
        "many_to_one_miou": _or_null(majority.miou),
        "many_to_one_class_iou": dict(zip(table.names, map(_or_null, majority.class_iou), strict=True)),
        "boundary_f": f,
        "boundary_precision": precision,
        "boundary_recall": recall,
        "boundary_tolerance": TOLERANCE,
        "nmi": _or_null(mutual_information(regions)),
        "ari": _or_null(adjusted_rand(regions)),
    }


def _list_classes(tally: Tally, table: ClassTable) -> list[dict[str, Any]]:
    total = tally.pixels
    rows = []
    for name, values, kind, pixels in zip(
        table.names, table.values, table.kinds or ("",) * len(table), tally.class_pixels.tolist(), strict=True
    ):
        row = {"name": name, "values": list(values), "pixels": pixels, "share": pixels / total if total else 0.0}
        rows.append(row | ({"kind": kind} if kind else {}))
    return rows


def _name_clusters(scores: Scores, table: ClassTable) -> dict[str, str | None]:
    return {
        str(cluster): None if index == NONE else table.names[index]
        for cluster, index in enumerate(scores.class_of.tolist())
    }


def _list_spare(tally: Tally, scores: Scores) -> list[dict[str, Any]]:
    pixels = tally.confusion.sum(1)
    spare = np.flatnonzero((scores.class_of == NONE) & (pixels > 0))
    return [
        {"cluster": int(cluster), "pixels": int(pixels[cluster]), "share": float(pixels[cluster] / tally.pixels)}
        for cluster in spare
    ]


def _note(tally: Tally, table: ClassTable, scores: Scores, spare: list[dict[str, Any]]) -> list[str]:
    """What a reader must know to compare the figures with others."""
    if not tally.pixels:
        return ["no labelled pixel: every figure is null"]
    notes = [f"the matching of clusters to classes was fitted on {FITTED_ON}, which flatters the figures a little"]
    if spare:
        share = sum(row["share"] for row in spare)
        what = f"{len(spare)} spare clusters hold" if len(spare) > 1 else "1 spare cluster holds"
        notes.append(f"{what} {percent(share)} % of the labelled pixels, which count as errors")
    missing = int(tally.unanswered.sum())
    if missing:
        notes.append(f"{percent(missing / tally.pixels)} % of the labelled pixels have no answer; they count as errors")
    absent = tally.class_pixels == 0
    drawn = absent & ~np.isnan(scores.class_iou)
    if drawn.any():
        names = ", ".join(table.names[index] for index in np.flatnonzero(drawn))
        notes.append(
            f"no label has {names}, but a cluster was left for each: they count with IoU 0 "
            f"(without them the mIoU is {percent(scores.miou_present)} %)"
        )
    return notes


def _or_null(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
