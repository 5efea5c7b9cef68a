"""Where a project stands: each stage done, stale, stopped, failed or missing, and the next command.

In: the records, checkpoint manifests and the settings as they are now. Out: one `ProjectStatus`. Reads only, and only
small files: it answers at once, also while a stage runs.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from fs4cli.errors import ProjectError
from fs4cli.files import read_json
from fs4cli.project.lock import Run, is_locked, read_run
from fs4cli.project.project import NEEDS, STAGES, Project
from fs4cli.project.record import Record, find_changes, read_record

State = Literal["missing", "running", "stopped", "failed", "stale", "done", "damaged"]
StageSettings = Mapping[str, tuple[Mapping[str, Any], Collection[str]]]
"""For each stage, the settings that shape its result by dotted key, and those among them that somebody chose."""
_JOB = ("ingest", "pretrain", "cluster", "train")


@dataclass(frozen=True)
class StageStatus:
    """Where one stage stands.

    Args:
        stage: Its name.
        state: `missing` never ran; `running` now; `stopped` goes on with the same command; `failed` stopped with an
            error; `stale` does not fit what it was made from any more; `damaged` cannot be read.
        reasons: Why it is stale, failed or damaged, a line each.
        waits_for: Earlier stages that are not done: what it was made from is being made again.
        step: Of the newest checkpoint of a stage that is not done; None if there is none.
        steps: Steps in all, where known.
        seconds: How long a finished stage took, from its first start to its end.
        summary: What the record says it made.
        is_finished: Its result is whole, even if stale.
    """

    stage: str
    state: State
    reasons: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    step: int | None = None
    steps: int | None = None
    seconds: float | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    is_finished: bool = False


@dataclass(frozen=True)
class ProjectStatus:
    """Where a project stands.

    Args:
        root: Its folder.
        stages: Every stage in order.
        run: Who writes now, or who wrote last.
        is_running: Somebody writes now.
        next_command: What to type next, without naming the project.
    """

    root: str
    stages: tuple[StageStatus, ...]
    run: Run | None
    is_running: bool
    next_command: str

    @property
    def stale(self) -> tuple[str, ...]:
        """The stages whose results no longer fit."""
        return tuple(stage.stage for stage in self.stages if stage.state in ("stale", "damaged"))


def read_status(project: Project, settings: StageSettings, *, has_images: bool = False) -> ProjectStatus:
    """Where a project stands; never raises for what a stage left behind.

    Args:
        project: Whose folder.
        settings: As they are now.
        has_images: The settings name images to learn from.
    """
    run = read_run(project)
    running = is_locked(project)
    found: dict[str, StageStatus] = {}
    records: dict[str, Record | None] = {}
    for stage in STAGES:
        found[stage] = _read_stage(project, stage, settings[stage], found, records, run, running)
    stages = tuple(found.values())
    return ProjectStatus(str(project.root), stages, run, running, _next_command(found, running, has_images))


def why_start_over(stage: str, found: Mapping[str, StageStatus]) -> tuple[str, ...]:
    """Why what a stage made, or began, cannot be kept, a line a reason; empty if it can.

    Args:
        stage: Its name.
        found: The status of every stage by name. A stale stage that this one stands on is going to change, but for
            ingest: its settings may change, or the images' folder move, and the images stay the same.
    """
    own = found[stage]
    if own.state != "stale":
        return ()
    upstream = [found[name] for name in own.waits_for if found[name].state == "stale" and name != "ingest"]
    return own.reasons or tuple(f"{one.stage}: {reason}" for one in upstream for reason in one.reasons)


def _read_stage(
    project: Project,
    stage: str,
    settings: tuple[Mapping[str, Any], Collection[str]],
    before: Mapping[str, StageStatus],
    records: dict[str, Record | None],
    run: Run | None,
    running: bool,
) -> StageStatus:
    records[stage] = None
    try:
        record = records[stage] = read_record(project, stage)
    except ProjectError as error:
        return StageStatus(stage, "damaged", (error.message,))
    if record is None:
        return StageStatus(stage, "missing")
    reasons = _find_reasons(stage, record, settings, records)
    waits_for = tuple(needed for needed in NEEDS[stage] if before[needed].state not in ("done", "running"))
    found = StageStatus(stage, "stopped", reasons, waits_for, summary=dict(record.summary))
    if record.state == "done":
        state = "stale" if reasons or waits_for else "done"
        return replace(found, state=state, seconds=_seconds(record), is_finished=True)
    found = replace(found, step=_newest_step(project, stage), steps=_steps(record))
    if running and run is not None and run.stage in ("", stage):
        return replace(found, state="running", reasons=(), waits_for=())
    if reasons or waits_for:
        return replace(found, state="stale")
    if run is not None and run.outcome == "failed" and run.stage == stage:
        return replace(found, state="failed", reasons=(run.message,))
    return found


def _find_reasons(
    stage: str,
    record: Record,
    settings: tuple[Mapping[str, Any], Collection[str]],
    records: Mapping[str, Record | None],
) -> tuple[str, ...]:
    values, explicit = settings
    inputs = {}
    for needed in NEEDS[stage]:
        source = records[needed]
        if source is not None and source.state == "done":
            inputs[needed] = source.fingerprint
    return tuple(find_changes(record, settings=dict(values), explicit=explicit, inputs=inputs))


def _newest_step(project: Project, stage: str) -> int | None:
    """The step of the newest checkpoint that is there in full length."""
    folder = project.checkpoints(stage)
    try:
        rows = read_json(folder / "manifest.json", limit=1024 * 1024)["checkpoints"]
        steps = [row["step"] for row in rows if type(row["step"]) is int]
        sizes = {row["step"]: row["bytes"] for row in rows}
        whole = [step for step in steps if (folder / f"step-{step:07d}.pt").stat().st_size == sizes[step]]
        return max(whole, default=None)
    except (OSError, ProjectError, LookupError, TypeError):
        return None


def _steps(record: Record) -> int | None:
    key = f"{record.stage}.steps"
    value = record.planned.get(key, record.settings.get(key))
    return value if isinstance(value, int) else None


def _seconds(record: Record) -> float | None:
    if isinstance(record.summary.get("seconds"), int | float):
        return float(record.summary["seconds"])
    try:
        return (datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)).total_seconds()
    except ValueError:
        return None


def _next_command(found: Mapping[str, StageStatus], running: bool, has_images: bool) -> str:
    if running:
        return "fs4 status"
    damaged = next((stage for stage in _JOB if found[stage].state == "damaged"), None)
    if damaged is not None:
        return f"fs4 {damaged} --fresh"
    if found["ingest"].state == "missing" and not has_images:
        return "fs4 train --images DIR"
    half_way = [found[stage] for stage in ("pretrain", "cluster") if not found[stage].is_finished]
    if why_start_over("train", found) or any(stage.state == "stale" and stage.reasons for stage in half_way):
        return "fs4 train --fresh"
    if any(found[stage].state != "done" for stage in _JOB):
        return "fs4 train"
    return "fs4 predict IMAGE -o mask.png"
