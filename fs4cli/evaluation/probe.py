"""Features and labels in, a linear layer and its scores out: how much a model knows, told with the help of labels.

A supervised figure, and no other: it belongs beside the linear probes of papers, never beside figures of masks that
saw no label. The features stay as they are; one 1x1 layer is fitted on a bounded sample of pixels of images that are
not scored.

Follows: the linear probes of STEGO and its followers, which report such a row beside the unsupervised one.
Ours: multinomial logistic regression fitted to its minimum (L-BFGS), which has no learning rate and no order of images
    to tune, on standardized features.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int, Int64, UInt8

from fs4cli.errors import InputError, Interrupted, UsageError
from fs4cli.evaluation.classes import ClassTable
from fs4cli.evaluation.confusion import Tally
from fs4cli.evaluation.counting import count_predictions, load_pair
from fs4cli.evaluation.framing import Frame
from fs4cli.evaluation.ground_truth import LabelReader
from fs4cli.evaluation.matching import name_clusters, score_classes
from fs4cli.evaluation.pairs import Pair
from fs4cli.evaluation.problems import Problem
from fs4cli.evaluation.report import or_null
from fs4cli.parallel import map_in_order
from fs4cli.progress import Progress
from fs4cli.scaling import Scaling

PIXELS = 100_000
"""Pixels that the layer is fitted on, at most: memory does not grow with the images."""

IMAGES = 2_000
"""Images that they are drawn from, at most."""

_DECAY = 1e-4  # of the squared weights of standardized features, against the mean loss of a pixel
_ROUNDS = 200


@dataclass(frozen=True)
class ProbeSource:
    """What a probe is fitted on.

    Args:
        images: Folder of images, where no data set is scored.
        labels: Folder of their labels.
        split: Of the data set that is scored; "train" if left out.
    """

    images: Path | None = None
    labels: Path | None = None
    split: str | None = None


@runtime_checkable
class FeatureMaker(Protocol):
    """A model whose features can be had, as `fs4cli.prediction.features.Features` is."""

    @property
    def key(self) -> str: ...

    @property
    def scaling(self) -> Scaling: ...

    def prepare(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Any:
        """An image as the model sees it; called in threads."""
        ...

    def embed(self, images: Sequence[Any]) -> Sequence[Float32[np.ndarray, "c h w"]]:
        """Features of prepared images, at stride 4."""
        ...

    def apply(self, weight: Float32[np.ndarray, "k c"], bias: Float32[np.ndarray, " k"]) -> Any:
        """A maker of masks whose clusters are what a linear layer on the features says."""
        ...


@dataclass(frozen=True)
class Layer:
    """A fitted layer.

    Args:
        weight: Of each class.
        bias: Of each class; minus infinity, as far as floats go, for one that was not seen.
        images: It was fitted on.
        pixels: It was fitted on.
        accuracy: On those pixels.
    """

    weight: Float32[np.ndarray, "k c"]
    bias: Float32[np.ndarray, " k"]
    images: int
    pixels: int
    accuracy: float


def need_classes(table: ClassTable | None) -> ClassTable:
    """The table of classes, without which there is no layer to fit.

    Raises:
        UsageError: There is none.
    """
    if table is None:
        raise UsageError(
            "a probe needs to know the classes", hints=("name them in a `classes.yaml` beside the labels",)
        )
    return table


def fit_probe(
    pairs: Sequence[Pair],
    reader: LabelReader,
    maker: FeatureMaker,
    *,
    workers: int,
    seed: int,
    frame: Frame | None,
    progress: Progress,
) -> Layer:
    """Draw labelled pixels and fit the layer.

    Args:
        pairs: Labels with images; at most `IMAGES` of them are used, the same ones on every machine.
        reader: Of the labels, with a table of classes.
        maker: Of the features.
        workers: Threads that read.
        seed: Of the draw.
        frame: The part of each image that is looked at.
        progress: Is told of each image.

    Raises:
        InputError: A label or image is bad, or no pixel is labelled.
        Interrupted: A signal asked to stop.
    """
    table = need_classes(reader.table)
    chosen = sorted(pairs, key=lambda pair: hashlib.sha256(pair.name.encode(errors="replace")).digest())[:IMAGES]
    quota = max(1, PIXELS // max(1, len(chosen)))
    random = np.random.default_rng(seed)
    features, classes = [], []
    with progress.task("evaluate: probe", len(chosen), unit="images") as task:
        for item in map_in_order(lambda pair: _load(pair, reader, maker, frame), chosen, workers=workers):
            if isinstance(item, Problem):
                raise InputError(f"a label of the probe cannot be used: `{item.name}`: {item.reason}")
            labels, prepared = item
            (embedded,) = maker.embed([prepared])
            drawn = _draw(embedded, labels, quota, random)
            features.append(drawn[0])
            classes.append(drawn[1])
            task.advance()
            signal = progress.stop_requested()
            if signal is not None:
                raise Interrupted("evaluation stopped; nothing was written", signal=signal)
    if not sum(map(len, classes)):
        raise InputError("no pixel of the probe's images is labelled")
    layer = fit_layer(np.concatenate(features), np.concatenate(classes), len(table))
    return replace(layer, images=len(chosen))


def fit_layer(features: Float32[np.ndarray, "n c"], classes: Int[np.ndarray, " n"], count: int) -> Layer:
    """Multinomial logistic regression.

    Args:
        features: Of each pixel.
        classes: Of each pixel, in [0, count).
        count: How many classes there are; those that no pixel has are never predicted.
    """
    import torch
    import torch.nn.functional as F

    mean, std = features.mean(0), features.std(0) + 1e-6
    inputs = torch.from_numpy(((features - mean) / std).astype(np.float32))
    targets = torch.from_numpy(classes.astype(np.int64))
    seen = np.bincount(classes, minlength=count) > 0
    barred = torch.from_numpy(np.where(seen, 0, -1e9).astype(np.float32))
    weight = torch.zeros(count, features.shape[1], requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=_ROUNDS, history_size=20, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def measure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(F.linear(inputs, weight, bias) + barred, targets) + _DECAY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(measure)
    with torch.no_grad():
        found = (F.linear(inputs, weight, bias) + barred).argmax(1)
        accuracy = float((found == targets).float().mean())
    own = weight.detach().numpy() / std
    shift = (bias + barred).detach().numpy() - own @ mean
    return Layer(own.astype(np.float32), shift.astype(np.float32), 0, len(classes), accuracy)


def score_probe(
    pairs: Sequence[Pair],
    reader: LabelReader,
    maker: FeatureMaker,
    layer: Layer,
    table: ClassTable,
    *,
    workers: int,
    frame: Frame | None,
    progress: Progress,
) -> Tally:
    """Count what the layer says of images that it was not fitted on; cluster `i` is class `i`.

    Raises:
        Interrupted: A signal asked to stop.
    """
    tally = Tally()
    counts = count_predictions(pairs, reader, maker.apply(layer.weight, layer.bias), workers=workers, frame=frame)
    with progress.task("evaluate: scoring the probe", len(pairs), unit="images") as task:
        for found in counts:
            if not isinstance(found, Problem):  # it was named when the masks were scored
                tally.add(found)
            task.advance()
            signal = progress.stop_requested()
            if signal is not None:
                raise Interrupted("evaluation stopped; nothing was written", signal=signal)
    tally.reserve(len(table), len(table))
    return tally


def describe_probe(layer: Layer, tally: Tally, table: ClassTable, *, fitted_on: str) -> dict[str, Any]:
    """The section `probe` of a report.

    Args:
        layer: As fitted.
        tally: From `score_probe`.
        table: The classes.
        fitted_on: Which images, in words.
    """
    counted = name_clusters(tally.confusion, np.arange(len(table)), unanswered=tally.unanswered)
    metrics = {}
    for part, classes in list_parts(table):
        scores = score_classes(counted, classes=classes)
        metrics[part] = {
            "accuracy": or_null(scores.accuracy),
            "miou": or_null(scores.miou),
            "class_iou": {table.names[index]: or_null(scores.class_iou[index]) for index in classes},
        }
    return {
        "kind": "linear: one 1x1 layer on frozen features at stride 4, fitted with labels",
        "is_supervised": True,
        "fitted_on": fitted_on,
        "fitted_images": layer.images,
        "fitted_pixels": layer.pixels,
        "fitted_accuracy": layer.accuracy,
        "images": tally.images,
        "metrics": metrics,
    }


def find_overlap(fitted: Sequence[Pair], scored: Sequence[Pair]) -> list[str]:
    """Labels that would be fitted on and scored as well."""
    files = {pair.label.resolve() for pair in scored}
    return [pair.name for pair in fitted if pair.label.resolve() in files]


def _load(
    pair: Pair, reader: LabelReader, maker: FeatureMaker, frame: Frame | None
) -> tuple[Int[np.ndarray, "H W"], Any] | Problem:
    loaded = load_pair(pair, reader, frame, maker.scaling)
    return loaded if isinstance(loaded, Problem) else (loaded[0], maker.prepare(loaded[1]))


def _draw(
    embedded: Float32[np.ndarray, "c h w"], labels: Int[np.ndarray, "H W"], quota: int, random: np.random.Generator
) -> tuple[Float32[np.ndarray, "n c"], Int64[np.ndarray, " n"]]:
    """Labelled places of one image, each with the class of the pixel in its middle."""
    rows, columns = (
        ((np.arange(small) + 0.5) * large / small).astype(np.intp)
        for small, large in zip(embedded.shape[1:], labels.shape, strict=True)
    )
    classes = labels[np.ix_(rows, columns)].ravel()
    places = np.flatnonzero(classes >= 0)
    places = random.choice(places, min(quota, places.size), replace=False) if places.size else places
    return embedded.reshape(len(embedded), -1)[:, places].T.copy(), classes[places].astype(np.int64)


def list_parts(table: ClassTable) -> Iterator[tuple[str, list[int]]]:
    """All classes, and things and stuff where they are told apart."""
    yield "all", list(range(len(table)))
    for name, kind in (("things", "thing"), ("stuff", "stuff")):
        classes = [index for index, found in enumerate(table.kinds) if found == kind]
        if classes:
            yield name, classes
