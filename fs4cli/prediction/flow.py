"""Images flow through a model: decoded ahead in processes, segmented, packed behind in threads.

In: jobs and a predictor. Out: what came of each image, once its files are written. Only a few images are in memory at
any time, whatever their number.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fs4cli.data.formats import IMAGE_SUFFIXES
from fs4cli.data.output_tree import Job
from fs4cli.data.packing import write_outputs
from fs4cli.data.predictions import Prediction
from fs4cli.data.reader import Reading
from fs4cli.data.readers import ReaderPool
from fs4cli.model.inference import Prepared, choose_classes, enlarge_classes
from fs4cli.prediction.predictor import Predictor
from fs4cli.progress import Progress

_BATCH = 8
"""Images that share a forward pass, where nobody chose."""

_AHEAD = 2
"""Whole images that a reader may be ahead: they wait decoded."""

_PIXELS = 50_000_000
"""Of the decoded images that wait for one forward pass together, at most; a larger image goes alone."""


@dataclass(frozen=True)
class Outcome:
    """What came of one image.

    Args:
        job: The image and its outputs.
        reading: What came of its file.
        reason: Why there is no mask; empty if there is one.
        is_new: Whether the mask was made now; it was there already otherwise.
    """

    job: Job
    reading: Reading
    reason: str = ""
    is_new: bool = True

    @property
    def promises_image(self) -> bool:
        """Whether the file is an image or named as one; others are no failures."""
        return self.reading.is_image or Path(self.job.file.path).suffix.lower() in IMAGE_SUFFIXES

    def describe(self, key: str) -> Prediction:
        """The line for the log; `key` is the predictor's."""
        height, width = self.reading.size or (0, 0)
        return Prediction(
            input=self.job.file.place,
            output=self.job.name,
            state="failed" if self.reason else "written",
            reason=self.reason,
            extras=self.job.extras,
            bytes=self.job.file.bytes,
            modified=self.job.file.modified,
            sha256=self.reading.sha256,
            key=key,
            height=height,
            width=width,
        )


def make_masks(
    jobs: Sequence[Job],
    predictor: Predictor,
    *,
    max_pixels: int,
    seconds: float,
    batch: int | None,
    workers: int,
    known: Mapping[Path, str],
    progress: Progress,
) -> Iterator[Outcome]:
    """Segment images and write what is wanted of them; nearly in order. Ends early if `progress` asks to stop.

    Args:
        jobs: The images.
        predictor: The model.
        max_pixels: Larger images are refused.
        seconds: Time limit for decoding one image.
        batch: Images that share a forward pass; chosen here if left out.
        workers: Processes that read, and threads that pack, at most.
        known: The sha256 of images whose outputs are whole, if only their bytes did not change.
        progress: May ask to stop.

    Raises:
        ResourceError: The disk is full or may not be written.
    """
    yield from (Outcome(job, Reading(None), job.file.problem) for job in jobs if job.file.problem)
    jobs = [job for job in jobs if not job.file.problem]
    together = batch or _BATCH
    workers = max(1, min(workers, len(jobs)))
    readers = ReaderPool(
        workers,
        max_pixels=max_pixels,
        seconds=seconds,
        short_side=None,
        scaling=predictor.scaling,
        should_stop=lambda: progress.stop_requested() is not None,
    )
    with readers, ThreadPoolExecutor(workers, thread_name_prefix="packer") as threads:
        waiting: list[tuple[Job, Reading, Future[Prepared]]] = []
        packing: deque[tuple[Job, Reading, Future[str]]] = deque()
        pixels = 0
        readings = readers.read_all([Path(job.file.place) for job in jobs], known=known, ahead=_AHEAD)
        for job, reading in zip(jobs, readings):  # noqa: B905 (fewer if stopped)
            if reading.image is None:
                yield Outcome(job, reading, reading.reason, is_new=False)
                continue
            waiting.append((job, reading, threads.submit(predictor.prepare, reading.image.pixels)))
            pixels += reading.image.pixels.size // 3
            if len(waiting) >= together or pixels >= _PIXELS:
                packing.extend(_segment(waiting, predictor, threads))
                waiting, pixels = [], 0
            yield from _collect(packing, at_most=2 * together)
        if progress.stop_requested() is None:
            packing.extend(_segment(waiting, predictor, threads))
        yield from _collect(packing, at_most=0)


def _segment(
    waiting: Sequence[tuple[Job, Reading, Future[Prepared]]], predictor: Predictor, threads: ThreadPoolExecutor
) -> Iterator[tuple[Job, Reading, Future[str]]]:
    results = predictor.segment([prepared.result() for _, _, prepared in waiting])
    for (job, reading, _), small in zip(waiting, results, strict=True):
        yield job, reading, threads.submit(_pack, job, reading, small, predictor)


def _pack(job: Job, reading: Reading, small: Tensor | None, predictor: Predictor) -> str:
    """Write the outputs of one image; the reason if that does not work out for this image."""
    assert reading.image is not None
    if small is None:
        return f"out of memory: too large for the network at a short side of {predictor.short_side}"
    size = reading.image.size
    try:
        mask, confidence = choose_classes(small, size)
        planes = enlarge_classes(small, size)
        write_outputs(job.paths, mask, confidence, predictor.palette, pixels=reading.image.pixels, probabilities=planes)
    except MemoryError:
        return "out of memory"
    except OSError as error:  # a full disk has become a ResourceError; this concerns the one image
        return f"its mask cannot be written: {error.strerror or error}"
    return ""


def _collect(packing: deque[tuple[Job, Reading, Future[str]]], *, at_most: int) -> Iterator[Outcome]:
    """Take what is written; wait until only so many are left, and not too much of them."""
    while packing and (len(packing) > at_most or _is_too_much(packing) or packing[0][2].done()):
        job, reading, written = packing.popleft()
        yield Outcome(job, reading, written.result())


def _is_too_much(packing: deque[tuple[Job, Reading, Future[str]]]) -> bool:
    """Whether the pictures that wait to be packed fill the memory meant for them; one always may."""
    pixels = sum(reading.image.pixels.size // 3 for _, reading, _ in packing if reading.image is not None)
    return len(packing) > 1 and pixels > _PIXELS
