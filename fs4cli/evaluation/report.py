"""Counts and scores in, the report out: one JSON object, and its rows for a table.

Shares and scores are fractions in [0, 1]; what cannot be computed (no labelled pixel, a class that occurs nowhere) is
null, never NaN.
"""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from fs4cli.clustering.agreement import adjusted_rand, mutual_information
from fs4cli.evaluation.boundary import TOLERANCE
from fs4cli.evaluation.classes import ClassTable
from fs4cli.evaluation.confusion import Tally
from fs4cli.evaluation.matching import NONE, Scores, fit_majority, fit_one_to_one, score_classes
from fs4cli.evaluation.problems import Problem
from fs4cli.evaluation.protocols import FULL, Protocol, Verdict, judge, slice_as_released
from fs4cli.files import write_atomic, write_json

SCHEMA = "fs4.report/1"

FITTED_ON = "the images scored"


def build_report(
    tally: Tally,
    table: ClassTable,
    *,
    source: dict[str, Any],
    skipped: Sequence[Problem],
    unlabelled: int,
    protocol: Protocol = FULL,
    second: Tally | None = None,
) -> dict[str, Any]:
    """Score a tally in every way that needs nothing but it.

    Args:
        tally: Counts over all images, or over their first half; its columns are the table's classes.
        table: The classes.
        source: Where labels, images and masks or model are; copied into the report.
        skipped: Labels that were left out, with the reason.
        unlabelled: Images without a label, which were not scored.
        protocol: The rules of scoring.
        second: Counts over the second half, for a protocol that tells the halves apart.

    Returns:
        The report, as docs/evaluation.md lists it.
    """
    halves = tally, second or Tally()
    clusters = max(half.confusion.shape[0] for half in halves)
    for half in halves:
        half.reserve(clusters, len(table))
    tally = halves[0].merge(halves[1])
    verdict = judge(protocol, halves)
    folds = list(verdict.folds)
    class_of = fit_one_to_one(tally.confusion) if len(folds) > 1 else folds[0].class_of
    one_to_one = replace(score_classes(verdict.one_to_one, zeros=verdict.zeros), class_of=class_of)
    spare = _list_spare(tally, one_to_one)
    return {
        "schema": SCHEMA,
        "fs4cli": version("fs4cli"),
        "source": source,
        "protocol": _describe(protocol),
        "counted": {
            "images": tally.images,
            "pixels": tally.pixels,
            "void_pixels": tally.void,
            "unanswered_pixels": int(tally.unanswered.sum()),
            "dropped_pixels": int(verdict.dropped.sum()),
            "skipped": len(skipped),
            "unlabelled_images": unlabelled,
        },
        "classes": _list_classes(tally, table),
        "metrics": {"all": _measure(tally, table, verdict)} | _measure_kinds(table, verdict),
        "picie_as_released": _measure_as_released(tally, table),
        "matching": {
            "method": "one to one, most matched pixels (Hungarian)",
            "fitted_on": " and ".join(dict.fromkeys(fold.fitted_on for fold in verdict.folds)),
            "class_of": _name_clusters(class_of, table),
            "many_to_one_class_of": _name_clusters(fit_majority(tally.confusion), table),
            "folds": [
                {
                    "fitted_on": fold.fitted_on,
                    "scored_on": fold.scored_on,
                    "class_of": _name_clusters(fold.class_of, table),
                    "many_to_one_class_of": _name_clusters(fold.majority_of, table),
                }
                for fold in verdict.folds
            ],
        },
        "spare_clusters": spare,
        "confusion": {"rows": "clusters", "columns": "classes", "counts": tally.confusion.tolist()},
        "skipped": [{"label": problem.name, "reason": problem.reason} for problem in skipped],
        "notes": _note(tally, table, one_to_one, spare, verdict),
    }


def find_report(place: Path) -> Path:
    """The report's file: `place` if it ends in `.json`, else `report.json` in that folder."""
    return place if place.suffix.lower() == ".json" else place / "report.json"


def write_report(place: Path, report: dict[str, Any]) -> tuple[Path, Path]:
    """Write the report, and the confusion matrix as a NumPy file beside it; returns both paths.

    Args:
        place: A folder, for `report.json` and `confusion.npy`; or a name that ends in `.json`.
        report: From `build_report`, or of several runs.

    Raises:
        ResourceError: The place cannot be written.
    """
    path = find_report(place)
    confusion_path = path.with_name("confusion.npy" if path.name == "report.json" else f"{path.stem}.confusion.npy")
    counts = np.array(report["confusion"]["counts"], np.int64)
    with write_atomic(confusion_path) as file:
        np.save(file, counts if counts.ndim > 1 else counts.reshape(0, len(report["classes"])))
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


def or_null(value: float) -> float | None:
    """A figure for JSON: NaN is null."""
    return None if np.isnan(value) else float(value)


def _describe(protocol: Protocol) -> dict[str, Any]:
    frame = protocol.frame
    return {
        "name": protocol.name,
        "resized": "no" if frame is None else (f"by {frame.factor}" if frame.factor else f"short side {frame.side}"),
        "cropped": "no" if frame is None else f"middle {frame.side}x{frame.side}",
        "spare_clusters": protocol.spare,
        "matched_on": "the other half of the images" if protocol.is_crossed else FITTED_ON,
    }


def _measure(tally: Tally, table: ClassTable, verdict: Verdict) -> dict[str, Any]:
    precision, recall, f = (
        total / tally.boundary_images if tally.boundary_images else None for total in tally.boundary_sums
    )
    # pixels without an answer are one more region of the mask
    regions = np.vstack([tally.confusion, tally.unanswered])
    return _measure_classes(table, verdict, range(len(table)), zeros=verdict.zeros) | {
        "boundary_f": f,
        "boundary_precision": precision,
        "boundary_recall": recall,
        "boundary_tolerance": TOLERANCE,
        "nmi": or_null(mutual_information(regions)),
        "ari": or_null(adjusted_rand(regions)),
    }


def _measure_classes(table: ClassTable, verdict: Verdict, classes: Sequence[int], *, zeros: int = 0) -> dict[str, Any]:
    """The figures over some classes, by their ids and from the whole matrix."""
    one_to_one = score_classes(verdict.one_to_one, classes=classes, zeros=zeros)
    majority = score_classes(verdict.majority, classes=classes)
    return {
        "accuracy": or_null(one_to_one.accuracy),
        "miou": or_null(one_to_one.miou),
        "miou_present": or_null(one_to_one.miou_present),
        "class_iou": {table.names[index]: or_null(one_to_one.class_iou[index]) for index in classes},
        "many_to_one_accuracy": or_null(majority.accuracy),
        "many_to_one_miou": or_null(majority.miou),
        "many_to_one_class_iou": {table.names[index]: or_null(majority.class_iou[index]) for index in classes},
    }


def _measure_kinds(table: ClassTable, verdict: Verdict) -> dict[str, Any]:
    """Things and stuff, where the classes are said to be one or the other."""
    parts = {}
    for name, kind in (("things", "thing"), ("stuff", "stuff")):
        classes = [index for index, found in enumerate(table.kinds) if found == kind]
        if classes:
            parts[name] = _measure_classes(table, verdict, classes)
    return parts


def _measure_as_released(tally: Tally, table: ClassTable) -> dict[str, Any] | None:
    """What PiCIE's released code prints; None where the things do not come first, as it takes for granted."""
    things = table.kinds.count("thing")
    if not table.kinds or table.kinds != ("thing",) * things + ("stuff",) * (len(table) - things):
        return None
    if not 0 < things < len(table):
        return None
    parts = slice_as_released(tally, things)
    return {part: {key: or_null(value) for key, value in scores.items()} for part, scores in parts.items()}


def _list_classes(tally: Tally, table: ClassTable) -> list[dict[str, Any]]:
    total = tally.pixels
    rows = []
    for name, values, kind, pixels in zip(
        table.names, table.values, table.kinds or ("",) * len(table), tally.class_pixels.tolist(), strict=True
    ):
        row = {"name": name, "values": list(values), "pixels": pixels, "share": pixels / total if total else 0.0}
        rows.append(row | ({"kind": kind} if kind else {}))
    return rows


def _name_clusters(class_of: Int[np.ndarray, " k"], table: ClassTable) -> dict[str, str | None]:
    return {
        str(cluster): None if index == NONE else table.names[index] for cluster, index in enumerate(class_of.tolist())
    }


def _list_spare(tally: Tally, scores: Scores) -> list[dict[str, Any]]:
    pixels = tally.confusion.sum(1)
    spare = np.flatnonzero((scores.class_of == NONE) & (pixels > 0))
    return [
        {"cluster": int(cluster), "pixels": int(pixels[cluster]), "share": float(pixels[cluster] / tally.pixels)}
        for cluster in spare
    ]


def _note(tally: Tally, table: ClassTable, scores: Scores, spare: list[dict[str, Any]], verdict: Verdict) -> list[str]:
    """What a reader must know to compare the figures with others."""
    if not tally.pixels:
        return ["no labelled pixel: every figure is null"]
    notes = [f"the matching of clusters to classes was fitted on {FITTED_ON}, which flatters the figures a little"]
    if verdict.protocol.is_crossed:
        notes = ["each half of the images was scored with the matching fitted on the other half"]
    is_dropping = verdict.protocol.spare == "dropped"
    dropped = int(verdict.dropped.sum())
    if dropped and is_dropping:
        notes.append(
            f"{percent(dropped / tally.pixels)} % of the labelled pixels lie in clusters whose id is no class or have "
            "no answer: this protocol drops them, which flatters"
        )
    elif dropped:
        names = ", ".join(table.names[index] for index in np.flatnonzero(verdict.dropped))
        notes.append(
            f"not counted, because one half of the images never shows the class: {percent(dropped / tally.pixels)} % "
            f"of the labelled pixels ({names})"
        )
    if spare and not is_dropping:
        share = sum(row["share"] for row in spare)
        what = f"{len(spare)} spare clusters hold" if len(spare) > 1 else "1 spare cluster holds"
        also = ", and as classes with IoU 0" if verdict.zeros else ""
        notes.append(f"{what} {percent(share)} % of the labelled pixels, which count as errors{also}")
    missing = int(tally.unanswered.sum())
    if missing and not is_dropping:
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
