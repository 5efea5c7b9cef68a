"""The stages that a command needs, in order: whatever is missing, stopped or stale runs, and is named.

In: a project and settings. Out: the last stage's result.
"""

from collections.abc import Sequence

from fs4cli.config import Settings
from fs4cli.planning.stage import find_stage_changes
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
        ProjectError: train is stale and `fresh` is not asked for.
        Interrupted: A signal asked to stop; the same call goes on.
    """
    ingested = read_record(project, "ingest")
    if images or settings.images or ingested is None or ingested.state != "done":
        run_ingest(project, settings, images=images, progress=progress)
    for stage, run in (("pretrain", run_pretrain), ("cluster", run_cluster)):
        changes = find_stage_changes(project, stage, settings)
        stopped = read_record(project, stage) is not None and changes is None
        if changes == []:
            progress.say(f"{stage}: done already")
            continue
        if changes:
            progress.say(f"{stage}: runs again, as {'; '.join(changes)}")
        elif not stopped:
            progress.say(f"{stage}: runs, as train needs it")
        run(project, settings, progress=progress, fresh=bool(changes))
    return run_train(project, settings, progress=progress, fresh=fresh)
