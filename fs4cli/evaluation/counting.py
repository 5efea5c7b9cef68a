"""Pairs of files in, counts of each out: with ready masks, or with masks made on the way.

Files are read and counted by threads, a few images ahead; a bad file becomes a `Problem`, so that all of them can be
named at once.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
from jaxtyping import Int, UInt8

from fs4cli.data.images import read_image
from fs4cli.data.refusals import UnreadableImage
from fs4cli.evaluation.confusion import ImageCounts, count_image
from fs4cli.evaluation.framing import Frame
from fs4cli.evaluation.ground_truth import LabelReader, describe_size_difference, read_ready_mask
from fs4cli.evaluation.index_image import BadIndexImage
from fs4cli.evaluation.pairs import Pair
from fs4cli.evaluation.parallel import map_in_order
from fs4cli.evaluation.problems import Problem

Segment = Callable[[UInt8[np.ndarray, "H W 3"]], Int[np.ndarray, "H W"]]
"""Pixels -> the cluster of each, at the same size."""


def count_ready_masks(
    pairs: Iterable[Pair], reader: LabelReader, *, workers: int, frame: Frame | None = None
) -> Iterator[ImageCounts | Problem]:
    """Count masks that lie beside their labels; the pairs' order is kept.

    Args:
        pairs: With masks, of their labels' size or of the frame's.
        reader: Of the labels.
        workers: Threads.
        frame: The part of each image that is counted; all of it if left out.
    """
    return map_in_order(partial(_count_ready, reader=reader, frame=frame), pairs, workers=workers)


def count_predictions(
    pairs: Iterable[Pair], reader: LabelReader, segment: Segment, *, workers: int, frame: Frame | None = None
) -> Iterator[ImageCounts | Problem]:
    """Make each image's mask and count it; the pairs' order is kept.

    Args:
        pairs: With images.
        reader: Of the labels.
        segment: Called in the caller's thread, one image at a time.
        workers: Threads that read before it and count after it.
        frame: The part of each image that the model sees and that is counted; all of it if left out.
    """
    loaded = map_in_order(partial(_load, reader=reader, frame=frame), pairs, workers=workers)
    masks = (item if isinstance(item, Problem) else (segment(item[1]), item[0]) for item in loaded)
    return map_in_order(_count_made, masks, workers=workers)


def check_pairs(pairs: Iterable[Pair], reader: LabelReader, *, workers: int) -> Iterator[Problem | None]:
    """Read every label and its image once, so that nothing bad turns up after hours of predicting."""
    return map_in_order(partial(_check, reader=reader), pairs, workers=workers)


def _count_ready(pair: Pair, reader: LabelReader, frame: Frame | None) -> ImageCounts | Problem:
    assert pair.mask is not None
    try:
        labels = reader.read(pair.label)
    except BadIndexImage as error:
        return Problem(pair.name, error.reason)
    try:
        clusters = read_ready_mask(pair.mask)
    except BadIndexImage as error:
        return Problem(pair.name, f"its mask `{pair.mask.name}`: {error.reason}")
    differs = describe_size_difference(labels.shape, clusters.shape, "mask")
    if frame is not None:
        is_framed = clusters.shape == (frame.side, frame.side)  # as the protocol's own code leaves its masks
        labels = frame.frame_ids(labels)
        if is_framed:
            differs = None
        elif not differs:
            clusters = frame.frame_ids(clusters)
    return Problem(pair.name, differs) if differs else count_image(clusters, labels)


def _load(pair: Pair, reader: LabelReader, frame: Frame | None = None) -> tuple[np.ndarray, np.ndarray] | Problem:
    assert pair.image is not None
    try:
        labels = reader.read(pair.label)
    except BadIndexImage as error:
        return Problem(pair.name, error.reason)
    try:
        pixels = read_image(pair.image).pixels
    except UnreadableImage as error:
        return Problem(pair.name, f"its image `{pair.image.name}`: {error.reason}")
    differs = describe_size_difference(labels.shape, pixels.shape[:2], "image")
    if differs:
        return Problem(pair.name, differs)
    return (labels, pixels) if frame is None else (frame.frame_ids(labels), frame.frame_image(pixels))


def _count_made(item: tuple[np.ndarray, np.ndarray] | Problem) -> ImageCounts | Problem:
    return item if isinstance(item, Problem) else count_image(*item)


def _check(pair: Pair, reader: LabelReader) -> Problem | None:
    loaded = _load(pair, reader)
    return loaded if isinstance(loaded, Problem) else None
