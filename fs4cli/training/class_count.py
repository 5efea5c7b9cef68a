"""How many classes do the images have? Cached images in, the number on which parts of them agree best out.

A grouping that follows what is in the images comes out alike from one part of them and from another; one with a class
too many cuts somewhere by chance, and one with a class too few joins by chance. The agreement of groupings of several
parts is the curve; what counts is where it is highest, and the largest number of those nearly as high.

Ours: all of it, after stability as a criterion for the number of clusters (Lange et al., 2004). docs/grouping.md has
what it found on sets of images whose classes are known.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from fs4cli.clustering.pixels import PixelMaps, fit_pixel_clusters
from fs4cli.clustering.repeats import FEWEST_IMAGES
from fs4cli.errors import ConfigError, Interrupted
from fs4cli.model.extraction import Images, extract_maps
from fs4cli.progress import Progress
from fs4cli.training.exposing import expose, find_exposure

COUNTS = (3, 4, 5, 6, 8, 10, 12, 15, 20)
"""Numbers that are tried. Two always agree well and say little: whoever wants two can say so."""

NEAR = 0.03
"""How far below the best agreement a larger number may lie."""

SAMPLE = 60
"""Images that are grouped, at most."""

_FEWEST = FEWEST_IMAGES + 1
"""Below that every part holds all images, and their agreement says nothing."""


@runtime_checkable
class CountedImages(Images, Protocol):
    """Decoded images by position, and how many there are."""

    def __len__(self) -> int:
        """How many."""
        ...


@dataclass(frozen=True)
class ClassCount:
    """A number of classes, and why.

    Args:
        count: The number.
        agreement: The curve: by number, the mean adjusted Rand index between groupings of parts of the images.
    """

    count: int
    agreement: dict[int, float]

    def explain(self) -> str:
        """The curve in words, for `plan.json` and the screen."""
        curve = ", ".join(f"{count}: {value:.2f}" for count, value in self.agreement.items())
        return f"the largest on which parts of the images agree nearly best ({curve})"


def count_classes(images: CountedImages, *, short_side: int, seed: int, progress: Progress) -> ClassCount:
    """The number of classes in the images, from plain cues: a minute or two, whatever their number.

    Args:
        images: All of them, as a cache on disk.
        short_side: At which they are looked at, in pixels.
        seed: Of the sample and of the groupings.
        progress: Is told how far it is, and asks to stop.

    Raises:
        ConfigError: There are too few images to compare.
        Interrupted: A signal asked to stop; nothing was kept.
    """
    if len(images) < _FEWEST:
        raise ConfigError(
            f"the number of classes cannot be found out from {len(images)} images, it takes {_FEWEST}",
            hints=("say how many there are, for example with `--classes 5`",),
        )
    exposure = find_exposure(images, classes=COUNTS[0], short_side=short_side, seed=seed)
    images = expose(images, exposure)
    random = np.random.default_rng([seed, 37])
    positions = random.permutation(len(images))[:SAMPLE].tolist()
    cpu = torch.device("cpu")
    extracted = extract_maps(_look_at_nothing, images, positions, short_side=short_side, device=cpu, precision="fp32")
    shown = [PixelMaps(maps.features[..., :0], maps.axes) for maps in extracted]
    pixels = sum(maps.axes[..., 0].size for maps in shown)
    counts = [count for count in COUNTS if 20 * count <= pixels] or [COUNTS[0]]
    agreement = {}
    with progress.task("count classes", len(counts), unit="numbers") as task:
        for count in counts:
            # from starts that lie far apart, groupings agree on too many classes as well: on six of three colours
            found = fit_pixel_clusters(
                shown,
                count,
                number=len(shown),
                seed=seed,
                vote=False,
                thorough=False,
                is_exposed=exposure is not None,
            )
            agreement[count] = found.summary["agreement"]
            task.advance()
            signal = progress.stop_requested()
            if signal is not None:
                raise Interrupted(
                    "stopped while classes were being counted", signal=signal, hints=("the same command does it again",)
                )
    return ClassCount(choose_count(agreement), agreement)


def choose_count(agreement: dict[int, float]) -> int:
    """The largest number that agrees nearly as well as the best."""
    best = max(agreement.values())
    return max(count for count, value in agreement.items() if value >= best - NEAR)


def _look_at_nothing(images: torch.Tensor) -> torch.Tensor:
    """In place of a network: classes are counted before anything is known to have been learned well."""
    return images[:, :1, ::4, ::4]
