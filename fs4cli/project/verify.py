"""A whole project looked through: is every file still what fs4 wrote, and if not, what mends it?

In: a project. Out: each damage with its file and its remedy. Reads every file to its last byte, writes nothing, and
needs no torch. What a running command writes just now is passed over.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fs4cli.errors import ProjectError
from fs4cli.files import hash_value, read_json, read_json_lines
from fs4cli.project.inspection import Damage, Inspection
from fs4cli.project.lock import is_locked
from fs4cli.project.plan import read_plan
from fs4cli.project.project import STAGES, Project
from fs4cli.project.record import Record, read_record

_TRAINED = ("pretrain", "train")


@dataclass(frozen=True)
class VerifiedProject:
    """What came of looking a project through.

    Args:
        root: Its folder.
        damages: What is not as fs4 left it; empty if all is whole.
        files: Read to their last byte.
        bytes: Of these.
        stages: The stages that were looked at.
        passed_over: Those that a running command writes.
    """

    root: Path
    damages: tuple[Damage, ...]
    files: int
    bytes: int
    stages: tuple[str, ...]
    passed_over: tuple[str, ...]


def verify_project(project: Project) -> VerifiedProject:
    """Look a project through; never raises for what it finds there."""
    inspection = Inspection()
    is_written = is_locked(project)
    looked: list[str] = []
    passed_over: list[str] = []
    planned: set[str] = set()
    for place in (project.lock_path.parent, project.lock_path):
        if place.is_symlink():
            inspection.report("lock", place, "is a link, which could lead the lock elsewhere", f"`rm {place}`")
    for stage in STAGES:
        before = len(inspection.damages)
        record = _read_record(inspection, project, stage)
        if record is None:
            if len(inspection.damages) > before:
                looked.append(stage)
            continue
        if is_written and record.state == "running":
            passed_over.append(stage)
            continue
        looked.append(stage)
        planned |= set(record.planned)
        _check_stage(inspection, project, record)
    _check_plan(inspection, project, planned)
    return VerifiedProject(
        project.root, tuple(inspection.damages), inspection.files, inspection.bytes, tuple(looked), tuple(passed_over)
    )


def _read_record(inspection: Inspection, project: Project, stage: str) -> Record | None:
    path = project.record(stage)
    with inspection.expect(stage, path, f"restore it from a copy, or delete `{path.parent}` and run `fs4 {stage}`"):
        record = read_record(project, stage)
        if record is None:
            return None
        inspection.count(path)
        if record.stage != stage or record.state not in ("running", "done"):
            raise ValueError(f"it is of stage {record.stage!r} in state {record.state!r}")
        if record.state == "done" and record.outputs and hash_value(record.outputs) != record.fingerprint:
            raise ValueError("its fingerprint is not that of its outputs")
        return record
    return None


def _check_stage(inspection: Inspection, project: Project, record: Record) -> None:
    from fs4cli.project.results import CHECKS, check_rounds  # NumPy and Pillow: `fs4 --help` waits for neither

    is_done = record.state == "done"
    if is_done and record.outputs:  # an early version left none: then only what is listed elsewhere can be checked
        try:
            CHECKS[record.stage](inspection, project, record)
        except (TypeError, AttributeError) as error:  # a record whose values are of other kinds
            inspection.report(
                record.stage,
                project.record(record.stage),
                f"is not what fs4 wrote: {error}",
                f"restore it from a copy, or run `fs4 {record.stage} --fresh`",
            )
    if record.stage == "train" and not is_done:
        check_rounds(inspection, project)
    if record.stage in _TRAINED:
        _check_checkpoints(inspection, project, record.stage, is_done=is_done)
        _check_metrics(inspection, project, record)


def _check_checkpoints(inspection: Inspection, project: Project, stage: str, *, is_done: bool) -> None:
    folder = project.checkpoints(stage)
    files = sorted(folder.glob("step-*.pt"))
    path = folder / "manifest.json"
    over = f"restore the folder from a copy, or start over with `fs4 {stage} --fresh`"
    if is_done:
        over = f"delete `{folder}`: {stage} is done, and checkpoints serve only to go on"
    if not path.exists() and not files:
        return
    rows: list[dict[str, Any]] = []
    with inspection.expect(stage, path, over):
        listed = sorted(read_json(path)["checkpoints"], key=lambda row: row["step"])
        if any(row["file"] != f"step-{row['step']:07d}.pt" for row in listed):
            raise ValueError("it lists files that are no checkpoints")
        rows = listed
    damaged: list[tuple[Path, str]] = []
    whole: list[int] = []
    for row in rows:
        problem = _judge_checkpoint(inspection, folder / row["file"], row)
        if problem:
            damaged.append((folder / row["file"], problem))
        else:
            whole.append(row["step"])
    remedy = over
    if whole and not is_done:
        remedy = f"nothing: `fs4 {stage}` goes on from step {max(whole):,}"
    for file, problem in damaged:
        inspection.report(stage, file, problem, remedy)


def _judge_checkpoint(inspection: Inspection, path: Path, row: dict[str, Any]) -> str:
    """What is wrong with it; empty if nothing is."""
    try:
        size = path.stat().st_size
        if size != row["bytes"]:
            return "is empty" if size == 0 else f"has {size} bytes instead of {row['bytes']}"
        return "" if inspection.hash(path) == row["sha256"] else "is not what was saved: its sha256 differs"
    except FileNotFoundError:
        return "is missing"
    except (OSError, LookupError, TypeError) as error:
        return f"cannot be read: {error}"


def _check_metrics(inspection: Inspection, project: Project, record: Record) -> None:
    path = project.metrics(record.stage)
    if not path.exists():
        return
    with inspection.expect(record.stage, path, "delete it: it is a log, and nothing stands on it"):
        inspection.count(path)
        steps = [row["step"] for row in read_json_lines(path)]
        if any(later <= earlier for earlier, later in zip(steps, steps[1:], strict=False)):
            raise ValueError("it does not have every step once")
        if record.state == "done" and steps[-1:] != [record.summary.get("steps")]:
            raise ValueError("it does not end with the last step")


def _check_plan(inspection: Inspection, project: Project, planned: set[str]) -> None:
    remedy = "delete it: what was planned is in the records too, and the next stage that runs writes it anew"
    with inspection.expect("plan", project.plan_path, remedy):
        if not project.plan_path.exists():
            return
        inspection.count(project.plan_path)
        missing = sorted(planned - set(read_plan(project)["values"]))
        if missing:
            raise ProjectError(f"does not say what `{missing[0]}` came to")
