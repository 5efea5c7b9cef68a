"""The FS^4 objective: pixels, pyramid and context, and the sum of the terms.

In: a batch of windows; the round's pseudo-label maps and the pyramid's pseudo-labels are set before. Out: named terms.
Two augmented views of each window must both predict the assignment that clustering made of the untouched image.

Follows: FS^4's abstract for the three parts: pixel clustering and assignment, PGG, CAE.
Ours: their equations and weights, docs/method.md section 3.
"""

import copy
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fs4cli.data.augment import Photometry, Placement, find_overlap, make_view, shrink_windows
from fs4cli.data.batches import Batch
from fs4cli.data.cells import find_cells, locate_in_image
from fs4cli.data.label_maps import LabelMaps
from fs4cli.model.extraction import STRIDE
from fs4cli.model.neighbours import gather_neighbours
from fs4cli.model.pooling import pool_cells
from fs4cli.model.segmenter import Embedded, Segmenter
from fs4cli.training.fit import LossTerms
from fs4cli.training.pixel_loss import compare_views, compare_with_labels, weigh_clusters
from fs4cli.training.pretext import update_average
from fs4cli.training.pyramid_loss import compare_cells, compare_shares

OWN_LIGHT = Photometry(brightness=0.0, contrast=0.0, saturation=0.0, tint=0.0, blur=0.2, noise=0.02, grey=0.0)
"""Of views of images whose classes were found in the light they are in, and may hang on it."""

OTHER_LIGHT = Photometry(brightness=0.2, contrast=0.2, saturation=0.2, tint=0.03, blur=0.2, noise=0.02, grey=0.0)
"""Of views of images where what plain cues say is doubted: what is learned must hold in other light, too."""


@dataclass(frozen=True)
class SegmentationOptions:
    """The numbers of the objective; docs/method.md section 3 says where each is from.

    Args:
        window: Side of the windows that views are cut from, in pixels.
        crop: Side of the views, in pixels.
        scale: Smallest and largest side of a view as a share of the window.
        balance: Power with which a cluster's loss weight falls with its share; 0 for none.
        cross: Weight of the agreement between the views.
        guidance: Weight of PGG; each finer level has half the weight of the one above.
        top_down: Weight of its link to the pixels, relative to `guidance`.
        context: Weight of CAE's own terms.
        momentum: Share of the old average model that is kept at each step.
        photometry: How strongly views differ from the image as it is: `OWN_LIGHT` or `OTHER_LIGHT`. Where the classes
            hang on the light they were found in, other light teaches contradictions (docs/method.md).
    """

    window: int
    crop: int
    scale: tuple[float, float]
    balance: float = 0.5
    cross: float = 0.3
    guidance: float = 0.3
    top_down: float = 0.5
    context: float = 0.2
    momentum: float = 0.99
    photometry: Photometry = OWN_LIGHT


@dataclass(frozen=True)
class GuidanceLevel:
    """The pyramid's pseudo-labels of one level, and what pixels its labels usually hold.

    Args:
        grid: Cells per side.
        labels: Soft label of each cell of each image.
        expected: Mean shares of pixel clusters in cells of each label.
    """

    grid: int
    labels: Float[Tensor, "n cells m"]
    expected: Float[Tensor, "m k"]

    def __deepcopy__(self, memo: dict) -> "GuidanceLevel":
        return self  # only read, and the labels of all images may lie on the disk


class Segmentation(nn.Module):
    """Trains a segmenter; keeps an average of it, which is the result.

    Args:
        segmenter: To train.
        options: The numbers of the objective.
        channels: Width of the segmenter's embedding.
        pyramid_labels: How many labels each pyramid level has; empty to train without PGG.
    """

    def __init__(
        self, segmenter: Segmenter, options: SegmentationOptions, *, channels: int, pyramid_labels: tuple[int, ...]
    ):
        super().__init__()
        self.options = self._chosen = options
        self.segmenter = segmenter
        self.average = copy.deepcopy(segmenter)
        self.average.requires_grad_(False)
        self.cell_heads = nn.ModuleList(
            [nn.Sequential(nn.ReLU(), nn.Linear(channels, count)) for count in pyramid_labels]
        )
        self.predictor = (
            nn.Sequential(nn.Conv2d(channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, channels, 1))
            if segmenter.context is not None
            else None
        )
        self.label_maps: LabelMaps | None = None
        self.weights: Tensor | None = None
        self.levels: list[GuidanceLevel] = []

    def set_round(
        self,
        label_maps: LabelMaps,
        shares: Float[Tensor, " k"],
        sureness: Float[Tensor, " k"],
        levels: list[GuidanceLevel],
    ) -> None:
        """What to learn from now on; not part of the state, as it lies on disk.

        Args:
            label_maps: The pseudo-label of every pixel.
            shares: Of all pixels in each cluster.
            sureness: Mean confidence of each cluster's pixels.
            levels: The pyramid's labels, coarse to fine.
        """
        self.label_maps = label_maps
        self.weights = weigh_clusters(shares, sureness, power=self.options.balance)
        self.levels = levels

    def strengthen(self, against: Literal["merging", "shattering"]) -> str:
        """Work harder against a collapse from now on; `set_round` comes after it.

        Returns:
            What was changed, in words.
        """
        if against == "merging":
            changes = {"balance": 1.0, "guidance": 2 * self._chosen.guidance}
        else:
            changes = {"cross": 2 * self._chosen.cross, "guidance": 2 * self._chosen.guidance}
        told = [f"{name} {getattr(self.options, name):g} -> {value:g}" for name, value in changes.items()]
        self.options = replace(self.options, **changes)
        return ", ".join(told)

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Let the segmenter and its average go on from these weights of the segmenter."""
        self.segmenter.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def forward(self, batch: Batch, step: int) -> LossTerms:
        if self.label_maps is None or self.weights is None:
            raise ValueError("set_round comes before the first step")
        options = self.options
        device = self.segmenter.cue_mean.device
        windows = shrink_windows(batch.images.to(device), options.window)
        boxes = batch.boxes.to(device)
        views, placements = [], []
        for _ in range(2):
            view, placement = make_view(
                windows,
                (options.crop, options.crop),
                scale=options.scale,
                photometry=options.photometry,
                generator=batch.generator,
            )
            views.append(view)
            placements.append(Placement(placement.scale.to(device), placement.shift.to(device)))
        size = (options.crop // STRIDE, options.crop // STRIDE)
        places = torch.cat([locate_in_image(placement, boxes, size) for placement in placements])
        both = self.segmenter.embed(torch.cat(views), places)
        indices = torch.cat([batch.indices, batch.indices])
        labels, confidence = self.label_maps.cut(indices, places)
        terms = {
            "pixels": compare_with_labels(both.logits, labels, weights=self.weights.to(device), confidence=confidence),
            "views": options.cross * self._compare_views(both.logits, placements, size),
        }
        if self.levels:
            terms |= self._guide(both, indices, places)
        if self.predictor is not None and both.attention is not None:
            terms["context"] = options.context * self._compare_context(both)
        return LossTerms(total=sum(terms.values(), start=torch.zeros((), device=device)), terms=terms)

    def _compare_views(self, logits: Tensor, placements: list[Placement], size: tuple[int, int]) -> Tensor:
        first, second = logits.chunk(2)
        losses = []
        for own, other, source, target in ((first, second, 1, 0), (second, first, 0, 1)):
            grid, valid = find_overlap(placements[source], placements[target], size)
            # "border": the outermost half of a prediction is not to be mixed with zeros from beyond the view
            aligned = F.grid_sample(other, grid, padding_mode="border", align_corners=False)
            chosen = valid.flatten()
            losses.append(
                compare_views(
                    own.permute(0, 2, 3, 1).flatten(0, 2)[chosen], aligned.permute(0, 2, 3, 1).flatten(0, 2)[chosen]
                )
            )
        return (losses[0] + losses[1]) / 2

    def _guide(self, both: Embedded, indices: Tensor, places: Tensor) -> dict[str, Tensor]:
        options = self.options
        probabilities = torch.softmax(both.logits, dim=1)
        area = both.logits.shape[2] * both.logits.shape[3]
        cell_loss = top_down = torch.zeros((), device=places.device)
        for position, level in enumerate(self.levels):
            count = level.grid**2
            cells = find_cells(places, level.grid)
            pooled, mass = pool_cells(both.embedding, cells, count, weights=both.weights)
            shares, pixels = pool_cells(probabilities, cells, count)
            # a cell counts where the view shows a good part of it
            seen = (pixels >= area / count / 4).flatten() & (mass > 0).flatten()
            if not bool(seen.any()):
                continue
            given = level.labels[indices.cpu()].to(places.device, torch.float32).flatten(0, 1)[seen]
            sure = given.amax(1)
            scale = options.guidance * 0.5**position
            logits = self.cell_heads[position](pooled.flatten(0, 1)[seen])
            cell_loss = cell_loss + scale * compare_cells(logits, given, sure)
            top_down = top_down + scale * options.top_down * compare_shares(
                shares.flatten(0, 1)[seen], given, level.expected.to(places.device)
            )
        return {"cells": cell_loss, "top_down": top_down}

    def _compare_context(self, both: Embedded) -> Tensor:
        attention = both.attention
        if attention is None or self.predictor is None:
            raise ValueError("the segmenter has no context-aware embedding")
        probabilities = torch.softmax(both.logits, dim=1)
        with torch.no_grad():
            together = torch.cat([both.embedding, probabilities.to(both.embedding.dtype)], 1)
            neighbours, around = gather_neighbours(together, attention).split(
                [both.embedding.shape[1], probabilities.shape[1]], dim=1
            )
            around = around.float().clamp(min=1e-6)
        predicted = self.predictor(both.embedding)
        likeness = F.cosine_similarity(predicted.float(), neighbours.float(), dim=1)
        smooth = (around * (around.log() - probabilities.clamp(min=1e-6).log())).sum(1)
        return (1 - likeness).mean() + 0.5 * smooth.mean()

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        """Move the average; faster at first, while everything still changes."""
        update_average(self.average, self.segmenter, min(self.options.momentum, (1 + step) / (10 + step)))
