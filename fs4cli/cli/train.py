"""`fs4 train`: a folder of images in, a segmenter out; runs the earlier stages that it needs."""

from pathlib import Path
from typing import Annotated

from fs4cli.cli.help_page import ADVANCED, MODEL
from fs4cli.cli.ingest import Fresh, Yes
from fs4cli.cli.init import check_sources, create_project
from fs4cli.cli.options import option, setting_option
from fs4cli.cli.profile import Profile, show_breakdown
from fs4cli.cli.session import Session
from fs4cli.cli.status import stage_line, status_of
from fs4cli.config import Settings
from fs4cli.errors import ProjectError
from fs4cli.project.project import Project
from fs4cli.project.status import why_start_over

NEW_PROJECT = "fs4-project"
"""Made in the current folder where there is no project anywhere."""
_JOB = ("ingest", "pretrain", "cluster", "train")


def train(
    session: Session,
    images: Annotated[list[str] | None, setting_option("images", "--images", metavar="PATH")] = None,
    classes: Annotated[str | None, setting_option("classes", "--classes", metavar="K|auto")] = None,
    budget: Annotated[str | None, setting_option("budget", "--budget", metavar="TIME")] = None,
    steps: Annotated[str | None, setting_option("train.steps", "--steps", metavar="N")] = None,
    preset: Annotated[str | None, setting_option("preset", "--preset", panel=MODEL, metavar="SIZE")] = None,
    dry_run: Annotated[
        bool, option("--dry-run", help="Only say which stages would run, and why.", panel=ADVANCED)
    ] = False,
    profile: Profile = False,
    fresh: Fresh = False,
    yes: Yes = False,
) -> None:
    """Train a segmenter on a folder of images, without labels.

    Runs ingest, pretrain and cluster first where they are missing or stale, and says so. Stopped, it goes on where it
    was with the same command.

    Examples:
      fs4 train --images ./unlabeled --classes 11
      fs4 train --images ./unlabeled --classes auto --budget 20m
      fs4 train --dry-run
    """
    check_sources(images or ())
    project = session.look_for_project()
    given = {
        "images": (tuple(images or ()), "--images"),
        "classes": (classes, "--classes"),
        "budget": (budget, "--budget"),
        "train.steps": (steps, "--steps"),
        "preset": (preset, "--preset"),
    }
    if project is None:
        if not images:
            session.find_project()
        session.settings(None, given)  # refuses what is wrong before a folder is made
        project = _new_project(session, images or [], classes, dry_run)
    settings = session.settings(project, given)
    if dry_run:
        _show_plan(session, project, settings, fresh=fresh)
        return
    if fresh:
        from fs4cli.planning.stage import find_stale

        stale = {*find_stale(project, settings), "train"}
        session.confirm_removal([project.stage(stage) for stage in _JOB if stage in stale], agreed=yes)
    with session.writing(project) as progress:
        from fs4cli.pipeline import train_from_images

        result = train_from_images(project, settings, images=settings.images, progress=progress, fresh=fresh)
    if profile:
        show_breakdown(session, project, ("pretrain", "train"))
    session.report.show(result, paths=(project.model,), next_command=session.suggest("fs4 predict IMAGE -o mask.png"))


def _new_project(session: Session, images: list[str], classes: str | None, dry_run: bool) -> Project:
    folder = Path(NEW_PROJECT)
    session.report.say(f"no project here: {'would make' if dry_run else 'making'} `./{NEW_PROJECT}`")
    if dry_run:
        return Project(folder.resolve())
    try:
        project = create_project(folder, {"images": (images, "--images"), "classes": (classes, "--classes")})
    except ProjectError as error:
        raise ProjectError(error.message, hints=("`fs4 init myproject` makes one elsewhere",)) from None
    return session.use_project(project)


def _show_plan(session: Session, project: Project, settings: Settings, *, fresh: bool) -> None:
    status = status_of(project, settings)
    stages = {stage.stage: stage for stage in status.stages if stage.stage in _JOB}
    refused = () if fresh else why_start_over("train", stages)
    plan, runs = [], False
    for name, stage in stages.items():
        again = fresh and name == "train" and stage.state != "missing"
        runs = runs or again or stage.state != "done"
        why = "--fresh" if again and stage.state == "done" else stage_line(stage)
        word = "needs --fresh" if refused and name == "train" else "runs" if runs else "kept"
        plan.append({"stage": name, "runs": runs, "needs_fresh": bool(refused) and name == "train", "why": why})
        if not session.report.as_json:
            session.report.write(f"{name:<10}{word:<14} {why}".rstrip() + "\n")
    session.report.show({"project": project.root, "stages": plan})
