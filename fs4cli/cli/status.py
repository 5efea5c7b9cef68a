"""`fs4 status`: what is done, stale, stopped or failed, and the next command."""

import os
from typing import Annotated

from fs4cli.cli.help_page import COMMON
from fs4cli.cli.options import option
from fs4cli.cli.report import show_lines
from fs4cli.cli.session import Session
from fs4cli.cli.watch import duration
from fs4cli.config import Settings, stage_settings
from fs4cli.errors import CheckError
from fs4cli.project.project import STAGES, Project
from fs4cli.project.status import ProjectStatus, StageStatus, read_status


def status(
    session: Session,
    check: Annotated[bool, option("--check", help="Exit code 9 if a stage is stale or damaged.", panel=COMMON)] = False,
) -> None:
    """Show where the project stands, and the next command.

    Examples:
      fs4 status
      fs4 status --check --json
    """
    project = session.find_project()
    found = status_of(project, session.settings(project))
    session.report.show(found)
    if not session.report.as_json:
        lines = [*status_lines(found), f"next: {session.suggest(found.next_command)}"]
        session.report.write(show_lines("\n".join(lines)) + "\n")
    if check and found.stale:
        raise CheckError(f"stale: {', '.join(found.stale)}", hints=_name_remedies(found))


def _name_remedies(found: ProjectStatus) -> tuple[str, ...]:
    """What makes each stale result anew: train's whole job by one command, what stands on the model by its own."""
    later = [f"`fs4 {stage}` with the same images makes its result anew" for stage in found.stale if stage in _LATER]
    job = [f"`{found.next_command}` does the rest"] if len(later) < len(found.stale) else []
    return (*job, *later)


_LATER = ("predict", "evaluate")


def status_of(project: Project, settings: Settings) -> ProjectStatus:
    """Where a project stands with these settings."""
    values = {stage: stage_settings(settings, stage) for stage in STAGES}
    return read_status(project, values, has_images=bool(settings.images))


def status_lines(found: ProjectStatus) -> list[str]:
    """The status as lines of text, without the next command."""
    stages = {stage.stage: stage for stage in found.stages}
    lines = [f"project {os.path.basename(found.root)}{_images(stages['ingest'])}"]
    for stage in found.stages:
        if stage.state == "missing" and stage.stage in _LATER:
            continue  # they need not be run, and leave no trace in the project when the masks go elsewhere
        lines.append(f"{stage.stage:<10}{stage.state:<9} {stage_line(stage)}".rstrip())
        lines += [f"{'':<20}{reason}" for reason in (*_reasons(stage)[1:], *_health(stage))]
    if found.is_running and found.run is not None:
        lines.append(f"running: pid {found.run.pid} on {found.run.host} since {found.run.since}: {found.run.command}")
    return lines


def stage_line(stage: StageStatus) -> str:
    """What there is to say of one stage, in a line."""
    if stage.state == "missing":
        return "never ran"
    if stage.state == "done":
        steps = stage.summary.get("steps")
        words = [duration(stage.seconds)] if stage.seconds is not None else []
        return "   ".join([*words, f"{steps:,} steps"] if isinstance(steps, int) else words)
    if stage.state in ("stale", "damaged"):
        return _reasons(stage)[0]
    steps = _steps(stage)
    if stage.state == "failed":
        resumes = f" ({steps})" if steps else ""
        return (stage.reasons[0] if stage.reasons else "") + resumes
    if stage.state == "stopped":
        return f"{steps}, goes on from there" if stage.step is not None else "starts again from its beginning"
    return steps


def _reasons(stage: StageStatus) -> list[str]:
    """Why a stage is stale: what changed, else which earlier stage is not done."""
    if stage.reasons or not stage.waits_for:
        return list(stage.reasons)
    return [f"waits for {', '.join(stage.waits_for)}"]


_HEALTH = {
    "effective_clusters": "{:.1f} classes in effective use",
    "largest_share": "{:.0%} of the pixels in the largest",
    "view_agreement": "{:.0%} alike in another view",
}


def _health(stage: StageStatus) -> list[str]:
    """How the finished segmenter divides the images, in a line; anybody may have edited the record."""
    found = stage.summary.get("health")
    values = {name: found.get(name) for name in _HEALTH} if isinstance(found, dict) else {}
    words = [_HEALTH[name].format(v) for name, v in values.items() if isinstance(v, int | float) and 0 <= v < 1e6]
    return [", ".join(words)] if words else []


def _steps(stage: StageStatus) -> str:
    if stage.step is None:
        return ""
    return f"step {stage.step:,}" + (f"/{stage.steps:,}" if stage.steps else "")


def _images(ingest: StageStatus) -> str:
    counts = ingest.summary
    if not isinstance(counts.get("images"), int):
        return ""
    words = [
        f"{counts[key]:,} {word}" for key, word in _COUNTS.items() if isinstance(counts.get(key), int) and counts[key]
    ]
    return f"   images {counts['images']:,}" + (f" ({', '.join(words)})" if words else "")


_COUNTS = {"bad": "quarantined", "duplicates": "duplicates"}
