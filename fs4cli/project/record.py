"""What a stage ran with and what it made: `record.json`; is it done, stopped or stale?

A record is written when a stage starts (`running`) and again when it ends (`done`). Settings that were left to their
default are not compared: a value given once on the command line stays until another one is given.
"""

import platform
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from fs4cli.errors import ProjectError
from fs4cli.files import build_row, hash_value, read_json, write_json
from fs4cli.project.project import NEEDS, Project

FORMAT = 1
"""Grows when an older fs4 could not read the state any more."""


@dataclass(frozen=True)
class Record:
    """One stage's `record.json`.

    Args:
        stage: Its name.
        state: `running` from the first second, `done` when the result is whole.
        settings: Every setting that shapes the result, as dotted key and value, before planning.
        explicit: The keys among them that somebody chose (file, environment or command line).
        planned: What `auto` came to, by dotted key.
        inputs: The fingerprint of each stage's result that was read.
        outputs: A hash of each thing it made, or what else its result is told by; empty until it is done.
        fingerprint: Of this stage's result, made from `outputs`; empty until it is done.
        summary: Numbers worth showing: images, steps, seconds.
        seed: Of all the stage's randomness.
        versions: Of fs4 and what it ran on.
        started: When the first run began, ISO 8601, UTC.
        finished: When it was done; empty before.
    """

    stage: str
    state: Literal["running", "done"]
    settings: dict[str, Any]
    explicit: list[str]
    inputs: dict[str, str]
    seed: int
    planned: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    summary: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    started: str = ""
    finished: str = ""
    format: int = FORMAT


def start_record(
    stage: str, *, settings: dict[str, Any], explicit: Collection[str], inputs: dict[str, str], seed: int
) -> Record:
    """A record of a stage that starts now; it is not on disk until `write_record`."""
    from importlib.metadata import version  # slow to import, and `fs4 status` only reads

    return Record(
        stage=stage,
        state="running",
        settings=settings,
        explicit=sorted(explicit),
        inputs=inputs,
        seed=seed,
        versions={"fs4cli": version("fs4cli"), "python": platform.python_version()},
        started=_now(),
    )


def finish_record(record: Record, *, outputs: dict[str, Any], summary: dict[str, Any]) -> Record:
    """The record of the same stage, done: `outputs` (hashes of what it made) become its fingerprint."""
    return replace(
        record,
        state="done",
        outputs=outputs,
        fingerprint=hash_value(outputs),
        summary={**record.summary, **summary},
        finished=_now(),
    )


def write_record(project: Project, record: Record) -> None:
    """Write a stage's record, whole or not at all."""
    write_json(project.record(record.stage), asdict(record))


def read_record(project: Project, stage: str) -> Record | None:
    """The record of a stage, or None if it never started.

    Raises:
        ProjectError: The file is damaged, of another stage, or of another format.
    """
    path = project.record(stage)
    try:
        values = read_json(path)
    except FileNotFoundError:
        return None
    found = values.get("format") if isinstance(values, dict) else None
    if type(found) is int and found != FORMAT:
        age, remedy = ("a newer", "update fs4") if found > FORMAT else ("an older", "use the fs4 that wrote it")
        raise ProjectError(
            f"`{path}` was written by {age} fs4: it is of format {found}, and this fs4 reads format {FORMAT}",
            hints=(f"{remedy}, or use a new project folder",),
        )
    try:
        record = build_row(Record, values)
        if record.stage != stage:
            raise TypeError(f"it is of `{record.stage}`")
        return record
    except TypeError as error:
        raise ProjectError(
            f"`{path}` is not a record: {error}", hints=(f"delete the folder `{path.parent}`",)
        ) from None


def find_changes(
    record: Record, *, settings: dict[str, Any], explicit: Collection[str], inputs: dict[str, str]
) -> list[str]:
    """Why a stage's result no longer fits what it was made from, a line a reason; empty if it does.

    Args:
        record: What the stage ran with.
        settings: What it would run with now, by dotted key.
        explicit: The keys among them that somebody chose now.
        inputs: The fingerprints of the results it would read now.
    """
    now = hash_value  # compare as JSON does: a tuple and a list are the same setting
    reasons = []
    for key, value in settings.items():
        before = record.settings.get(key, value)
        # what nobody chooses now is as it was then, chosen or not: a default may have changed since
        if key in explicit and now(before) != now(value):
            reasons.append(f"{key} changed {_show(before)} -> {_show(value)}")
    for stage, fingerprint in inputs.items():
        if record.inputs.get(stage, fingerprint) != fingerprint:
            reasons.append(f"the result of {stage} changed")
    return reasons


def read_inputs(project: Project, stage: str) -> dict[str, str]:
    """The fingerprints of the stages that `stage` stands on.

    Raises:
        ProjectError: One of them is not done; names the command to run.
    """
    fingerprints = {}
    for needed in NEEDS[stage]:
        record = read_record(project, needed)
        if record is None or record.state != "done":
            word = "has not been run" if record is None else "has not finished"
            raise ProjectError(
                f"{stage} needs the result of {needed}, which {word}", hints=(f"run `fs4 {needed}` first",)
            )
        fingerprints[needed] = record.fingerprint
    return fingerprints


def _show(value: Any) -> str:
    if isinstance(value, list | tuple):
        return str(list(value))  # JSON has made a list of what was a tuple
    return "nothing" if value is None else str(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def recorded_value(project: Project, stage: str, key: str) -> Any:
    """What a setting came to when a stage ran: as planned, else as chosen.

    Raises:
        ProjectError: The stage never ran.
    """
    record = read_record(project, stage)
    if record is None:
        raise ProjectError(f"{stage} has not been run", hints=(f"run `fs4 {stage}` first",))
    return record.planned.get(key, record.settings.get(key))
