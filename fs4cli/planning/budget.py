"""From a wall-clock budget to numbers of updates and of images, so that all stages together take as long as it says.

Half of it is for pretraining, train has what is left by the clock, and images are assigned as far as there is time.

In: a stage that was opened, the budget, a function that measures. Out: the stage with its steps, or its number of
images, kept in its record, so that a resumed run does the same number.
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
from fs4cli.project.plan import Facts, Planned, plan_values, write_plan
from fs4cli.project.project import Project
from fs4cli.project.record import Record, read_record, write_record

UPDATES_SHARE = 0.94
"""Of a budget for the whole job; the rest is for later assignments, for starting and for saving."""

ASSIGN_SHARE = 0.03
"""Of a budget: that part of the rest that is for later assignments. Where they take longer, training has less."""

BESIDE = 40.0
"""Seconds of any budget, about: what starting, measuring and finding the classes take on two cores."""

PRETRAIN_SHARE = 0.5
"""Of a budget without these seconds; train has what is then left of the updates' share, with all that came before it
by the clock off."""

LEAST_PRETRAIN_SHARE = 0.2
"""Of a budget, however little is left of it then."""

LEAST_TRAIN_SHARE = 0.15
"""Of a budget, however long came before: earlier stages may have run without a budget, or paused for a night."""

IMAGES_SHARE = 0.15
"""Of a budget: for assigning the pixels of images, in all rounds together. Of more images it takes a part."""

LEAST_IMAGES = 60
"""Are assigned whatever the budget, if there are so many: with fewer, classes are found by chance."""


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
    return _keep(project, opened, facts, key, planned)


def plan_images(
    project: Project, opened: OpenedStage, *, budget: str | None, seconds_per_image: Callable[[], float]
) -> OpenedStage:
    """Set how many images are clustered and learned from, from the wall-clock budget, once; a chosen number stays.

    Args:
        project: Whose stage.
        opened: From `open_stage`, of cluster.
        budget: As in the settings: 90s, 20m, 8h, or None.
        seconds_per_image: Measures what assigning one takes in all rounds; only called when the number is to be set.
    """
    key = "cluster.images"
    if opened.settings.cluster.images != "auto":
        return opened
    facts = read_facts(project, opened.settings)
    if budget is None:  # as above: a run with a budget was stopped before it could measure
        planned = plan_values(facts, opened.settings.preset)[key]
    else:
        cost = seconds_per_image()
        count = max(LEAST_IMAGES, int(IMAGES_SHARE * parse_duration(budget) / cost))
        reason = (
            f"as many as {IMAGES_SHARE:.0%} of the budget of {budget} is enough for, at {cost:.3f} s each, measured"
        )
        planned = Planned(facts.images, "all of them") if count >= facts.images else Planned(count, reason)
    return _keep(project, opened, facts, key, planned)


def _keep(project: Project, opened: OpenedStage, facts: Facts, key: str, planned: Planned) -> OpenedStage:
    """The stage with what a setting came to, in its record and in the plan."""
    record = replace(opened.record, planned={**opened.record.planned, key: planned.value})
    write_record(project, record)
    write_plan(project, facts, {key: planned})
    return replace(opened, record=record, settings=with_values(opened.settings, {key: planned.value}))


def _find_seconds(project: Project, opened: OpenedStage, budget: float, after: float) -> float:
    """What a stage's updates may take, if `after` seconds of other work follow."""
    if opened.record.stage == "pretrain":
        is_last_to_learn = opened.settings.train.method == "kmeans"
        half = max(LEAST_PRETRAIN_SHARE * budget, PRETRAIN_SHARE * (budget - BESIDE))
        return budget * UPDATES_SHARE if is_last_to_learn else half
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
