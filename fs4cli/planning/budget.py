"""From a wall-clock budget to a number of updates: each stage has its share, and a measured update sets its steps.

In: a stage that was opened, the budget, a function that measures. Out: the stage with its steps, kept in its record, so
that a resumed run does the same number.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import replace

from fs4cli.config import Settings, stage_settings, with_values
from fs4cli.planning.duration import parse_duration
from fs4cli.planning.facts import read_facts
from fs4cli.planning.stage import OpenedStage
from fs4cli.project.plan import Planned, plan_values, write_plan
from fs4cli.project.project import Project
from fs4cli.project.record import recorded_value, write_record

BUDGET_SHARES = {"pretrain": 0.5, "cluster": 0.05, "train": 0.4}
"""How a budget for the whole job is divided; the rest is for opening, saving and ingest."""


def plan_budget(
    project: Project, opened: OpenedStage, *, budget: str | None, seconds_per_step: Callable[[], float]
) -> OpenedStage:
    """Set a stage's steps from the wall-clock budget, once; chosen steps, and those of a resumed stage, stay.

    Args:
        project: Whose stage.
        opened: From `open_stage`.
        budget: As in the settings: 90s, 20m, 8h, or None.
        seconds_per_step: Measures a step; only called when the steps are still to be set.
    """
    stage = opened.record.stage
    key = f"{stage}.steps"
    if stage_settings(opened.settings, stage)[0][key] != "auto":
        return opened
    facts = read_facts(project, opened.settings)
    if budget is None:  # a run with a budget was stopped before it could measure, and this one has none
        planned = plan_values(facts, opened.settings.preset)[key]
    else:
        share = _share_budget(project, stage, opened.settings) * parse_duration(budget)
        cost = seconds_per_step()
        reason = f"{share:.0f} s of the budget of {budget} at {cost:.3f} s a step, measured"
        planned = Planned(max(20, int(share / cost)), reason)
    record = replace(opened.record, planned={**opened.record.planned, key: planned.value})
    write_record(project, record)
    write_plan(project, facts, {key: planned})
    return replace(opened, record=record, settings=with_values(opened.settings, {key: planned.value}))


def _share_budget(project: Project, stage: str, settings: Settings) -> float:
    """A stage's share; what pretrain or train does not need, as it makes no updates, is the other's."""
    share = BUDGET_SHARES[stage]
    if stage == "train" and recorded_value(project, "pretrain", "pretrain.steps") == 0:
        share += BUDGET_SHARES["pretrain"]
    if stage == "pretrain" and settings.train.method == "kmeans":
        share += BUDGET_SHARES["train"]
    return share


def measure_steps(objective, source, *, device, precision, rounds: int = 3) -> float:
    """Seconds of one update, measured on a copy: the median of a few, after one that does not count.

    Args:
        objective: `objective(batch, step) -> LossTerms`; not changed.
        source: Of batches.
        device: Where the objective lies.
        precision: Of its forward pass.
        rounds: Updates that count.
    """
    import torch

    from fs4cli.model.device import autocast

    copied = copy.deepcopy(objective).to(device, memory_format=torch.channels_last).train()
    times = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for step in range(rounds + 1):
            batch = source.batch(step).to(device)
            started = time.perf_counter()
            with autocast(device, precision):
                loss = copied(batch, step)
            loss.total.backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - started)
    # the optimizer and the average add a few per cent that are not measured here
    return sorted(times[1:])[rounds // 2] * 1.08
