"""Segmenter to masks: one image to one mask, folders to a tree that mirrors them.

In: any images and a model. Out: index PNGs at each image's own size, `classes.json` beside them, and
`predictions.jsonl`, which says what was made from what, so that the same command goes on where it stopped. Images are
decoded ahead in processes and masks are packed behind in threads, while the network works.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fs4cli.config import Settings, stage_settings
from fs4cli.data.formats import IMAGE_SUFFIXES
from fs4cli.data.masks import write_classes
from fs4cli.data.output_tree import Job, find_sources, place_classes, place_in_file, place_in_tree
from fs4cli.data.outputs import EXTRA_FOLDERS
from fs4cli.data.predictions import PredictionLog
from fs4cli.data.sources import show_path
from fs4cli.errors import InputError, Interrupted, ProjectError, UsageError
from fs4cli.files import remove_leftovers
from fs4cli.machine import usable_cores
from fs4cli.model.device import choose_device, choose_precision
from fs4cli.prediction.flow import make_masks
from fs4cli.prediction.predictor import Predictor, load_predictor
from fs4cli.progress import Progress
from fs4cli.project.project import Project
from fs4cli.project.record import Record, finish_record, read_inputs, start_record, write_record

_READERS = 8
"""Processes that read, at most, where nobody chose: their images wait decoded, however many cores there are."""


@dataclass(frozen=True)
class PredictResult:
    """What predict made.

    Args:
        written: Masks of this run.
        skipped: Masks that were there already, from the same image and model.
        failed: Images without a mask, with a reason each.
        passed_over: Files that are neither images nor named as such, and masks of fs4's own among the sources.
        table: CSV of every image with its mask, or the reason why it has none; None for one image to one file.
    """

    written: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    passed_over: int = 0
    table: Path | None = None


def run_predict(
    sources: Sequence[str],
    *,
    out: Path | None,
    project: Project | None,
    model: Path | None,
    settings: Settings,
    overlay: bool = False,
    confidence: bool = False,
    probabilities: bool = False,
    fresh: bool = False,
    progress: Progress,
) -> PredictResult:
    """Write a mask for every image behind the sources.

    Args:
        sources: Images, folders, globs or list files.
        out: A mask file (`.png`) for one image, else a folder; the project's `predict` folder if left out.
        project: Whose model and whose folder; may be left out with `model` and `out`.
        model: A model file; the project's if left out.
        settings: `predict`, `device`, `precision`, and of `ingest` the limits of images.
        overlay: Also the mask drawn over the image, as JPEG.
        confidence: Also how sure each pixel is, as a grey PNG in steps of 1/255.
        probabilities: Also every class's probability at full size, as npz (float16, k x H x W).
        fresh: Make masks again that are there.
        progress: Is told of every image.

    Raises:
        InputError: There is no file behind the sources, or something would be written over.
        ProjectError: There is no model.
        UsageError: One mask file for several images, or no place for the masks.
        Interrupted: A signal asked to stop; finished masks stay.
    """
    extras = [what for what, on in zip(EXTRA_FOLDERS, (overlay, confidence, probabilities), strict=True) if on]
    folder = _choose_folder(out, project)
    files, own = find_sources(sources, folder)
    inputs = read_inputs(project, "predict") if project is not None and model is None else None
    predictor = _load(project, model, settings)
    if folder is None:
        assert out is not None
        log, jobs = None, [place_in_file(files, extras, out)]
        table = place_classes(out.parent, predictor.model, beside=out)
    else:
        log = PredictionLog(folder)
        jobs = place_in_tree(files, extras, folder, folder if out is not None else folder / "masks", log)
        table = place_classes(folder, predictor.model)
    if log is not None:
        _tell_of_others(log, jobs, predictor, progress)
    record = None
    if out is None and project is not None and inputs is not None:
        record = _start_record(project, settings, inputs)
    write_classes(table, predictor.card.classes, predictor.palette, model=predictor.model)
    named = {os.path.abspath(source) for source in sources}
    try:
        result = _predict_jobs(jobs, predictor, log, settings, named=named, fresh=fresh, progress=progress)
    finally:
        if log is not None:
            log.write_table()
    result = replace(result, passed_over=result.passed_over + own)
    if not (result.written or result.skipped or result.failed):
        raise InputError(
            "there is no image behind the sources",
            details=(f"{result.passed_over:,} files are no images",),
            hints=("name images or folders of images",),
        )
    if record is not None and project is not None:
        summary = {"masks": len(result.written) + len(result.skipped), "failed": len(result.failed)}
        write_record(project, finish_record(record, outputs={"key": predictor.key, **summary}, summary=summary))
        remove_leftovers(project.stage("predict"))
    return result


def _choose_folder(out: Path | None, project: Project | None) -> Path | None:
    """The folder of the tree, its log and its table of classes; None for one image to one file."""
    if out is None:
        if project is None:
            raise UsageError("there is no project and no place for the masks", hints=("add `-o DIR`",))
        return project.stage("predict")
    if out.is_dir() or out.suffix.lower() not in IMAGE_SUFFIXES:
        if out.exists() and not out.is_dir():
            raise UsageError(f"`{out}` is a file, and no place for masks", hints=("name a folder, or a `.png`",))
        return out
    if out.suffix.lower() != ".png":
        raise UsageError(f"masks are PNG files, not `{out.suffix}`", hints=(f"say `-o {out.with_suffix('.png')}`",))
    return None


def _tell_of_others(log: PredictionLog, jobs: Sequence[Job], predictor: Predictor, progress: Progress) -> None:
    """Masks that stay there from another model: their numbers mean other classes than the table will say."""
    now = {job.file.place for job in jobs}
    rows = [row for row in log.latest.values() if row.state == "written" and row.input not in now]
    others = sum(row.key != predictor.key for row in rows)
    if others:
        masks = "1 mask" if others == 1 else f"{others:,} masks"
        progress.warn(
            f"`{log.path.parent}` holds {masks} of another model or other settings, and `classes.json` will be of this"
            " one: name those images, too, or another place"
        )


def _load(project: Project | None, model: Path | None, settings: Settings) -> Predictor:
    path = model if model is not None else project.model if project is not None else None
    if path is None:
        raise ProjectError("there is no project and no model", hints=("name a model file with `--model`",))
    device = choose_device(settings.device)
    size = settings.predict.size
    return load_predictor(
        path,
        device=device,
        short_side=None if isinstance(size, str) else size,
        flip=settings.predict.flip,
        refine=settings.predict.refine,
        precision=choose_precision(settings.precision, device),
    )


def _start_record(project: Project, settings: Settings, inputs: dict[str, str]) -> Record:
    values, explicit = stage_settings(settings, "predict")
    record = start_record("predict", settings=values, explicit=explicit, inputs=inputs, seed=settings.seed)
    write_record(project, record)
    return record


def _predict_jobs(
    jobs: Sequence[Job],
    predictor: Predictor,
    log: PredictionLog | None,
    settings: Settings,
    *,
    named: set[str],
    fresh: bool,
    progress: Progress,
) -> PredictResult:
    result = PredictResult(table=log.table if log is not None else None)
    earlier = {}
    if log is not None and not fresh:
        rows = ((job.file.place, log.latest.get(job.file.place), job) for job in jobs)
        earlier = {place: row for place, row, job in rows if row is not None and job.is_whole(row, predictor.key)}
    todo: list[Job] = []
    for job in jobs:
        row = earlier.get(job.file.place)
        if row is not None and row.is_made_from(job.file):
            result.skipped.append(job.mask)
        else:
            todo.append(job)
    if result.skipped:
        progress.say(f"predict: {len(result.skipped):,} of {len(jobs):,} masks are there already")
    batch = settings.predict.batch_size
    outcomes = make_masks(
        todo,
        predictor,
        max_pixels=settings.ingest.max_pixels,
        seconds=settings.ingest.decode_seconds,
        batch=None if isinstance(batch, str) else batch,
        workers=min(usable_cores(), _READERS) if isinstance(settings.workers, str) else max(1, settings.workers),
        known={Path(place): row.sha256 for place, row in earlier.items()},
        progress=progress,
    )
    passed_over = 0
    with progress.task("predict", len(jobs), unit="images", done=len(result.skipped)) as task:
        for outcome in outcomes:
            task.advance()
            place = outcome.job.file.place
            if outcome.reason and not outcome.promises_image and place not in named:
                passed_over += 1
                continue
            if outcome.reason:
                result.failed.append((show_path(place), outcome.reason))
                progress.warn(f"no mask for `{show_path(place)}`: {outcome.reason}")
            else:
                (result.written if outcome.is_new else result.skipped).append(outcome.job.mask)
            if log is not None and (outcome.is_new or outcome.reason):
                log.add(outcome.describe(predictor.key))
            elif log is not None:  # another time, but the same bytes
                file = outcome.job.file
                log.add(replace(earlier[place], bytes=file.bytes, modified=file.modified))
    signal = progress.stop_requested()
    if signal is not None:
        raise Interrupted("stopped while masks were being made", signal=signal, hints=("the same command goes on",))
    return replace(result, passed_over=passed_over)
