"""Segmenter to masks: one image to one mask, folders to a tree that mirrors them.

In: any images and a model. Out: index PNGs at each image's own size, `classes.json` beside them, and
`predictions.jsonl`, which says what was made from what, so that the same command goes on where it stopped. Images are
decoded ahead and masks are packed behind, in threads, while the network works.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from fs4cli.config import Settings
from fs4cli.data.images import LoadedImage, UnreadableImage, read_image
from fs4cli.data.masks import draw_overlay, encode_mask, write_classes
from fs4cli.data.outputs import name_outputs
from fs4cli.data.sources import FoundFile, find_images, show_path
from fs4cli.errors import InputError, Interrupted, ProjectError, UsageError
from fs4cli.files import append_json_line, hash_file, hash_value, read_json_lines, write_atomic, write_bytes
from fs4cli.model.device import Precision, choose_device, choose_precision, usable_cores
from fs4cli.model.inference import choose_classes, predict_probabilities, predict_small
from fs4cli.model.segmenter import ModelCard, Segmenter, load_model
from fs4cli.progress import Progress
from fs4cli.project.project import Project

_MICRO_BATCH = 8
"""Images of one size that share a forward pass, at most."""


@dataclass(frozen=True)
class PredictResult:
    """What predict made.

    Args:
        written: Masks of this run.
        skipped: Masks that were there already, from the same image and model.
        failed: Images without a mask, with a reason each.
    """

    written: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    file: FoundFile
    mask: Path
    extras: dict[str, Path]

    @property
    def source(self) -> Path:
        return Path(self.file.root) / self.file.path

    def paths(self) -> list[Path]:
        return [self.mask, *self.extras.values()]


@dataclass(frozen=True)
class _Predictor:
    segmenter: Segmenter
    card: ModelCard
    key: str
    short_side: int
    flip: bool
    refine: bool
    precision: Precision


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
        out: A mask file for one image, else a folder; the project's `predict/masks` if left out.
        project: Whose model and whose folder; may be left out with `model` and `out`.
        model: A model file; the project's if left out.
        settings: Of the prediction.
        overlay: Also the mask drawn over the image, as JPEG.
        confidence: Also how sure each pixel is, as a grey PNG in steps of 1/255.
        probabilities: Also every class's probability at full size, as npz (float16, k x H x W).
        fresh: Make masks again that are there.
        progress: Is told of every image.

    Raises:
        InputError: No image is behind the sources, or a mask would take an image's place.
        ProjectError: There is no model.
        Interrupted: A signal asked to stop; finished masks stay.
    """
    files = list(find_images([str(Path(source).absolute()) for source in sources]))
    if not files:
        raise InputError(
            "there is no file behind the sources", details=tuple(sources), hints=("name images or folders",)
        )
    wanted = {"overlay": overlay, "confidence": confidence, "probabilities": probabilities}
    folder, jobs = _place_outputs(files, sources, out, project, [name for name, on in wanted.items() if on])
    predictor = _load(project, model, settings, wanted)
    journal = folder / "predictions.jsonl" if folder is not None else None
    done = {} if fresh or journal is None else {row["input"]: row for row in read_json_lines(journal)}
    result = PredictResult()
    todo = []
    for job in jobs:
        if _is_made(job, done.get(str(job.source)), predictor.key):
            result.skipped.append(job.mask)
        else:
            todo.append(job)
    if result.skipped:
        progress.say(f"predict: {len(result.skipped)} of {len(jobs)} masks are there already")
    place = folder if folder is not None else jobs[0].mask.parent
    palette = np.array(predictor.card.palette, np.uint8)
    table = place / "classes.json" if folder is not None else jobs[0].mask.with_suffix(".classes.json")
    write_classes(table, predictor.card.classes, palette, model=predictor.key)
    with progress.task("predict", len(jobs), unit="images", done=len(result.skipped)) as task:
        for job, problem in _predict_all(todo, predictor, palette, settings, progress):
            row: dict[str, Any] = {"input": str(job.source), "output": str(job.mask), "key": predictor.key}
            row |= {"bytes": job.file.bytes, "modified": job.file.modified, "reason": problem}
            if problem is None:
                result.written.append(job.mask)
            else:
                result.failed.append((show_path(str(job.source)), problem))
                progress.warn(f"no mask for `{show_path(str(job.source))}`: {problem}")
            if journal is not None:
                append_json_line(journal, row)
            task.advance()
    return result


def _place_outputs(
    files: list[FoundFile], sources: Sequence[str], out: Path | None, project: Project | None, extras: list[str]
) -> tuple[Path | None, list[_Job]]:
    """The folder of the tree (None for one image to one file), and where each image's outputs go."""
    is_file = out is not None and not out.is_dir() and out.suffix.lower() == ".png"
    if is_file and out is not None:
        if len(files) > 1 or Path(sources[0]).is_dir():
            raise UsageError(
                f"`{out}` is one file, but there are {len(files)} images", hints=("give a folder: `-o masks/`",)
            )
        endings = {"overlay": "_overlay.jpg", "confidence": "_confidence.png", "probabilities": ".npz"}
        job = _Job(files[0], out, {name: out.with_name(out.stem + endings[name]) for name in extras})
        _refuse_overwriting([job])
        return None, [job]
    if out is None and project is None:
        raise UsageError("there is no project and no place for the masks", hints=("add `-o DIR`",))
    folder = out if out is not None else project.stage("predict")  # pyright: ignore[reportOptionalMemberAccess]
    masks = folder if out is not None else folder / "masks"
    endings = {
        "overlay": ("overlays", ".jpg"),
        "confidence": ("confidence", ".png"),
        "probabilities": ("probabilities", ".npz"),
    }
    jobs = [
        _Job(file, masks / f"{name}.png", {key: folder / endings[key][0] / (name + endings[key][1]) for key in extras})
        for file, name in zip(files, name_outputs(files), strict=True)
    ]
    _refuse_overwriting(jobs)
    return folder, jobs


def _refuse_overwriting(jobs: list[_Job]) -> None:
    inputs = {job.source.resolve() for job in jobs}
    for job in jobs:
        for path in job.paths():
            if path.resolve() in inputs:
                raise InputError(
                    f"the mask of `{job.source}` would take the place of the image `{path}`",
                    hints=("write the masks to another folder with `-o`",),
                )


def _load(project: Project | None, model: Path | None, settings: Settings, wanted: dict[str, bool]) -> _Predictor:
    path = model if model is not None else project.model if project is not None else None
    if path is None:
        raise ProjectError("there is no project and no model", hints=("name a model file with `--model`",))
    device = choose_device(settings.device)
    segmenter, card = load_model(path, device)
    size = settings.predict.size
    short_side = card.short_side if isinstance(size, str) else size
    chosen = [short_side, settings.predict.flip, settings.predict.refine, settings.precision, sorted(wanted.items())]
    return _Predictor(
        segmenter=segmenter,
        card=card,
        key=hash_value([hash_file(path), *chosen]),
        short_side=short_side,
        flip=settings.predict.flip,
        refine=settings.predict.refine,
        precision=choose_precision(settings.precision, device),
    )


def _is_made(job: _Job, row: dict[str, Any] | None, key: str) -> bool:
    """Whether an earlier run made these outputs from the same bytes with the same model."""
    return (
        row is not None
        and row["reason"] is None
        and row["key"] == key
        and (row["bytes"], row["modified"]) == (job.file.bytes, job.file.modified)
        and row["output"] == str(job.mask)
        and all(path.is_file() for path in job.paths())
    )


def _predict_all(
    jobs: list[_Job], predictor: _Predictor, palette: np.ndarray, settings: Settings, progress: Progress
) -> Iterator[tuple[_Job, str | None]]:
    """Each image with the reason why it has no mask, or None once its files are written; in order."""
    limit = settings.ingest.max_pixels
    workers = max(1, usable_cores())
    with ThreadPoolExecutor(workers) as readers, ThreadPoolExecutor(workers) as writers:
        reading: deque[tuple[_Job, Future[LoadedImage]]] = deque()
        writing: deque[tuple[_Job, Future[str | None]]] = deque()
        waiting = iter(jobs)
        try:
            while True:
                for job in waiting:
                    reading.append((job, readers.submit(_read, job, limit)))
                    if len(reading) >= 2 * _MICRO_BATCH:
                        break
                if not reading:
                    break
                batch, problems = _take_batch(reading)
                writing.extend(problems)
                if batch:
                    small = predict_small(
                        predictor.segmenter,
                        [loaded.pixels for _, loaded in batch],
                        short_side=predictor.short_side,
                        flip=predictor.flip,
                        refine=predictor.refine,
                        precision=predictor.precision,
                    )
                    for (job, loaded), probabilities in zip(batch, small, strict=True):
                        writing.append((job, writers.submit(_write, job, loaded, probabilities, predictor, palette)))
                while writing and (len(writing) > 2 * _MICRO_BATCH or writing[0][1].done()):
                    job, future = writing.popleft()
                    yield job, future.result()
                signal = progress.stop_requested()
                if signal is not None:
                    raise Interrupted(
                        "stopped while masks were being made", signal=signal, hints=("the same command goes on",)
                    )
            while writing:
                job, future = writing.popleft()
                yield job, future.result()
        finally:
            readers.shutdown(wait=False, cancel_futures=True)


def _read(job: _Job, max_pixels: int) -> LoadedImage:
    if job.file.problem:
        raise UnreadableImage(job.file.problem)
    return read_image(job.source, max_pixels=max_pixels)


def _take_batch(
    reading: deque[tuple[_Job, Future[LoadedImage]]],
) -> tuple[list[tuple[_Job, LoadedImage]], list[tuple[_Job, Future[str | None]]]]:
    """The next images of one size, and those before them that cannot be read."""
    batch: list[tuple[_Job, LoadedImage]] = []
    problems: list[tuple[_Job, Future[str | None]]] = []
    while reading and len(batch) < _MICRO_BATCH:
        job, future = reading[0]
        try:
            loaded = future.result()
        except (UnreadableImage, OSError, MemoryError) as error:
            failed: Future[str | None] = Future()
            failed.set_result(getattr(error, "reason", None) or str(error) or type(error).__name__)
            problems.append((job, failed))
            reading.popleft()
            continue
        if batch and loaded.size != batch[0][1].size:
            break
        batch.append((job, loaded))
        reading.popleft()
        if loaded.pixels.size > 12_000_000:
            break  # large pictures one by one, for the memory's sake
    return batch, problems


def _write(
    job: _Job, loaded: LoadedImage, small: torch.Tensor, predictor: _Predictor, palette: np.ndarray
) -> str | None:
    """Write all outputs of one image, the mask last, so that a mask says that the rest is there."""
    mask, sure = choose_classes(small, loaded.size)
    for name, path in job.extras.items():
        if name == "confidence":
            write_bytes(path, _encode(Image.fromarray(sure), "PNG"))
        elif name == "overlay":
            picture = Image.fromarray(draw_overlay(loaded.pixels, mask, palette))
            write_bytes(path, _encode(picture, "JPEG", quality=90))
        else:
            every = predict_probabilities(
                predictor.segmenter,
                loaded.pixels,
                short_side=predictor.short_side,
                flip=predictor.flip,
                refine=predictor.refine,
                precision=predictor.precision,
            )
            with write_atomic(path) as file:
                np.savez_compressed(file, probabilities=every.astype(np.float16))
    write_bytes(job.mask, encode_mask(mask, palette))
    return None


def _encode(picture: Image.Image, format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format=format, **options)
    return buffer.getvalue()
