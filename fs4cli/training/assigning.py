"""Every pixel of every image to a cluster, round by round: first by grouping pixels, later by the segmenter.

In: the pretrained network or a segmenter, the cached images, the pyramid. Out: an assignment for each round, on disk;
one that is there is read, not made again.

Follows: FS^4's abstract: "pixel clustering and assignments" under pyramid guidance.
Ours: docs/method.md section 3 and docs/grouping.md.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float32
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from fs4cli.clustering.context import settle_in_context
from fs4cli.clustering.learned import FeatureClusters, fit_feature_clusters
from fs4cli.clustering.pixels import PixelClusters, PixelMaps, fit_pixel_clusters
from fs4cli.clustering.regions import average_texture, find_regions
from fs4cli.data.batches import Images
from fs4cli.errors import Interrupted, ProjectError
from fs4cli.files import explain_os_errors, read_json, write_bytes, write_json
from fs4cli.model.device import Precision, keep_to_one_core
from fs4cli.model.extraction import DenseMaps, extract_maps
from fs4cli.model.segmenter import Segmenter
from fs4cli.parallel import count_workers, map_in_order
from fs4cli.progress import Progress, Task
from fs4cli.training.assignment import Assignment, read_assignment, refine_assignment, write_assignment
from fs4cli.training.guiding import settle_guidance
from fs4cli.training.second_look import SecondLook, look_again

Judged = TypeVar("Judged")

SAMPLE = 150
"""Images that the pixel clusters are found on, at most: memory and time do not grow with the folder."""

CONTEXT = 60
"""Of these, those that tell whether images and patches guide their pixels."""

TIMED = 8
"""Images that foretell how long all of them take."""

_UNTIMED = 1.3
"""How many times as long the first assignment of an image takes as what can be timed before there are clusters: drawn
scenes 53 ms instead of 41."""

_GROUPING = "grouping.json"
"""What the first round was made from; beside its assignment."""

_RULE = {"weights": "weights", "offsets": "offsets", "places": "places.values"}
"""What of a rule in that file is which weight of a `PixelPrior`; `places` only where places are mapped."""

_NETWORK = "segmenter.safetensors"
"""The weights that made a later round's assignment; beside it, for a round after it that collapses."""


def measure_assigning(
    network: nn.Module,
    images: Images,
    *,
    classes: int,
    refine: bool,
    short_side: int,
    device: torch.device,
    precision: Precision,
) -> float:
    """About what assigning one image for the first time will take, in seconds, by a few of them.

    Args:
        network: The pretrained one, on the device.
        images: All of them.
        classes: Clusters that are to be found.
        refine: Whether assignments are sharpened along edges.
        short_side: At which the images are looked at, in pixels.
        device: Where to work.
        precision: Of the network's work.
    """

    def judge(maps: DenseMaps) -> None:
        average_texture(maps.axes, find_regions(maps.axes))
        if refine:
            soft = np.random.default_rng(maps.position).random((*maps.axes.shape[:2], classes), dtype=np.float32)
            refine_assignment(soft / soft.sum(2, keepdims=True), maps.pixels)

    def assign(positions: list[int]) -> Iterator[None]:
        looks = {"short_side": short_side, "device": device, "precision": precision}
        return _work_side_by_side(judge, extract_maps(network, images, positions, **looks))

    return _UNTIMED * _time_image(assign, len(images))


def _time_image(assign: Callable[[list[int]], Iterator[object]], number: int) -> float:
    """Seconds that `assign` takes for one of `number` images, by a few evenly spread ones."""
    positions = np.linspace(0, number - 1, min(number, TIMED)).astype(int).tolist()
    for _ in assign(positions[:1]):  # the first look at a size costs more than those after it
        pass
    started = time.perf_counter()
    for _ in assign(positions):
        pass
    return (time.perf_counter() - started) / len(positions)


def _work_side_by_side(judge: Callable[[DenseMaps], Judged], maps: Iterator[DenseMaps]) -> Iterator[Judged]:
    """What is made of each image, in order: each on one core, as its map is too small to be divided among them."""
    return map_in_order(judge, maps, workers=count_workers("auto"), prepare=keep_to_one_core)


@dataclass(frozen=True)
class Assigner:
    """Makes the assignments, and reads them.

    Args:
        folder: Of the stage; rounds lie in it.
        images: As they are learned from.
        is_exposed: They were put in one light.
        pyramid: Of each level its grid and the soft labels of every image's cells.
        is_guided: Assign and learn under the pyramid's guidance (PGG).
        classes: Clusters to find.
        grouping: What the first round knows of a pixel: all, features or cues.
        refine: Sharpen assignments along edges.
        short_side: At which the images are looked at, in pixels.
        seed: Of the sample and the clustering.
        device: Where to work.
        precision: Of the network's work.
        progress: Is told how far it is, and asks to stop.
    """

    folder: Path
    images: Images
    is_exposed: bool
    pyramid: list[tuple[int, Float32[np.ndarray, "n _ _"]]]
    is_guided: bool
    classes: int
    grouping: str
    refine: bool
    short_side: int
    seed: int
    device: torch.device
    precision: Precision
    progress: Progress

    def find_first(self, load_network: Callable[[], nn.Module]) -> Assignment:
        """The first round's assignment: read if it is there, else made by grouping pixels.

        Args:
            load_network: Gives the pretrained network; called only if it is needed.
        """
        is_found = (self._place(1) / _GROUPING).exists()
        return (read_assignment(self._place(1)) if is_found else None) or self._assign_by_clustering(load_network())

    @property
    def knows_place(self) -> bool:
        """Whether the first round found that the place in the image means something."""
        return bool(read_json(self._place(1) / _GROUPING)["with_place"])

    @property
    def rule(self) -> dict[str, Tensor] | None:
        """What a `PixelPrior` needs to say again what the first round's grouping said; None if cues do not tell it.

        A round that an older fs4 began has none either, and ends without.
        """
        rule = read_json(self._place(1) / _GROUPING).get("rule")
        return None if rule is None else {_RULE[name]: torch.tensor(value) for name, value in rule.items()}

    @property
    def is_doubted(self) -> bool:
        """Whether what plain cues say of a pixel is doubted: the rule of the first round has not all of its power."""
        return read_json(self._place(1) / _GROUPING).get("rule_power", 1.0) < 1

    @property
    def grids(self) -> tuple[int, ...]:
        """Cells per side of the levels that guide pixels: none without PGG, or where places tell too little."""
        return tuple(read_json(self._place(1) / _GROUPING).get("guided_by", ()))

    def read(self, number: int) -> Assignment | None:
        """A round's assignment, counted from 1; None if it was not finished, or is not what was written."""
        return read_assignment(self._place(number))

    def assign_anew(self, segmenter: Segmenter, number: int, before: Assignment) -> Assignment:
        """A later round: what the segmenter has made of the last one's assignment, times its prior."""
        segmenter.eval()
        look = self.look(segmenter, before)
        weights = {name: value.detach().cpu().contiguous() for name, value in sorted(segmenter.state_dict().items())}
        write_bytes(self._place(number) / _NETWORK, save(weights))

        def assign(task: Task) -> Iterator[Float32[np.ndarray, "h w k"]]:
            for soft in self._ask(segmenter, range(len(self.images))):
                yield soft
                self._advance(task)

        assignment = self._write(
            number,
            assign,
            before=before.label_maps,
            view_agreement=look.now.view_agreement,
            more_files=(_NETWORK,),
        )
        segmenter.train()
        return assignment

    def foretell_seconds(self, segmenter: Segmenter) -> float:
        """About what assigning every image anew will take, in seconds, by a few of them.

        Args:
            segmenter: Any that is built as the one that will assign; left in eval mode.
        """
        segmenter.eval()
        return _time_image(partial(self._ask, segmenter), len(self.images)) * len(self.images)

    def _ask(self, segmenter: Segmenter, positions: Sequence[int]) -> Iterator[Float32[np.ndarray, "h w k"]]:
        """The soft assignment of some images, by a segmenter."""

        def judge(maps: DenseMaps) -> Float32[np.ndarray, "h w k"]:
            soft = torch.softmax(torch.from_numpy(maps.features), dim=2).numpy()
            return refine_assignment(soft, maps.pixels) if self.refine else soft

        extracted = extract_maps(segmenter, self.images, positions, **self._looks(), with_axes=False)
        return _work_side_by_side(judge, extracted)

    def read_network(self, number: int) -> dict[str, Tensor]:
        path = self._place(number) / _NETWORK
        try:
            with explain_os_errors(path):
                return load(path.read_bytes())
        except (SafetensorError, OSError) as error:
            raise ProjectError(
                f"`{path}` cannot be read: {error}",
                hints=("restore it from a copy, or start over with `fs4 train --fresh`",),
            ) from error

    def look(self, segmenter: Segmenter, learned: Assignment) -> SecondLook:
        """What a segmenter makes of some images, against what it learned from; its guidance is settled before."""
        settle_guidance(segmenter, self.images, **self._looks())
        return look_again(segmenter, self.images, learned.label_maps, refine=self.refine, **self._looks())

    def _assign_by_clustering(self, network: nn.Module) -> Assignment:
        """Round 1: pixel clusters of pretrained features and cues."""
        extract = partial(extract_maps, network.to(self.device), self.images, **self._looks())
        clusters = self._find_clusters(extract)
        rule = None
        if isinstance(clusters, PixelClusters):
            rule = {"weights": clusters.rule.weights.tolist(), "offsets": clusters.rule.offsets.tolist()}
            if clusters.place_map is not None:
                rule["places"] = clusters.place_map.values.tolist()
        write_json(self._place(1) / _GROUPING, {**clusters.summary, "rule": rule})
        told = clusters.summary["chosen"]
        if clusters.summary.get("relative_colour"):
            told += ", colours less the mean of their image"
        if clusters.summary.get("usual_places"):
            told += ", places by what usually lies there"
        if clusters.summary.get("joined_from"):
            told += f", {clusters.summary['joined_from']} clusters joined to {self.classes}"
        if clusters.summary.get("guided_by"):
            told += ", and by what images and patches hold"
        if "agreement" in clusters.summary:
            told += f"; groupings of parts of the images agree {clusters.summary['agreement']:.2f} of 1"
        if clusters.summary.get("framed"):
            told += "; the frame around the images is a class of its own"
        self.progress.say(f"train: classes are told apart by {told}")

        def judge(maps: DenseMaps) -> Float32[np.ndarray, "h w k"]:
            soft = clusters.assign(self._show(maps))
            return refine_assignment(soft, maps.pixels) if self.refine else soft

        def assign(task: Task) -> Iterator[Float32[np.ndarray, "h w k"]]:
            for soft in _work_side_by_side(judge, extract(positions=range(len(self.images)))):
                yield soft
                self._advance(task)

        return self._write(1, assign)

    def _find_clusters(self, extract: Callable[..., Iterator[DenseMaps]]) -> PixelClusters | FeatureClusters:
        """On a sample of the images; in view of their places, too, where PGG is wanted and places tell."""
        random = np.random.default_rng([self.seed, 29])
        sample = np.sort(random.permutation(len(self.images))[:SAMPLE])
        self.progress.say(f"train: finding {self.classes} classes on {len(sample)} images")

        def show(positions: np.ndarray) -> Iterator[PixelMaps]:
            return (self._show(maps) for maps in extract(positions=positions.tolist()))

        options: dict[str, Any] = {"number": len(sample), "seed": self.seed}
        if self.grouping == "features":
            return fit_feature_clusters(show(sample), self.classes, **options)
        clusters = fit_pixel_clusters(show(sample), self.classes, is_exposed=self.is_exposed, **options)
        spread = sample[np.linspace(0, len(sample) - 1, min(len(sample), CONTEXT)).astype(int)]
        return settle_in_context(clusters, show(spread), [grid for grid, _ in self.pyramid] if self.is_guided else [])

    def _write(
        self, number: int, assign: Callable[[Task], Iterator[Float32[np.ndarray, "h w k"]]], **more: Any
    ) -> Assignment:
        with self.progress.task(f"assign {number}", len(self.images), unit="images") as task:
            return write_assignment(self._place(number), assign(task), self.pyramid, self.classes, **more)

    def _advance(self, task: Task) -> None:
        task.advance()
        signal = self.progress.stop_requested()
        if signal is not None:
            raise Interrupted(
                "stopped while pixels were being assigned", signal=signal, hints=("the same command does it again",)
            )

    def _show(self, maps: DenseMaps) -> PixelMaps:
        """What the grouping is to know of an image."""
        return PixelMaps(maps.features[..., :0] if self.grouping == "cues" else maps.features, maps.axes)

    def _looks(self) -> dict[str, Any]:
        return {"short_side": self.short_side, "device": self.device, "precision": self.precision}

    def _place(self, number: int) -> Path:
        return self.folder / f"round-{number}"
