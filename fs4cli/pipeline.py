"""The stages that a command needs, in order: whatever is missing, stopped or stale runs, and is named.

In: a project and settings. Out: the last stage's result.
"""

from collections.abc import Sequence

from fs4cli.config import Settings
from fs4cli.errors import ProjectError
from fs4cli.model.device import choose_device
from fs4cli.planning.stage import find_stage_changes, find_stale
from fs4cli.progress import Progress
from fs4cli.project.project import Project
from fs4cli.project.record import read_record
from fs4cli.stages.cluster import run_cluster
from fs4cli.stages.ingest import run_ingest
from fs4cli.stages.pretrain import run_pretrain
from fs4cli.stages.train.stage import TrainResult, run_train


def train_from_images(
    project: Project,
    settings: Settings,
    *,
    images: Sequence[str] = (),
    progress: Progress,
    fresh: bool = False,
) -> TrainResult:
    """Everything from a folder of images to a trained segmenter; what is done and fits is kept.

    Args:
        project: Where everything goes.
        settings: As the user chose them.
        images: Folders, files, globs or list files. The settings' own, or what was read before, if left out.
        progress: Is told which stages run, and why.
        fresh: Train the segmenter anew; earlier stages are kept if they fit.

    Raises:
        ProjectError: train does not fit any more, or an earlier stage that was stopped half way, and `fresh` is not
            asked for. Nothing was removed.
        Interrupted: A signal asked to stop; the same call goes on.
    """
    choose_device(settings.device)  # a slip of the pen is named before the images are read
    if not fresh:
        _refuse_stale(project, settings)
    ingested = read_record(project, "ingest")
    if images or settings.images or ingested is None or ingested.state != "done":
        run_ingest(project, settings, images=images, progress=progress)
        if not fresh:  # again: now it is known whether the images are others
            _refuse_stale(project, settings)
    for stage, run in (("pretrain", run_pretrain), ("cluster", run_cluster)):
        record, changes = read_record(project, stage), find_stage_changes(project, stage, settings)
        if record is not None and record.state == "done" and not changes:
            progress.say(f"{stage}: done already")
            continue
        if changes:
            progress.say(f"{stage}: runs again, as {'; '.join(changes)}")
        elif record is None:
            progress.say(f"{stage}: runs, as train needs it")
        run(project, settings, progress=progress, fresh=bool(changes))
    return run_train(project, settings, progress=progress, fresh=fresh)


def _refuse_stale(project: Project, settings: Settings) -> None:
    """Stop before a trained network is thrown away, or hours are spent, for a model that will not be made."""
    stale = find_stale(project, settings)
    records = {stage: read_record(project, stage) for stage in stale}
    finished = {stage: record is not None and record.state == "done" for stage, record in records.items()}
    # a finished earlier stage runs again by itself, as long as train has made nothing of it
    refused = "train" if "train" in stale else next((stage for stage in stale if not finished[stage]), None)
    if refused is not None:
        removed = ", ".join(f"`{project.stage(stage)}`" for stage in stale)
        raise ProjectError(
            f"{refused} {'finished' if finished[refused] else 'stopped'} with other settings or inputs",
            details=tuple(stale[refused]),
            hints=(f"`fs4 train --fresh` starts over and removes {removed}", "or undo the change"),
        )
