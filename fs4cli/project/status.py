"""Where a project stands: each stage done, stale, stopped, failed or missing, and the next command.

In: the records, checkpoint manifests and the settings as they are now. Out: one `ProjectStatus`. Reads only, and only
small files: it answers at once, also while a stage runs.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
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
        step: Of the newest checkpoint of a stage that is not done; None if there is none.
        steps: Steps in all, where known.
        seconds: How long a finished stage took, from its first start to its end.
        summary: What the record says it made.
        is_finished: Its result is whole, even if stale.
    """

    stage: str
    state: State
    reasons: tuple[str, ...] = ()
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
        next_command: What to type next.
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
    reasons = _find_reasons(stage, record, settings, before, records)
    if record.state == "done":
        state = "stale" if reasons else "done"
        return StageStatus(
            stage, state, reasons, seconds=_seconds(record), summary=dict(record.summary), is_finished=True
        )
    step, steps = _newest_step(project, stage), _steps(record)
    if running and run is not None and run.stage in ("", stage):
        return StageStatus(stage, "running", (), step, steps, summary=dict(record.summary))
    if reasons:
        return StageStatus(stage, "stale", reasons, step, steps, summary=dict(record.summary))
    if run is not None and run.outcome == "failed" and run.stage == stage:
        return StageStatus(stage, "failed", (run.message,), step, steps, summary=dict(record.summary))
    return StageStatus(stage, "stopped", (), step, steps, summary=dict(record.summary))


def _find_reasons(
    stage: str,
    record: Record,
    settings: tuple[Mapping[str, Any], Collection[str]],
    before: Mapping[str, StageStatus],
    records: Mapping[str, Record | None],
) -> tuple[str, ...]:
    values, explicit = settings
    inputs, reasons = {}, []
    for needed in NEEDS[stage]:
        source = records[needed]
        if source is not None and source.state == "done":
            inputs[needed] = source.fingerprint
    reasons = find_changes(record, settings=dict(values), explicit=explicit, inputs=inputs)
    changed = any("the result of" in reason for reason in reasons)
    for needed in NEEDS[stage]:
        if before[needed].state != "done" and not changed:
            reasons.append(f"{needed} is {before[needed].state}")
    return tuple(reasons)


def _newest_step(project: Project, stage: str) -> int | None:
    """The step of the newest checkpoint that is there in full length."""
    folder = project.checkpoints(stage)
    try:
        rows = read_json(folder / "manifest.json", limit=1024 * 1024)["checkpoints"]
        whole = [row["step"] for row in rows if (folder / row["file"]).stat().st_size == row["bytes"]]
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
        return "wait for the run to end, or stop it: it saves and can be resumed"
    damaged = next((stage for stage in _JOB if found[stage].state == "damaged"), None)
    if damaged is not None:
        return f"fs4 {damaged} --fresh"
    if found["ingest"].state == "missing" and not has_images:
        return "fs4 train --images DIR"
    if any(found[stage].state != "done" for stage in _JOB[:3]) or found["train"].state in (
        "missing",
        "stopped",
        "failed",
    ):
        return "fs4 train"
    if found["train"].state == "stale":
        return "fs4 train --fresh"
    return "fs4 predict IMAGE -o mask.png"
