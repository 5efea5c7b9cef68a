"""A data set's folder -> what is wrong with it. Needs no model and no project."""

from dataclasses import dataclass
from pathlib import Path

from fs4cli.config import Settings
from fs4cli.errors import Interrupted
from fs4cli.evaluation.checking import check_counts, check_files
from fs4cli.evaluation.dataset import find_dataset
from fs4cli.evaluation.problems import Problem
from fs4cli.evaluation.protocols import FULL
from fs4cli.parallel import count_workers
from fs4cli.progress import Progress


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Args:
        dataset: Its name.
        root: The folder that was checked.
        split: The part of it.
        found: Where labels and images lie, and how many.
        listing: Which images would be scored.
        labels: How many labels were read.
        problems: Everything that is wrong.
    """

    dataset: str
    root: Path
    split: str
    found: tuple[str, ...]
    listing: str
    labels: int
    problems: tuple[Problem, ...]


def run_check_dataset(
    settings: Settings,
    *,
    dataset: str,
    root: Path | None,
    split: str | None,
    listing: str = "auto",
    progress: Progress,
) -> CheckResult:
    """Read every label and image of a split: counts, sizes, label values, damage.

    Args:
        settings: `workers`, and `evaluate.void` where nothing else tells which value is void.
        dataset: Its name.
        root: Its folder; looked for if left out.
        split: Which part of it; the one that is scored by default if left out.
        listing: Which images would be scored; see `evaluation.selection`.
        progress: Is told how far it is.

    Raises:
        InputError: It is not there.
        UsageError: There is no such data set or split.
        Interrupted: A signal asked to stop.
    """
    found = find_dataset(dataset, root=root, split=split, protocol=FULL, void=settings.evaluate.void)
    selection = found.select(listing=listing)
    problems = check_counts(found.benchmark, found.layout, selection)
    total = len(found.layout.labels)
    with progress.task("check", total, unit="images") as task:
        for problem in check_files(found.layout, found.reader, workers=count_workers(settings.workers)):
            problems += [problem] if problem else []
            task.advance()
            signal = progress.stop_requested()
            if signal is not None:
                raise Interrupted("the check was stopped", signal=signal)
    return CheckResult(
        dataset=found.benchmark.name,
        root=found.layout.root,
        split=found.split,
        found=found.layout.words,
        listing=selection.listing,
        labels=total,
        problems=tuple(sorted(set(problems), key=lambda problem: (problem.name, problem.reason))),
    )
