"""A report in, two pictures out: the IoU of each class, and what was taken for what."""

from pathlib import Path
from typing import Any

import numpy as np

from fs4cli.files import write_atomic

FORMATS = ("svg", "png")
_COLORS = {"thing": "#b5542c", "stuff": "#2c6fb5", "": "#555555"}


def write_charts(folder: Path, report: dict[str, Any]) -> list[Path]:
    """Draw `class_iou` and `confusion` into a folder, each as SVG and PNG; returns the paths.

    Of several runs each is drawn into a folder of its own, `run-1` and so on.

    matplotlib is imported here and not before: it takes a second.

    Raises:
        ResourceError: The folder cannot be written.
    """
    from matplotlib.figure import Figure

    if "runs" in report:
        runs = enumerate(report["runs"], 1)
        return [path for number, run in runs for path in write_charts(folder / f"run-{number}", run)]
    paths = []
    for name, draw in (("class_iou", _draw_classes), ("confusion", _draw_confusion)):
        figure = Figure(layout="constrained")
        draw(figure, report)
        for format in FORMATS:
            path = folder / f"{name}.{format}"
            with write_atomic(path) as file:
                figure.savefig(file, format=format, dpi=120, metadata={"Date": None} if format == "svg" else None)
            paths.append(path)
    return paths


def share_rows(report: dict[str, Any]) -> np.ndarray:
    """Confusion for the eye: clusters in the order of the classes they stand for, each class' pixels as shares.

    Returns:
        A row a class, a column a cluster; a class that no label has is all 0. Clusters without a pixel are left out.
    """
    names = [row["name"] for row in report["classes"]]
    counts = np.array(report["confusion"]["counts"], float).reshape(-1, len(names))
    shown = counts[_order_clusters(report, counts)].T
    return np.divide(
        shown, shown.sum(1, keepdims=True), out=np.zeros_like(shown), where=shown.sum(1, keepdims=True) > 0
    )


def _order_clusters(report: dict[str, Any], counts: np.ndarray) -> list[int]:
    places = {row["name"]: place for place, row in enumerate(report["classes"])}
    class_of = report["matching"]["class_of"]
    used = [cluster for cluster in range(len(counts)) if counts[cluster].any()]
    return sorted(used, key=lambda cluster: (places.get(class_of[str(cluster)], len(places)), cluster))


def _draw_classes(figure: Any, report: dict[str, Any]) -> None:
    rows = report["classes"]
    iou = report["metrics"]["all"]["class_iou"]
    figure.set_size_inches(7, 1.2 + 0.24 * len(rows))
    axes = figure.subplots()
    values = [100 * (iou[row["name"]] or 0.0) for row in rows]
    bars = axes.barh(range(len(rows)), values, color=[_COLORS[row.get("kind", "")] for row in rows])
    words = ["-" if iou[row["name"]] is None else f"{value:.1f}" for row, value in zip(rows, values, strict=True)]
    axes.bar_label(bars, words, padding=2, fontsize=8)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("IoU in per cent; a dash: nothing to score")
    miou = report["metrics"]["all"]["miou"]
    shown = "-" if miou is None else f"{100 * miou:.2f}"
    axes.set_title(f"mIoU {shown} %, protocol {report['protocol']['name']}", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_confusion(figure: Any, report: dict[str, Any]) -> None:
    names = [row["name"] for row in report["classes"]]
    shares = share_rows(report)
    order = _order_clusters(report, np.array(report["confusion"]["counts"], float).reshape(-1, len(names)))
    figure.set_size_inches(2.5 + 0.22 * max(1, shares.shape[1]), 1.5 + 0.22 * len(names))
    axes = figure.subplots()
    if shares.size:
        picture = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        figure.colorbar(picture, ax=axes, label="share of the class' pixels")
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xticks(range(len(order)), [str(cluster) for cluster in order], fontsize=6, rotation=90)
    axes.set_xlabel("cluster, in the order of the classes they stand for; spare ones last")
