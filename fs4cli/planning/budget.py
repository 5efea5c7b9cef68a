"""From a wall-clock budget to a number of updates: half of it is for pretraining, train has what is left by the clock.

In: a stage that was opened, the budget, a function that measures. Out: the stage with its steps, kept in its record, so
that a resumed run does the same number.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from fs4cli.config import stage_settings, with_values
from fs4cli.duration import parse_duration
from fs4cli.planning.facts import read_facts
from fs4cli.planning.stage import OpenedStage
from fs4cli.project.plan import Planned, plan_values, write_plan
from fs4cli.project.project import Project
from fs4cli.project.record import Record, read_record, write_record

UPDATES_SHARE = 0.94
"""Of a budget for the whole job; the rest is for later assignments, for starting and for saving."""

ASSIGN_SHARE = 0.03
"""Of a budget: that part of the rest that is for later assignments. Where they take longer, training has less."""

PRETRAIN_SHARE = 0.5
"""Of a budget; train has what is then left of the updates' share, with all that came before it by the clock off."""

LEAST_TRAIN_SHARE = 0.3
"""Of a budget, however long came before: earlier stages may have run without a budget, or paused for a night."""


def plan_budget(
    project: Project,
    opened: OpenedStage,
    *,
    budget: str | None,
    seconds_per_step: Callable[[], float],
    seconds_after: Callable[[], float] = lambda: 0.0,
    warn: Callable[[str], None] = lambda _: None,
) -> OpenedStage:
    """Set a stage's steps from the wall-clock budget, once; chosen steps, and those of a resumed stage, stay.

    Args:
        project: Whose stage.
        opened: From `open_stage`.
        budget: As in the settings: 90s, 20m, 8h, or None.
        seconds_per_step: Measures a step; only called when the steps are still to be set.
        seconds_after: Foretells what the stage will do beside its steps, as assigning all images anew; called likewise.
        warn: Told if the budget cannot be held.
    """
    stage = opened.record.stage
    key = f"{stage}.steps"
    if stage_settings(opened.settings, stage)[0][key] != "auto":
        return opened
    facts = read_facts(project, opened.settings)
    if budget is None:  # a run with a budget was stopped before it could measure, and this one has none
        planned = plan_values(facts, opened.settings.preset)[key]
    else:
        cost, total, after = seconds_per_step(), parse_duration(budget), seconds_after()
        seconds = _find_seconds(project, opened, total, after)
        spent = _find_spent(project, opened)
        if after > ASSIGN_SHARE * total and spent + seconds + after > 1.1 * total:
            warn(
                f"the budget of {budget} will not be held: {_tell(spent)} are gone, training takes {_tell(seconds)}"
                f" more, and assigning all images anew {_tell(after)}; nothing is left out for it: ask for a larger"
                " `--budget` if it has to be held"
            )
        reason = f"{seconds:.0f} s of the budget of {budget} at {cost:.3f} s a step, measured"
        planned = Planned(max(20, int(seconds / cost)), reason)
    record = replace(opened.record, planned={**opened.record.planned, key: planned.value})
    write_record(project, record)
    write_plan(project, facts, {key: planned})
    return replace(opened, record=record, settings=with_values(opened.settings, {key: planned.value}))


def _find_seconds(project: Project, opened: OpenedStage, budget: float, after: float) -> float:
    """What a stage's updates may take, if `after` seconds of other work follow."""
    if opened.record.stage == "pretrain":
        is_last_to_learn = opened.settings.train.method == "kmeans"
        return budget * (UPDATES_SHARE if is_last_to_learn else PRETRAIN_SHARE)
    left = budget * UPDATES_SHARE - _find_spent(project, opened) - max(0.0, after - budget * ASSIGN_SHARE)
    return max(budget * LEAST_TRAIN_SHARE, left)


def _tell(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _find_spent(project: Project, opened: OpenedStage) -> float:
    """What this stage and those before it took until now."""
    before = [read_record(project, stage) for stage in ("pretrain", "cluster") if stage != opened.record.stage]
    return sum(_measure_seconds(record) for record in (*before, opened.record) if record is not None)


def _measure_seconds(record: Record) -> float:
    """By the clock, since a stage was begun; pauses count."""
    try:
        finished = datetime.fromisoformat(record.finished) if record.finished else datetime.now(UTC)
        return max(0.0, (finished - datetime.fromisoformat(record.started)).total_seconds())
    except (ValueError, TypeError):  # anybody may have edited the record: no time, or none with a zone
        return 0.0


def measure_steps(objective, source, *, device, precision, rounds: int = 5) -> float:
    """Seconds of one update, measured on a copy: the median of a few, after one that does not count.

    Args:
        objective: `objective(batch, step) -> LossTerms`; not changed.
        source: Of batches.
        device: Where the objective lies.
        precision: Of its forward pass.
        rounds: Updates that count.
    """
    import torch

    from fs4cli.model.device import autocast, is_out_of_memory

    def update(step: int, parts: int) -> float:
        batch = source.batch(step).to(device)
        started = time.perf_counter()
        for part in batch.split(parts):
            with autocast(device, precision):
                loss = copied(part, step)
            loss.total.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    copied = copy.deepcopy(objective).to(device, memory_format=torch.channels_last).train()
    times: list[float] = []
    parts = 1
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        while len(times) <= rounds:
            try:
                times.append(update(len(times), parts))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or parts >= source.batch_size:
                    raise
                parts, times = 2 * parts, []  # as training itself will cut its batches
                copied.zero_grad(set_to_none=True)
    # the optimizer and the average add a few per cent that are not measured here
    return sorted(times[1:])[rounds // 2] * 1.08
