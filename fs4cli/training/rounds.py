"""The rounds of FS^4: assign every pixel to a cluster, learn from that, assign anew with what was learned.

In: the pretrained network, the cached images, the pyramid's labels. Out: an assignment for each round, on disk, and a
trained objective. A round that is there is not made again, so that a killed run ends as one left alone.

Follows: FS^4's abstract: a "bootstrapped training scheme" of pixel clustering and assignments under pyramid guidance.
Ours: what a round is, docs/method.md section 3.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from fs4cli.clustering.context import settle_in_context
from fs4cli.clustering.health import Collapse, Health, find_collapse
from fs4cli.clustering.learned import fit_feature_clusters
from fs4cli.clustering.pixels import PixelClusters, PixelMaps, fit_pixel_clusters
from fs4cli.data.cache import ImageCache
from fs4cli.errors import Interrupted, ProjectError
from fs4cli.files import explain_os_errors, read_json, write_bytes, write_json
from fs4cli.model.device import Precision
from fs4cli.model.extraction import DenseMaps, extract_maps
from fs4cli.model.segmenter import Segmenter
from fs4cli.progress import Progress, Task
from fs4cli.training.assignment import (
    Assignment,
    guide,
    read_assignment,
    refine_assignment,
    write_assignment,
)
from fs4cli.training.fit import FitResult
from fs4cli.training.guiding import settle_guidance
from fs4cli.training.round_fit import FitRound
from fs4cli.training.second_look import SecondLook, look_again
from fs4cli.training.segmentation import Segmentation

SAMPLE = 150
"""Images that the pixel clusters are found on, at most: memory and time do not grow with the folder."""

CONTEXT = 60
"""Of these, those that tell whether images and patches guide their pixels."""

_GROUPING = "grouping.json"
"""What the first round was made from; beside its assignment."""

_NETWORK = "segmenter.safetensors"
"""The weights that made a later round's assignment; beside it, for a round after it that collapses."""


@dataclass(frozen=True)
class Rounds:
    """What all rounds share.

    Args:
        folder: Of the stage; rounds lie in it.
        cache: The images.
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
    cache: ImageCache
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
        return None if rule is None else {name: torch.tensor(rule[name]) for name in ("weights", "offsets")}

    @property
    def grids(self) -> tuple[int, ...]:
        """Cells per side of the levels that guide pixels: none without PGG, or where places tell too little."""
        return tuple(read_json(self._place(1) / _GROUPING).get("guided_by", ()))

    def teach(self, objective: Segmentation, assignment: Assignment) -> None:
        """Let the objective learn from an assignment."""
        guidance = guide(assignment, self.pyramid) if self.is_guided else []
        shares, sureness = (torch.from_numpy(values).float() for values in (assignment.shares, assignment.sureness))
        objective.set_round(assignment.label_maps, shares, sureness, guidance)

    def run(
        self, objective: Segmentation, first: Assignment, *, rounds: int, fit_until: FitRound
    ) -> tuple[list[FitResult], Assignment, Health]:
        """Train for all rounds, or go on where it stopped.

        A round whose assignment collapsed is taken back: the next one learns from the assignment before it, with the
        weights that made that one, and with the objective strengthened against what happened.

        Args:
            objective: Fresh; its segmenter's average makes the later assignments.
            first: Of the first round.
            rounds: How many.
            fit_until: See `FitRound`.

        Returns:
            What each round of this run did, the assignment that was learned from last, and the health of what the
            finished segmenter makes of it.

        Raises:
            Interrupted: A signal asked to stop; all is saved.
        """
        parts: list[FitResult] = []
        start = {name: value.clone() for name, value in objective.segmenter.state_dict().items()}
        current, healthy, go_back = first, 1, False

        def take_back() -> None:
            objective.restore(start if healthy == 1 else self._read_network(healthy))

        def fit_round(number: int) -> None:
            self.teach(objective, current)
            parts.append(fit_until(number, take_back if go_back else None))

        for number in range(1, rounds):
            # an assignment that is there was made from a finished round, which need not be trained again
            following = read_assignment(self._place(number + 1))
            if following is None:
                fit_round(number)
                following = self._assign_by_segmenter(objective.average, number + 1, current)
            self.progress.say(f"train: assignment {number + 1}: {following.health.explain()}")
            collapse = find_collapse(current.health, following.health)
            go_back = collapse is not None
            if collapse is None:
                current, healthy = following, number + 1
            else:
                self._warn(collapse, objective.strengthen(collapse.kind))
        fit_round(rounds)
        return parts, current, self._judge(objective, current, take_back if rounds > 1 and healthy > 1 else None)

    def _judge(self, objective: Segmentation, learned: Assignment, take_back: Callable[[], None] | None) -> Health:
        """The health of the finished segmenter; of the one before the last round, if the last made it collapse."""
        objective.average.eval()

        def look() -> SecondLook:
            settle_guidance(objective.average, self.cache, **self._looks())
            return look_again(objective.average, self.cache, learned.label_maps, refine=self.refine, **self._looks())

        found = look()
        collapse = find_collapse(found.before, found.now)
        if collapse is not None and take_back is not None:
            self.progress.warn(f"in the last round {collapse.words}; the model is the one from before it")
            take_back()
            found = look()
        elif collapse is not None:
            self.progress.warn(f"{collapse.words}; look at the masks before you use them")
        health = replace(learned.health, view_agreement=found.now.view_agreement, round_nmi=found.now.round_nmi)
        self.progress.say(f"train: finished: {health.explain()}")
        return health

    def _warn(self, collapse: Collapse, changes: str) -> None:
        self.progress.warn(
            f"{collapse.words}; training goes back to the assignment and the weights of the round before, "
            f"with {changes}"
        )

    def _read_network(self, number: int) -> dict[str, Tensor]:
        path = self._place(number) / _NETWORK
        try:
            with explain_os_errors(path):
                return load(path.read_bytes())
        except (SafetensorError, OSError) as error:
            raise ProjectError(
                f"`{path}` cannot be read: {error}",
                hints=("restore it from a copy, or start over with `fs4 train --fresh`",),
            ) from error

    def _assign_by_clustering(self, network: nn.Module) -> Assignment:
        """Round 1: pixel clusters of pretrained features and cues."""
        random = np.random.default_rng([self.seed, 29])
        sample = np.sort(random.permutation(len(self.cache))[:SAMPLE]).tolist()
        extract = partial(extract_maps, network.to(self.device), self.cache, **self._looks())
        self.progress.say(f"train: finding {self.classes} classes on {len(sample)} images")
        fit_clusters = fit_feature_clusters if self.grouping == "features" else fit_pixel_clusters
        clusters = fit_clusters(
            (self._show(maps) for maps in extract(positions=sample)),
            self.classes,
            number=len(sample),
            seed=self.seed,
        )
        rule = None
        if isinstance(clusters, PixelClusters):
            if self.is_guided:
                spread = np.linspace(0, len(sample) - 1, min(len(sample), CONTEXT)).astype(int)
                shown = (self._show(maps) for maps in extract(positions=[sample[one] for one in spread]))
                clusters = settle_in_context(clusters, shown, [grid for grid, _ in self.pyramid])
            rule = {"weights": clusters.rule.weights.tolist(), "offsets": clusters.rule.offsets.tolist()}
        write_json(self._place(1) / _GROUPING, {**clusters.summary, "rule": rule})
        less = ", in view of what images and patches hold" if clusters.summary.get("guided_by") else ""
        less += ", colours less the mean of their image" if clusters.summary.get("relative_colour") else ""
        self.progress.say(f"train: classes are told apart by {clusters.summary['chosen']}{less}")

        def assign(task: Task) -> Iterator[Float32[np.ndarray, "h w k"]]:
            for maps in extract(positions=range(len(self.cache))):
                soft = clusters.assign(self._show(maps))
                yield refine_assignment(soft, maps.pixels) if self.refine else soft
                self._advance(task)

        return self._write(1, assign)

    def _assign_by_segmenter(self, segmenter: Segmenter, number: int, before: Assignment) -> Assignment:
        """A later round: what the segmenter has made of the last one's assignment, times its prior."""
        segmenter.eval()
        settle_guidance(segmenter, self.cache, **self._looks())
        look = look_again(segmenter, self.cache, before.label_maps, refine=self.refine, **self._looks())
        weights = {name: value.detach().cpu().contiguous() for name, value in sorted(segmenter.state_dict().items())}
        write_bytes(self._place(number) / _NETWORK, save(weights))

        def assign(task: Task) -> Iterator[Float32[np.ndarray, "h w k"]]:
            extracted = extract_maps(segmenter, self.cache, range(len(self.cache)), **self._looks())
            for maps in extracted:
                soft = torch.softmax(torch.from_numpy(maps.features), dim=2).numpy()
                yield refine_assignment(soft, maps.pixels) if self.refine else soft
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

    def _write(
        self, number: int, assign: Callable[[Task], Iterator[Float32[np.ndarray, "h w k"]]], **more: Any
    ) -> Assignment:
        with self.progress.task(f"assign {number}", len(self.cache), unit="images") as task:
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
