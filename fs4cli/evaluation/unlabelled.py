"""Images and a model in, figures that need no label out: how it divides them, and whether it does so again.

A mask should not hang on what does not change the picture: a mirror, a smaller look, more light. How far it does not
is its stability. Agreement alone flatters a model that calls everything one class, so that chance is taken out of it
(kappa), and the health stands beside it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Int64, UInt8

from fs4cli.clustering.health import count_edges, measure_health
from fs4cli.data.images import read_image
from fs4cli.data.refusals import UnreadableImage
from fs4cli.errors import InputError, Interrupted
from fs4cli.evaluation.confusion import count_confusion
from fs4cli.evaluation.counting import MaskMaker
from fs4cli.evaluation.problems import Problem, list_problems
from fs4cli.parallel import map_in_order
from fs4cli.progress import Progress
from fs4cli.scaling import Scaling

MOST = 500
"""Images that are looked at, at most; of more, so many evenly spread."""

_SIDE = 256  # masks are compared at this short side, or at the image's own if that is less
_BRIGHTER = np.rint(255 * (np.arange(256) / 255) ** 0.7).astype(np.uint8)


@dataclass(frozen=True)
class View:
    """A change that should not change the mask.

    Args:
        name: Its name in the report.
        maker: The model that looks at the changed image.
        change: Of the pixels.
        undo: Of the mask.
    """

    name: str
    maker: MaskMaker
    change: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels
    undo: Callable[[np.ndarray], np.ndarray] = lambda mask: mask


def list_views(maker: MaskMaker, smaller: MaskMaker) -> tuple[View, ...]:
    """The views that are compared with the plain image.

    Args:
        maker: The model, without averaging over mirror images, which would hide what the mirror changes.
        smaller: The same model with a smaller look.
    """
    mirror = partial(np.flip, axis=1)
    return (
        View("mirrored", maker, mirror, mirror),
        View("smaller", smaller),
        View("brighter", maker, lambda pixels: _BRIGHTER[pixels]),
    )


def choose_evenly(paths: Sequence[Path], most: int = MOST) -> list[Path]:
    """All of them, or `most` evenly spread, in order."""
    if len(paths) <= most:
        return list(paths)
    return [paths[int(place)] for place in np.linspace(0, len(paths) - 1, most).round()]


def measure_unlabelled(
    paths: Sequence[Path], maker: MaskMaker, views: Sequence[View], *, workers: int, progress: Progress
) -> dict[str, Any]:
    """The section `unlabeled` of a report.

    Args:
        paths: Images; at most `MOST` of them are looked at.
        maker: The model.
        views: What its masks are compared on.
        workers: Threads that read.
        progress: Is told of each image.

    Raises:
        InputError: None of the images can be read.
        Interrupted: A signal asked to stop.
    """
    chosen, problems = choose_evenly(paths), []
    shares, edges, pixels = [], [], []
    matrices = {view.name: np.zeros((maker.clusters, maker.clusters), np.int64) for view in views}
    with progress.task("evaluate: unlabeled", len(chosen), unit="images") as task:
        for path, found in zip(chosen, _read_all(chosen, workers, maker.scaling), strict=True):
            if isinstance(found, Problem):
                problems.append(found)
                progress.warn(f"left out `{path}`: {found.reason}")
            else:
                masks = _segment_views(found, maker, views)
                if masks is None:
                    progress.warn(f"left out `{path}`: out of memory, too large for the network")
                    continue
                plain, *others = masks
                for view, mask in zip(views, others, strict=True):
                    _add(matrices[view.name], mask, plain)
                shares.append(np.bincount(plain.ravel(), minlength=maker.clusters))
                edges.append(count_edges(plain))
                pixels.append(plain.size)
            task.advance()
            signal = progress.stop_requested()
            if signal is not None:
                raise Interrupted("evaluation stopped; nothing was written", signal=signal)
    if not shares:
        raise InputError("none of the images can be read", details=list_problems(problems))
    counts = np.stack(shares)
    return {
        "images": len(shares),
        "of": len(paths),
        "clusters": maker.clusters,
        "health": measure_health(counts.astype(float), np.array(edges), np.array(pixels)).as_dict(),
        "shares": [round(float(share), 6) for share in counts.sum(0) / counts.sum()],
        "stability": {name: _compare(matrix) for name, matrix in matrices.items()},
    }


def judge_unlabelled(section: dict[str, Any]) -> list[str]:
    """What a reader should be warned of, in words."""
    health, notes = section["health"], []
    if health["largest_share"] > 0.6:
        notes.append(f"one class holds {100 * health['largest_share']:.0f} % of all pixels")
    if health["effective_clusters"] < section["clusters"] / 3:
        notes.append(f"of {section['clusters']} classes only {health['effective_clusters']:.1f} are in effective use")
    weak = [name for name, view in section["stability"].items() if view["kappa"] is not None and view["kappa"] < 0.5]
    if weak:
        notes.append(f"the masks change much when the image is {' or '.join(weak)}")
    return notes


def _read_all(paths: Sequence[Path], workers: int, scaling: Scaling) -> Iterator[UInt8[np.ndarray, "H W 3"] | Problem]:
    def read(path: Path) -> np.ndarray | Problem:
        try:
            return read_image(path, scaling=scaling).pixels
        except UnreadableImage as error:
            return Problem(path.name, error.reason)

    return map_in_order(read, paths, workers=workers)


def _segment_views(
    pixels: UInt8[np.ndarray, "H W 3"], maker: MaskMaker, views: Sequence[View]
) -> list[Int[np.ndarray, "h w"]] | None:
    """The mask of the image and of each view, all as the image lies; None if memory does not do."""
    scale = min(1.0, _SIDE / min(pixels.shape[:2]))
    size = max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))
    masks = []
    for view in (View("plain", maker), *views):
        prepared = view.maker.prepare(np.ascontiguousarray(view.change(pixels)))
        (small,) = view.maker.segment([prepared])
        if small is None:
            return None
        masks.append(view.undo(view.maker.choose(small, size).astype(np.int32)))
    return masks


def _add(matrix: Int64[np.ndarray, "k k"], mask: Int[np.ndarray, "h w"], plain: Int[np.ndarray, "h w"]) -> None:
    counts = count_confusion(mask, plain)[1:, 1:]
    matrix[: counts.shape[0], : counts.shape[1]] += counts


def _compare(matrix: Int64[np.ndarray, "k k"]) -> dict[str, float | None]:
    """Agreement of the view's masks (rows) with the plain ones (columns)."""
    shares = matrix / matrix.sum()
    rows, columns, both = shares.sum(1), shares.sum(0), np.diagonal(shares)
    agreement, chance = float(both.sum()), float(rows @ columns)
    used = rows + columns > 0
    iou = both[used] / (rows + columns - both)[used]
    return {
        "agreement": round(agreement, 6),
        "kappa": round((agreement - chance) / (1 - chance), 6) if chance < 1 else None,
        "miou": round(float(iou.mean()), 6),
    }
