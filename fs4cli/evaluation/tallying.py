"""Pairs of files in, the counts of all of them out; what is counted is kept, and a stopped evaluation goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fs4cli.errors import InputError, Interrupted
from fs4cli.evaluation.classes import ClassTable
from fs4cli.evaluation.confusion import close_classes
from fs4cli.evaluation.counting import GROUP, MaskMaker, check_pairs, count_predictions, count_ready_masks
from fs4cli.evaluation.ground_truth import LabelReader
from fs4cli.evaluation.pairs import Pair, Pairing
from fs4cli.evaluation.problems import Problem, list_problems
from fs4cli.evaluation.protocols import Protocol, choose_halves
from fs4cli.evaluation.unfinished import Counted, Keeper, describe_work
from fs4cli.progress import Progress


@dataclass(frozen=True)
class Work:
    """What is to be counted, and how.

    Args:
        pairing: The files, and what is wrong with them by their names.
        reader: Of the labels.
        protocol: The rules.
        workers: Threads.
        skip_bad: Leave bad labels out instead of stopping.
        report: The report's file, beside which counts are kept; None to keep none.
        is_one_of_many: More is counted after it before the report is written, so that its counts are kept to the end.
    """

    pairing: Pairing
    reader: LabelReader
    protocol: Protocol
    workers: int
    skip_bad: bool = False
    report: Path | None = None
    is_one_of_many: bool = False


def tally_ready_masks(work: Work, progress: Progress) -> Counted:
    """Count masks from a folder.

    Raises:
        InputError: A label or mask is bad and may not be left out, or none is left.
        Interrupted: A signal asked to stop.
    """
    return _tally(work, work.pairing.pairs, list(work.pairing.problems), None, progress)


def tally_predictions(work: Work, maker: MaskMaker, progress: Progress) -> Counted:
    """Look at all files, then make the masks and count them.

    Raises:
        InputError: A label or image is bad and may not be left out, or none is left.
        Interrupted: A signal asked to stop.
    """
    pairs, problems = work.pairing.pairs, list(work.pairing.problems)
    with progress.task("evaluate: checking labels", len(pairs), unit="images") as task:
        for problem in check_pairs(pairs, work.reader, workers=work.workers):
            _stop_if_asked(progress)
            task.advance()
            problems += [problem] if problem else []
    stop_for_bad(problems, work)
    bad = {problem.name for problem in problems}
    sound = tuple(pair for pair in pairs if pair.name not in bad)
    counted = _tally(work, sound, problems, maker, progress)
    for tally in counted.tallies:
        tally.reserve(maker.clusters, 0)
    return counted


def stop_for_bad(problems: Sequence[Problem], work: Work) -> None:
    """Name all bad labels in one error, unless they may be left out.

    Raises:
        InputError: There are some.
    """
    if not problems or work.skip_bad:
        return
    total = len(work.pairing.pairs) + len(work.pairing.problems)
    raise InputError(
        f"{len(problems)} of {total} labels cannot be used",
        details=list_problems(problems),
        hints=("mend them, or leave them out of the score with `--skip-bad`",),
    )


def settle_classes(counted: Counted, reader: LabelReader) -> ClassTable:
    """The classes: the reader's, or the ids seen in the labels; then both halves get the columns of those."""
    if reader.table is not None:
        return reader.table
    first, second = counted.tallies
    both = first.merge(second)
    table = close_classes(both, reader.void)
    seen = [value for (value,) in table.values]
    for half in (first, second):
        half.reserve(0, max(seen, default=-1) + 1)
        half.keep_classes(np.array(seen, np.int64))
    return table


def _tally(
    work: Work, pairs: Sequence[Pair], problems: list[Problem], maker: MaskMaker | None, progress: Progress
) -> Counted:
    """Count pairs; `problems` are those known before, and the result has them first."""
    keeper, counted, step = None, Counted(), 1 if maker is None else GROUP
    if work.report is not None:
        key = describe_work(pairs, work.reader, work.protocol, maker=None if maker is None else maker.key)
        keeper = Keeper(work.report, key)
        counted = keeper.load()
    if counted.done:
        progress.say(f"evaluate: going on after {counted.done:,} of {len(pairs):,} images")
    left = pairs[counted.done :]
    if maker is None:
        outcomes = count_ready_masks(left, work.reader, workers=work.workers, frame=work.protocol.frame)
    else:
        outcomes = count_predictions(left, work.reader, maker, workers=work.workers, frame=work.protocol.frame)
    halves = choose_halves([pair.name for pair in work.pairing.pairs]).tolist() if work.protocol.is_crossed else []
    half_of = dict(zip((pair.name for pair in work.pairing.pairs), halves, strict=False))
    with progress.task("evaluate", len(pairs), unit="images", done=counted.done) as task:
        for pair, outcome in zip(left, outcomes, strict=True):
            if isinstance(outcome, Problem):
                counted.problems.append(outcome)
            else:
                counted.tallies[half_of.get(pair.name, 0)].add(outcome)
            counted.done += 1
            task.advance()
            if counted.done % step == 0:
                if keeper is not None:
                    keeper.keep(counted, now=progress.stop_requested() is not None)
                _stop_if_asked(progress, counted, len(pairs), is_kept=keeper is not None)
    if keeper is not None and work.is_one_of_many and left:
        keeper.keep(counted, now=True)
    stop_for_bad([*problems, *counted.problems], work)
    return Counted(counted.tallies, [*problems, *counted.problems], counted.done)


def _stop_if_asked(
    progress: Progress, counted: Counted | None = None, total: int = 0, *, is_kept: bool = False
) -> None:
    signal = progress.stop_requested()
    if signal is None:
        return
    if counted is None:
        raise Interrupted("evaluation stopped; nothing was written", signal=signal)
    raise Interrupted(
        f"evaluation stopped after {counted.done:,} of {total:,} images; there is no report yet",
        signal=signal,
        hints=("the same command goes on",) if is_kept else ("`-o FILE` or a project keeps what was counted",),
    )
