"""Pairs of files in, counts of each out: with ready masks, or with masks made on the way.

Files are read and counted by threads, a few images ahead; a bad file becomes a `Problem`, so that all of them can be
named at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Integer, UInt8

from fs4cli.data.images import read_image
from fs4cli.data.refusals import UnreadableImage
from fs4cli.evaluation.confusion import ImageCounts, count_image
from fs4cli.evaluation.framing import Frame
from fs4cli.evaluation.ground_truth import LabelReader, describe_size_difference, read_ready_mask
from fs4cli.evaluation.index_image import BadIndexImage
from fs4cli.evaluation.pairs import Pair
from fs4cli.evaluation.problems import Problem
from fs4cli.parallel import map_in_order
from fs4cli.scaling import Scaling

GROUP = 8
"""Images that a model segments together: always the same ones, so that a resumed evaluation gives the same masks."""

_PIXELS = 50_000_000
"""Of the images that share a forward pass, at most."""


@runtime_checkable
class MaskMaker(Protocol):
    """A model that is ready to make masks, as `fs4cli.prediction.predictor.Predictor` is.

    Args:
        clusters: How many it tells apart.
        key: Fingerprint of all that shapes a mask but the image.
        identity: What a report says of it.
        scaling: How deep grey becomes 8 bits before it sees it.
    """

    @property
    def clusters(self) -> int: ...

    @property
    def key(self) -> str: ...

    @property
    def identity(self) -> dict[str, Any]: ...

    @property
    def scaling(self) -> Scaling: ...

    def prepare(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Any:
        """An image as the model sees it; called in threads."""
        ...

    def segment(self, images: Sequence[Any]) -> Sequence[Any]:
        """What the model makes of prepared images; None where memory does not do."""
        ...

    def choose(self, small: Any, size: tuple[int, int]) -> Integer[np.ndarray, "H W"]:
        """The cluster of each pixel at the image's own size; called in threads."""
        ...


@dataclass(frozen=True)
class _Loaded:
    """One image on its way: its labels, its own size, and what the model sees or made of it."""

    name: str
    labels: Int[np.ndarray, "H W"]
    content: Any


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
    pairs: Iterable[Pair], reader: LabelReader, maker: MaskMaker, *, workers: int, frame: Frame | None = None
) -> Iterator[ImageCounts | Problem]:
    """Make each image's mask and count it; the pairs' order is kept.

    Args:
        pairs: With images. They are segmented in groups of `GROUP`, counted from the first.
        reader: Of the labels.
        maker: Segments in the caller's thread.
        workers: Threads that read before it and count after it.
        frame: The part of each image that the model sees and that is counted; all of it if left out.
    """
    loaded = map_in_order(partial(_load_prepared, reader=reader, maker=maker, frame=frame), pairs, workers=workers)
    return map_in_order(partial(_count_made, maker=maker), _segment_groups(loaded, maker), workers=workers)


def check_pairs(pairs: Iterable[Pair], reader: LabelReader, *, workers: int) -> Iterator[Problem | None]:
    """Read every label and its image once, so that nothing bad turns up after hours of predicting."""
    return map_in_order(partial(_check, reader=reader), pairs, workers=workers)


def load_pair(
    pair: Pair, reader: LabelReader, frame: Frame | None = None, scaling: Scaling = ""
) -> tuple[Int[np.ndarray, "H W"], UInt8[np.ndarray, "H W 3"]] | Problem:
    """The labels and the pixels of one image, or what is wrong with them.

    Args:
        pair: With its image.
        reader: Of the labels.
        frame: The part of both that is wanted; all of it if left out.
        scaling: Of deep grey to 8 bits; each image's own if left out.
    """
    assert pair.image is not None
    try:
        labels = reader.read(pair.label)
    except BadIndexImage as error:
        return Problem(pair.name, error.reason)
    try:
        pixels = read_image(pair.image, scaling=scaling).pixels
    except UnreadableImage as error:
        return Problem(pair.name, f"its image `{pair.image.name}`: {error.reason}")
    differs = describe_size_difference(labels.shape, pixels.shape[:2], "image")
    if differs:
        return Problem(pair.name, differs)
    return (labels, pixels) if frame is None else (frame.frame_ids(labels), frame.frame_image(pixels))


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


def _load_prepared(pair: Pair, reader: LabelReader, maker: MaskMaker, frame: Frame | None) -> _Loaded | Problem:
    loaded = load_pair(pair, reader, frame, maker.scaling)
    return loaded if isinstance(loaded, Problem) else _Loaded(pair.name, loaded[0], maker.prepare(loaded[1]))


def _segment_groups(loaded: Iterator[_Loaded | Problem], maker: MaskMaker) -> Iterator[_Loaded | Problem]:
    while group := list(islice(loaded, GROUP)):
        sound = [item for item in group if isinstance(item, _Loaded)]
        together = max(1, min(GROUP, _PIXELS // max((item.labels.size for item in sound), default=1)))
        made: list[Any] = []
        for start in range(0, len(sound), together):
            made += maker.segment([item.content for item in sound[start : start + together]])
        results = iter(made)
        yield from (replace(item, content=next(results)) if isinstance(item, _Loaded) else item for item in group)


def _count_made(item: _Loaded | Problem, maker: MaskMaker) -> ImageCounts | Problem:
    if isinstance(item, Problem):
        return item
    if item.content is None:
        return Problem(item.name, "its image: out of memory, too large for the network")
    height, width = item.labels.shape
    return count_image(maker.choose(item.content, (height, width)).astype(np.int32), item.labels)


def _check(pair: Pair, reader: LabelReader) -> Problem | None:
    loaded = load_pair(pair, reader)
    return loaded if isinstance(loaded, Problem) else None
