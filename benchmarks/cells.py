"""One cell of the quality bench: a set, a method, a seed and a budget in, figures out.

Everything runs in processes of its own through the command line that users type. Learning and masks are made under a
blindfold: a process that opens a label, or lists a folder of them, is stopped (benchmarks/blindfold). Only the scorer
sees labels, and it sees nothing but them and the finished masks.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from methods import METHODS
from sets import DataSet

from fs4cli.files import hash_value, read_json, write_json

HERE = Path(__file__).parent
FLOOR = "floor: "
"""How a floor's name begins among methods."""

_CLOCK = "pretrained.json"
"""How long it took until a network was pretrained; beside the project."""

_KEPT = ("model.safetensors", "model.json", "record.json", "metrics.jsonl", "grouping.json", "plan.json")


@dataclass(frozen=True)
class Cell:
    """What is asked.

    Args:
        set: A data set's name.
        method: A name in `METHODS`, or `FLOOR` and a name in `FLOORS`.
        seed: Of all randomness.
        budget: Seconds of training; 0 for a floor.
        options: More settings for every run, as one types them.
    """

    set: str
    method: str
    seed: int
    budget: int
    options: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Its folder below the runs."""
        name = "".join(letter if letter.isalnum() else "-" for letter in self.method)
        more = f"-{hash_value(self.options)[:8]}" if self.options else ""
        return f"{self.set}/{name}/seed-{self.seed}-budget-{self.budget}{more}"


@dataclass(frozen=True)
class Result:
    """What came of a cell; goes into JSON.

    Args:
        set: Of the cell.
        method: Of the cell.
        seed: Of the cell.
        budget: Of the cell.
        options: Of the cell.
        settings: The method's own settings.
        state: `done` or `failed`.
        error: The end of what a failed run said.
        metrics: Figures against the labels, fractions.
        health: Figures of the last assignment that need no label.
        grouping: What the first grouping was made from.
        updates: By stage: updates, and updates a minute.
        wall_seconds: Of learning, from the start of its first process to the end of its last.
        mask_seconds: Of making masks.
        images: Scored.
        commit: Of the code that ran.
        pretrain_commit: Of the code that pretrained, which may have been for another cell; empty if that is not known.
        started: ISO 8601, UTC.
    """

    set: str
    method: str
    seed: int
    budget: int
    options: tuple[str, ...]
    settings: dict[str, str]
    state: str
    error: str = ""
    metrics: dict[str, float | None] = field(default_factory=dict)
    health: dict[str, float] = field(default_factory=dict)
    grouping: dict[str, Any] = field(default_factory=dict)
    updates: dict[str, dict[str, float]] = field(default_factory=dict)
    wall_seconds: float = 0.0
    mask_seconds: float = 0.0
    images: int = 0
    commit: str = ""
    pretrain_commit: str = ""
    started: str = ""

    def answers(self, cell: Cell) -> bool:
        """Whether it is a finished result of that cell."""
        mine = (self.set, self.method, self.seed, self.budget, tuple(self.options))
        return self.state == "done" and mine == (cell.set, cell.method, cell.seed, cell.budget, cell.options)


class RunFailed(RuntimeError):
    """A process of a cell ended with an error; the message is the end of what it said."""


def run_cell(cell: Cell, data: DataSet, runs: Path) -> Result:
    """Learn, make masks, score.

    Args:
        cell: What to run; what an unfinished run of it left is removed first.
        data: The cell's set.
        runs: Folder of all runs; the cell's own folder keeps its masks, report, records and model.
    """
    folder = runs / cell.place
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    settings = {} if cell.method.startswith(FLOOR) else METHODS[cell.method]
    known = {**asdict(cell), "settings": settings, "commit": find_commit(), "started": started}
    try:
        learn = _run_floor if cell.method.startswith(FLOOR) else _run_method
        figures = learn(cell, data, folder)
        report = _score(data, folder)
    except RunFailed as error:
        return Result(**known, state="failed", error=str(error))
    return Result(**known, **figures, state="done", metrics=report["metrics"], images=report["images"])


def _run_method(cell: Cell, data: DataSet, folder: Path) -> dict[str, Any]:
    project = folder / "project"
    chosen = {"seed": str(cell.seed), **METHODS[cell.method], **dict(one.split("=", 1) for one in cell.options)}
    options = [part for key, value in chosen.items() for part in ("--set", f"{key}={value}")]
    here = ("-C", str(project), "--progress", "lines")
    hidden, log = (*data.hidden, *data.held_out), folder / "log.txt"
    budget = ("--budget", f"{cell.budget}s", *options, *here)
    pretrained = folder.parents[1] / "pretrained" / name_pretrained(cell)
    if not pretrained.exists():
        began = time.monotonic()
        _fs4(("init", str(project), "-q"), hidden=hidden, log=log)
        _fs4(("ingest", "--images", str(data.train), *options, *here), hidden=hidden, log=log)
        _fs4(("pretrain", *budget), hidden=hidden, log=log)
        write_json(project / _CLOCK, {"seconds": time.monotonic() - began, "commit": find_commit()})
        pretrained.parent.mkdir(exist_ok=True)
        project.replace(pretrained)
    shutil.copytree(pretrained, project)
    began = time.monotonic()
    _fs4(("train", "--classes", str(data.classes), *budget), hidden=hidden, log=log)
    clock = read_json(project / _CLOCK)
    wall = clock["seconds"] + time.monotonic() - began
    began = time.monotonic()
    _fs4(("predict", str(data.test), "-o", str(folder / "masks"), *options, *here), hidden=data.hidden, log=log)
    masks = time.monotonic() - began
    record = read_json(project / "train" / "record.json")
    grouping = project / "train" / "round-1" / "grouping.json"
    summary = read_json(grouping) if grouping.exists() else {}
    figures = {
        "wall_seconds": round(wall, 1),
        "pretrain_commit": clock.get("commit", ""),
        "mask_seconds": round(masks, 1),
        "health": record["summary"].get("health", {}),
        "grouping": {name: value for name, value in summary.items() if name != "rule"},  # some hundred numbers
        "updates": {stage: _measure_speed(project / stage / "record.json") for stage in ("pretrain", "train")},
    }
    _keep_little(project, folder)
    return figures


def name_pretrained(cell: Cell) -> str:
    """The folder of a cell's pretraining: methods that pretrain alike share it, and each is charged its seconds."""
    chosen = METHODS[cell.method]
    own = {key: value for key, value in chosen.items() if key.startswith(("pretrain.", "model."))}
    # pretraining has the whole budget where training makes no updates
    alone = chosen.get("train.method") == "kmeans"
    known = hash_value([own, alone, list(cell.options)])[:8]
    return f"seed-{cell.seed}-budget-{cell.budget}-{known}"


def _measure_speed(record: Path) -> dict[str, float]:
    summary = read_json(record)["summary"]
    steps, seconds = summary["steps"], summary["seconds"]
    return {"steps": steps, "seconds": seconds, "per_minute": round(60 * steps / seconds, 1) if seconds else 0.0}


def _run_floor(cell: Cell, data: DataSet, folder: Path) -> dict[str, Any]:
    began = time.monotonic()
    script = (str(HERE / "floors.py"), cell.method.removeprefix(FLOOR), str(data.train), str(data.test))
    options = (str(folder / "masks"), "--classes", str(data.classes), "--seed", str(cell.seed))
    _run((sys.executable, *script, *options), hidden=data.hidden, log=folder / "log.txt")
    return {"mask_seconds": round(time.monotonic() - began, 1)}


def _score(data: DataSet, folder: Path) -> dict[str, Any]:
    """The figures of the masks in the folder: the only process that may see the labels."""
    report = folder / "report.json"
    masks = folder / "masks"
    command = ("evaluate", "--predictions", str(masks), "--labels", str(data.labels), "-o", str(report))
    _fs4(command, hidden=(), log=folder / "log.txt")
    found = read_json(report)
    return {"metrics": choose_metrics(found["metrics"]["all"]), "images": found["counted"]["images"]}


def choose_metrics(found: dict[str, Any]) -> dict[str, float | None]:
    """The figures of a report that the bench keeps; clusters are matched one to one where nothing else is said."""
    names = ("miou", "accuracy", "many_to_one_miou", "many_to_one_accuracy", "boundary_f", "nmi")
    return {name: found[name] for name in names} | {f"iou of {name}": iou for name, iou in found["class_iou"].items()}


def _fs4(arguments: Sequence[str], *, hidden: Sequence[Path], log: Path) -> None:
    _run((sys.executable, "-m", "fs4cli", *arguments), hidden=hidden, log=log)


def _run(command: Sequence[str], *, hidden: Sequence[Path], log: Path) -> None:
    """Run to the end, blind to the hidden folders.

    Raises:
        RunFailed: It ended with an error, or tried to see what is hidden, whatever became of it.
    """
    tries = log.with_name("tries.txt")
    with log.open("ab") as file:
        began = file.tell()
        environment = {**blindfold(hidden), "FS4_BLINDFOLD_LOG": str(tries.resolve())}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment)
    if tries.exists():
        raise RunFailed(
            f"{' '.join(command[1:4])} tried to see what only the scorer may see: {tries.read_text()[:1500]}"
        )
    if done.returncode:
        said = log.read_bytes()[began:].decode(errors="replace")
        raise RunFailed(f"{' '.join(command[1:4])} ended with {done.returncode}: {said[-1500:]}")


def blindfold(hidden: Sequence[Path]) -> dict[str, str]:
    """The environment of a process that cannot open what lies in the hidden folders, nor can any that it starts."""
    places = (str(HERE / "blindfold"), str(HERE.parent), os.environ.get("PYTHONPATH", ""))
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(place for place in places if place),
        "FS4_BLINDFOLD": os.pathsep.join(str(folder.resolve()) for folder in hidden),
    }


def _keep_little(project: Path, folder: Path) -> None:
    """Keep what tells how it went; the decoded images and checkpoints of a hundred runs would fill a disk."""
    for path in sorted(project.rglob("*")):
        if path.name in _KEPT and path.is_file():
            target = folder / "kept" / path.relative_to(project)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    shutil.rmtree(project)


def find_commit() -> str:
    """The commit of this tree, with a plus if something in it was changed."""
    done = subprocess.run(
        ("git", "describe", "--always", "--dirty=+", "--exclude=*"),
        cwd=HERE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"
