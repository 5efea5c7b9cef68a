"""How good are the masks, of which method, on which images? `make bench-quality` runs it; hours to days.

Data sets x methods x seeds: the same images, backbone and wall-clock budget for all. Finished cells are kept in
OUT/quality.json and not run again, so that it may be stopped at any time; the table of all of them is printed as
markdown. Labels are read by the scorer only (benchmarks/cells.py).

    python benchmarks/quality.py --sets camvid,allsky --methods fs4,picie --seeds 0,1,2
    python benchmarks/quality.py --sets synthetic --methods floors,fs4 --curve
    python benchmarks/quality.py --sets workplaces --methods floors,fs4  # kinds that no rule was chosen on
    python benchmarks/quality.py --sets few --methods floors,fs4    # folders of twenty images
    python benchmarks/quality.py --table                    # only print what is there
"""

import argparse
import os
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

from cells import FLOOR, Cell, Result, run_cell
from domains import DOMAINS
from families import FAMILIES
from floors import FLOORS
from methods import METHODS
from sets import FEW, NAMES, REAL, SYNTHETIC, USUAL, DataSet, open_set
from workplaces import WORKPLACES

from fs4cli.duration import parse_duration
from fs4cli.files import read_json, write_json

SCHEMA = "fs4.quality/1"
"""Grows when cells are measured in another way."""

GROUPS = {
    "synthetic": SYNTHETIC,
    "real": tuple(REAL),
    "usual": USUAL,
    "families": tuple(FAMILIES),
    "domains": tuple(DOMAINS),
    "workplaces": tuple(WORKPLACES),
    "few": tuple(FEW),
    "all": NAMES,
}
FLOOR_NAMES = tuple(FLOOR + name for name in FLOORS)
METHOD_GROUPS = {
    "floors": FLOOR_NAMES,
    "trained": tuple(METHODS),
    "ablations": tuple(name for name in METHODS if name.startswith("fs4")),
    "baselines": tuple(name for name in METHODS if not name.startswith("fs4")),
    "all": FLOOR_NAMES + tuple(METHODS),
}


def main() -> int:
    """Run what is missing, print the table of what is there."""
    options = _read_options()
    path = options.out / "quality.json"
    results = read_results(path)
    if not options.table:
        sets = {name: open_set(name, options.out / "sets") for name in options.sets}
        cells = list_cells(sets, options)
        wanted = [cell for cell in cells if not any(result.answers(cell) for result in results)]
        _say(f"{len(cells)} cells, {len(cells) - len(wanted)} of them done; {_estimate(wanted)} of training to come")
        for number, cell in enumerate(wanted, 1):
            _say(f"[{number}/{len(wanted)}] {cell.set}, {cell.method}, seed {cell.seed}, {cell.budget} s")
            result = run_cell(cell, sets[cell.set], options.out / "runs")
            results = [one for one in results if not _is_same(one, result)] + [result]
            write_results(path, results)
            _say(f"    {_describe(result)}")
    print(format_table(results))
    return 1 if any(result.state == "failed" for result in results) else 0


def list_cells(sets: dict[str, DataSet], options: argparse.Namespace) -> list[Cell]:
    """What is asked for, one seed of everything first, so that a bench that is stopped early has compared all."""
    cells = []
    for seed in options.seeds:
        for name, data in sets.items():
            budget = parse_duration(options.budget) if options.budget else data.budget
            for method in options.methods:
                if method.startswith(FLOOR):
                    # nothing in the most frequent class is random
                    if seed == options.seeds[0] or "most frequent" not in method:
                        cells.append(Cell(name, method, seed, 0))
                    continue
                for times in (0.5, 1.0, 2.0) if options.curve else (1.0,):
                    cells.append(Cell(name, method, seed, round(times * budget), tuple(options.set)))
    return cells


def read_results(path: Path) -> list[Result]:
    """Of an earlier bench; none if there is no such file.

    Raises:
        ValueError: The file is of another kind.
    """
    try:
        found = read_json(path)
    except FileNotFoundError:
        return []
    if found.get("schema") != SCHEMA:
        raise ValueError(f"`{path}` is no `{SCHEMA}`: name another folder with --out")
    return [Result(**{**cell, "options": tuple(cell["options"])}) for cell in found["cells"]]


def write_results(path: Path, results: Sequence[Result]) -> None:
    """All cells, with the machine that the last of them ran on."""
    machine = {"platform": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
    write_json(path, {"schema": SCHEMA, "machine": machine, "cells": [asdict(result) for result in results]})


def format_table(results: Sequence[Result]) -> str:
    """One row a set, budget and method, the mean over seeds; markdown.

    mIoU has the lowest and highest seed behind it; the last column is the mean less that of the set's best floor.
    """
    heads = (
        "set", "budget", "method", "seeds", "mIoU", "lowest to highest", "accuracy", "many-to-one mIoU", "boundary F",
        "effective clusters", "largest share", "minutes", "steps a minute", "over the best floor",
    )  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    groups: dict[tuple[str, int, str, tuple[str, ...]], list[Result]] = defaultdict(list)
    for result in results:
        if result.state == "done":
            groups[result.set, result.budget, result.method, tuple(result.options)].append(result)
    floors = find_floors(results)
    for key in sorted(groups, key=lambda key: (NAMES.index(key[0]), order_method(key[2]), key[1], key[3])):
        lines.append("| " + " | ".join(_format_row(key, groups[key], floors.get(key[0]))) + " |")
    failed = [f"\nfailed: {one.set}, {one.method}, seed {one.seed}" for one in results if one.state == "failed"]
    commits = sorted({result.commit for result in results})
    told = [f"\nThe cells are of several states of the code: {', '.join(commits)}."] if len(commits) > 1 else []
    return "\n".join(lines + failed + told)


def order_method(name: str) -> int:
    """Its place in a table: floors first, then as `METHODS` lists them."""
    names = METHOD_GROUPS["all"]
    return names.index(name) if name in names else len(names)


def find_floors(results: Sequence[Result]) -> dict[str, tuple[str, float]]:
    """For each set its best floor, by mean mIoU, and that mIoU."""
    figures: dict[tuple[str, str], list[float]] = defaultdict(list)
    for result in results:
        if result.state == "done" and result.method.startswith(FLOOR):
            figures[result.set, result.method].append(result.metrics["miou"] or 0.0)
    floors: dict[str, tuple[str, float]] = {}
    for (name, method), found in figures.items():
        if name not in floors or mean(found) > floors[name][1]:
            floors[name] = method, mean(found)
    return floors


def _format_row(
    key: tuple[str, int, str, tuple[str, ...]], results: Sequence[Result], floor: tuple[str, float] | None
) -> list[str]:
    name, budget, method, options = key
    figures = [result.metrics["miou"] or 0.0 for result in results]
    is_floor = floor is not None and floor[0] == method
    over = "" if floor is None else "best floor" if is_floor else f"{100 * (mean(figures) - floor[1]):+.1f}"
    shown = f"**{method}**" if is_floor else method
    return [
        name,
        f"{budget / 60:g} min" if budget else "",
        " ".join((shown, *options)),
        str(len(results)),
        f"{100 * mean(figures):.1f}",
        f"{100 * min(figures):.1f} to {100 * max(figures):.1f}",
        *(_percent([result.metrics[metric] for result in results]) for metric in _SHOWN),
        _average([result.health.get("effective_clusters") for result in results], "{:.1f}"),
        _average([result.health.get("largest_share") for result in results], "{:.2f}"),
        _average([result.wall_seconds / 60 or None for result in results], "{:.1f}"),
        " + ".join(
            _average([result.updates[stage]["per_minute"] for result in results], "{:.0f}")
            for stage in ("pretrain", "train")
            if all(stage in result.updates for result in results)
        ),
        over,
    ]


_SHOWN = ("accuracy", "many_to_one_miou", "boundary_f")


def _percent(values: Sequence[float | None]) -> str:
    return _average([None if value is None else 100 * value for value in values], "{:.1f}")


def _average(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return form.format(mean(known)) if known else ""


def _is_same(one: Result, other: Result) -> bool:
    names = ("set", "method", "seed", "budget", "options")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _describe(result: Result) -> str:
    if result.state == "failed":
        return f"failed: {result.error.strip().splitlines()[-1] if result.error.strip() else 'it said nothing'}"
    miou, accuracy = result.metrics["miou"] or 0, result.metrics["accuracy"] or 0
    return f"mIoU {100 * miou:.1f}, accuracy {100 * accuracy:.1f}, {result.wall_seconds / 60:.1f} min"


def _estimate(cells: Sequence[Cell]) -> str:
    return f"{sum(cell.budget for cell in cells) / 3600:.1f} h"


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = {**{name: (name,) for name in NAMES}, **GROUPS}
    methods = {**{name: (name,) for name in METHOD_GROUPS["all"]}, **METHOD_GROUPS}
    listed: dict[str, Any] = {"sets": names, "methods": methods}
    parser.add_argument("--sets", default="usual", help=f"with commas between: {', '.join(names)}")
    parser.add_argument("--methods", default="all", help=f"with commas between: {', '.join(methods)}")
    parser.add_argument("--seeds", default="0,1,2", help="with commas between")
    parser.add_argument("--budget", help="of each training, as 90s or 25m; each set's own if left out")
    parser.add_argument("--curve", action="store_true", help="half and double the budget too")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for every training")
    parser.add_argument("--out", type=Path, default=Path("bench-quality"), help="folder of results and runs")
    parser.add_argument("--table", action="store_true", help="run nothing, print what is there")
    options = parser.parse_args()
    options.seeds = [int(seed) for seed in options.seeds.split(",")]
    for what, known in listed.items():
        chosen = [name.strip() for name in getattr(options, what).split(",") if name.strip()]
        unknown = [name for name in chosen if name not in known]
        if unknown:
            parser.error(f"--{what}: there is no `{unknown[0]}`; there are {', '.join(known)}")
        setattr(options, what, list(dict.fromkeys(one for name in chosen for one in known[name])))
    return options


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
