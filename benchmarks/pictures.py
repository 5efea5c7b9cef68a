"""What a finished quality bench looks like: charts as SVG, and masks of five images a set.

    python benchmarks/pictures.py bench-quality docs/results

Of drawn sets a sheet shows image, truth, and overlay. Of real sets it shows masks alone: their images may not be given
away; `--with-images` shows them too, for your own eyes.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cells import FLOOR, Cell, Result
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image
from quality import find_floors, order_method, read_results
from sets import NAMES, REAL, DataSet, open_set

from fs4cli.data.masks import make_palette
from fs4cli.files import write_atomic

FIVE = 5
SIDE = 220
"""Width of an image on a sheet, in pixels."""

_OWN, _OTHER, _FLOOR = "#2c6fb5", "#8a8a8a", "#c9c9c9"
_STYLE = {"svg.hashsalt": "fs4", "svg.fonttype": "none", "font.size": 9}


def main() -> int:
    """Draw what there is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("bench", type=Path, help="folder of a bench")
    parser.add_argument("out", type=Path, help="folder of the pictures")
    parser.add_argument("--with-images", action="store_true", help="show the images of real sets too")
    options = parser.parse_args()
    results = [one for one in read_results(options.bench / "quality.json") if one.state == "done" and not one.options]
    for name in NAMES:
        own = [one for one in results if one.set == name]
        if not own:
            continue
        data = open_set(name, options.bench / "sets")
        budgets = {one.budget for one in own if one.method == "fs4"}
        if len(budgets) > 1:
            draw_curve(options.out / f"{name}-budget.svg", [one for one in own if one.budget], results)
        # a bench that had no time for the set's own budget shows what comes nearest
        budget = min(budgets, key=lambda one: abs(one - data.budget), default=round(data.budget))
        draw_methods(options.out / f"{name}.svg", [one for one in own if one.budget in (0, budget)], results)
        first = choose_shown([one for one in own if one.method == "fs4" and one.budget == budget], options.bench)
        if first is None:
            print(f"no sheet of {name}: the bench has no masks of fs4 in {budget} s")
            continue
        is_shown = name not in REAL or options.with_images
        draw_sheet(options.out / name, data, find_masks(first, options.bench), first, is_shown=is_shown)
    return 0


def choose_shown(results: Sequence[Result], bench: Path) -> Result | None:
    """The lowest seed whose masks are there: a bench that goes on from another one's figures has no masks of those."""
    return min((one for one in results if find_masks(one, bench).is_dir()), key=lambda one: one.seed, default=None)


def find_masks(result: Result, bench: Path) -> Path:
    """The folder of a result's masks, whether it is there or not."""
    return bench / "runs" / Cell(result.set, result.method, result.seed, result.budget).place / "masks"


def draw_methods(path: Path, own: Sequence[Result], results: Sequence[Result]) -> None:
    """A bar a method: the mean mIoU, each seed as a dot, the best floor as a line."""
    groups: dict[str, list[float]] = defaultdict(list)
    for one in own:
        groups[one.method].append(100 * (one.metrics["miou"] or 0.0))
    names = sorted(groups, key=order_method)
    with rc_context(_STYLE):
        figure = Figure(figsize=(7, 0.9 + 0.26 * len(names)), layout="constrained")
        axes = figure.subplots()
        colors = [_FLOOR if name.startswith(FLOOR) else _OWN if name.startswith("fs4") else _OTHER for name in names]
        bars = axes.barh(range(len(names)), [np.mean(groups[name]) for name in names], color=colors)
        axes.bar_label(bars, [f"{np.mean(groups[name]):.1f}" for name in names], padding=4, fontsize=8)
        for row, name in enumerate(names):
            axes.plot(groups[name], [row] * len(groups[name]), ".", color="black", markersize=4)
        floors = find_floors(results)
        if own[0].set in floors:
            axes.axvline(100 * floors[own[0].set][1], color="black", linestyle="--", linewidth=0.8)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xlabel("mIoU in per cent; a dot a seed; dashed: the best floor")
        budget = max(one.budget for one in own)
        axes.set_title(f"{own[0].set}, {budget / 60:g} minutes" if budget else own[0].set)
        axes.spines[["top", "right"]].set_visible(False)
        _save(figure, path)


def draw_curve(path: Path, own: Sequence[Result], results: Sequence[Result]) -> None:
    """Mean mIoU over the budget, a line a method that has more than one."""
    groups: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in own:
        groups[one.method][one.budget].append(100 * (one.metrics["miou"] or 0.0))
    with rc_context(_STYLE):
        figure = Figure(figsize=(7, 3.2), layout="constrained")
        axes = figure.subplots()
        for name in sorted(groups, key=order_method):
            points = sorted(groups[name].items())
            if len(points) > 1:
                minutes = [budget / 60 for budget, _ in points]
                axes.plot(minutes, [float(np.mean(values)) for _, values in points], "o-", label=name)
        floors = find_floors(results)
        if own[0].set in floors:
            axes.axhline(100 * floors[own[0].set][1], color="black", linestyle="--", linewidth=0.8, label="best floor")
        axes.set_xscale("log", base=2)
        axes.set_xticks(
            sorted({one.budget / 60 for one in own}), [f"{b / 60:g}" for b in sorted({o.budget for o in own})]
        )
        axes.set_xlabel("minutes of training")
        axes.set_ylabel("mIoU in per cent")
        axes.set_ylim(0, 100)
        axes.set_title(own[0].set)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        _save(figure, path)


def draw_sheet(path: Path, data: DataSet, masks: Path, result: Result, *, is_shown: bool) -> None:
    """Five images, evenly spread: what was seen, what is true and what was found, or only what was found.

    Args:
        path: Of the sheet, without its suffix: `.jpg` where images are shown, else `.png`.
        data: Where images and labels lie.
        masks: Folder of what was found.
        result: Whose masks they are.
        is_shown: Whether images may be shown.
    """
    paths = sorted(masks.rglob("*.png"))
    paths = [paths[place] for place in np.linspace(0, len(paths) - 1, min(FIVE, len(paths))).astype(int)]
    palette = make_palette(data.classes)
    columns = []
    for mask_path in paths:
        mask = np.asarray(Image.open(mask_path)).astype(int)
        found = palette[np.minimum(mask, data.classes - 1)]
        column = [found]
        if is_shown:
            pixels = np.asarray(Image.open(next(data.test.glob(f"{mask_path.stem}.*"))).convert("RGB"))
            truth = Image.open(data.labels / f"{mask_path.stem}.png").convert("RGB")
            column = [pixels, np.asarray(truth), (0.5 * pixels + 0.5 * found).astype(np.uint8)]
        columns.append(np.concatenate([_shrink(part) for part in column], axis=0))
    height = max(len(column) for column in columns)
    padded = [np.pad(column, ((0, height - len(column)), (0, 6), (0, 0)), constant_values=255) for column in columns]
    sheet = Image.fromarray(np.concatenate(padded, axis=1))
    path = path.with_suffix(".jpg" if is_shown else ".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomic(path) as file:
        if is_shown:
            sheet.save(file, format="JPEG", quality=85, subsampling=0)
        else:
            sheet.quantize(256, dither=Image.Dither.NONE).save(file, format="PNG", optimize=True)
    print(f"{path}: {result.method}, seed {result.seed}, mIoU {100 * (result.metrics['miou'] or 0):.1f}")


def _shrink(pixels: np.ndarray) -> np.ndarray:
    height = round(SIDE * pixels.shape[0] / pixels.shape[1])
    image = Image.fromarray(pixels).resize((SIDE, height), Image.Resampling.BOX)
    return np.pad(np.asarray(image), ((0, 6), (0, 0), (0, 0)), constant_values=255)


def _save(figure: Figure, path: Path) -> None:
    with write_atomic(path) as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
    print(path)


if __name__ == "__main__":
    sys.exit(main())
