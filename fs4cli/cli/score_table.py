"""A report in, its lines for the screen out: the figures, what they rest on, and what papers print beside them."""

from collections.abc import Mapping
from typing import Any

_WIDTH = len("pixel accuracy")
_OTHERS = {"many-to-one": "many_to_one_miou", "boundary F": "boundary_f", "NMI": "nmi", "adjusted Rand": "ari"}


def list_scores(report: Mapping[str, Any]) -> list[str]:
    """The lines that `fs4 evaluate` shows; figures in per cent, those of several runs with their spread."""
    rows = _list_masks(report) if report["metrics"] else []
    rows += _list_unlabelled(report) + _list_probe(report)
    if report["metrics"]:
        protocol, images = report["protocol"], report["counted"]["images"]
        rows += ["", f"protocol {protocol['name']}, {images:,} images, matching fitted on {protocol['matched_on']}"]
    rows += [f"note: {note}" for note in report["notes"]]
    return rows + _list_published(report)


def _list_masks(report: Mapping[str, Any]) -> list[str]:
    metrics, spread = report["metrics"]["all"], report.get("spread", {}).get("all", {})
    scores: Mapping[str, float | None] = metrics["class_iou"]
    width = max([len(str(name)) for name in scores] + [_WIDTH]) + 2
    stds = spread.get("class_iou", {})
    rows = [f"{name!s:<{width}}{_show(value, stds.get(name))}" for name, value in scores.items()]
    headlines = {"mIoU": "miou", "pixel accuracy": "accuracy"} | _OTHERS
    rows += [f"{name:<{width}}{_show(metrics[key], spread.get(key))}" for name, key in headlines.items()]
    rows += _list_parts(report, width)
    return rows


def _list_unlabelled(report: Mapping[str, Any]) -> list[str]:
    """What needs no label."""
    if "unlabeled" not in report:
        return []
    found = report["unlabeled"]
    health, width = found["health"], _WIDTH + 2
    rows = [
        "",
        f"without labels, {found['images']:,} of {found['of']:,} images:",
        f"{'classes in use':<{width}}{health['effective_clusters']:6.2f} of {found['clusters']:g} (effective)",
        f"{'largest class':<{width}}{_show(health['largest_share'])} of the pixels",
        f"{'one-class':<{width}}{_show(health['single_cluster_images'])} of the images",
    ]
    for name, view in found["stability"].items():
        rows.append(f"{name:<{width}}{_show(view['agreement'])} agree, kappa {_show(view['kappa'])}")
    return rows


def _list_probe(report: Mapping[str, Any]) -> list[str]:
    """The supervised figures, apart from the others."""
    if "probe" not in report:
        return []
    probe, width = report["probe"], _WIDTH + 2
    spread = probe.get("spread", {})
    rows = ["", f"linear probe, SUPERVISED (fitted on {probe['fitted_images']:g} labelled images that are not scored):"]
    return rows + [_list_part(part, scores, spread.get(part, {}), width) for part, scores in probe["metrics"].items()]


def _list_parts(report: Mapping[str, Any], width: int) -> list[str]:
    """Things and stuff, and what PiCIE's released code would print for them."""
    parts = {name: report["metrics"][name] for name in ("things", "stuff") if name in report["metrics"]}
    if len(parts) < 2:
        return []
    spread = report.get("spread", {})
    rows = [_list_part(name, part, spread.get(name, {}), width) for name, part in parts.items()]
    released = report["picie_as_released"] or {}
    return rows + [
        f"{_list_part(name, part, {}, width)}  (picie-as-released, inflated)" for name, part in released.items()
    ]


def _list_part(name: str, part: Mapping[str, Any], spread: Mapping[str, Any], width: int) -> str:
    miou, accuracy = (_show(part[key], spread.get(key)) for key in ("miou", "accuracy"))
    return f"{name:<{width}}mIoU {miou}  accuracy {accuracy}"


def _list_published(report: Mapping[str, Any]) -> list[str]:
    """What papers print for the data set, unless these masks were scored on a mere sample of it."""
    rows = report.get("published")
    if not rows or report["source"]["is_sample"]:
        return []
    lines = ["", "published, each by its own protocol ([R]: not verified):"]
    for row in rows:
        marks = {figure: " [R]" if figure in row["unverified"] else "    " for figure in ("accuracy", "miou")}
        figures = "  ".join(
            f"{name} {_percent(row[key])}{marks[key]}" for name, key in (("mIoU", "miou"), ("accuracy", "accuracy"))
        )
        lines.append(f"{row['method']:<26}{figures}  {row['start']}")
    return lines


def _show(value: float | None, spread: Mapping[str, float] | None = None) -> str:
    return _percent(value) + (f" +- {100 * spread['std']:.2f}" if spread else "")


def _percent(value: float | None) -> str:
    return "     -" if value is None else f"{100 * value:6.2f}"
