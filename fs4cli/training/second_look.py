"""A second look at some images: does a segmenter say the same when it sees them otherwise? Needs no label.

In: a segmenter, the cached images, what they were assigned to before. Out: `Health` of what it says of a few of them,
beside the health of the assignment on the same few.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float64, Int64
from torch import Tensor

from fs4cli.clustering.agreement import mutual_information
from fs4cli.clustering.health import Health, count_edges, find_lost, measure_health
from fs4cli.data.batches import Images
from fs4cli.data.label_maps import LabelMaps
from fs4cli.model.device import Precision
from fs4cli.model.extraction import MULTIPLE, STRIDE, extract_maps
from fs4cli.model.segmenter import Segmenter
from fs4cli.training.assignment import refine_assignment

LOOKED_AT = 30
"""Images, at most, evenly spread."""

SMALLER = 0.75
"""Of the size of the first look."""


@dataclass(frozen=True)
class SecondLook:
    """What came of it.

    Args:
        now: What the segmenter says of the images.
        before: What they were assigned to.
        lost: Clusters that were there before and are hardly seen now.
    """

    now: Health
    before: Health
    lost: tuple[int, ...] = ()


@torch.no_grad()
def look_again(
    segmenter: Segmenter,
    images: Images,
    label_maps: LabelMaps,
    *,
    refine: bool,
    short_side: int,
    device: torch.device,
    precision: Precision,
) -> SecondLook:
    """Look at some images as they are, and mirrored and smaller.

    Args:
        segmenter: In eval mode.
        images: All of them.
        label_maps: What they were assigned to.
        refine: Whether assignments are sharpened along edges.
        short_side: Of the first look, in pixels.
        device: Where the segmenter is.
        precision: Of its work.
    """
    positions = np.linspace(0, len(images) - 1, min(len(images), LOOKED_AT)).astype(int).tolist()
    extract = partial(
        extract_maps,
        images=images,
        positions=positions,
        short_side=short_side,
        device=device,
        precision=precision,
        with_axes=False,
    )
    clusters = segmenter.classes
    joint = np.zeros((clusters, clusters), np.int64)
    now, before = _Counts(clusters), _Counts(clusters)
    alike = 0
    for maps, others in zip(extract(segmenter), extract(see_otherwise(segmenter)), strict=True):
        mask, other = maps.features.argmax(2), others.features.argmax(2)
        alike += int((mask == other).sum())
        if refine:
            soft = torch.softmax(torch.from_numpy(maps.features), dim=2).numpy()
            mask = refine_assignment(soft, maps.pixels).argmax(2)
        earlier = label_maps[maps.position].astype(np.int64)
        joint += np.bincount((earlier * clusters + mask).ravel(), minlength=clusters**2).reshape(clusters, clusters)
        now.add(mask)
        before.add(earlier)
    health = replace(now.measure(), view_agreement=alike / max(sum(now.pixels), 1), round_nmi=mutual_information(joint))
    return SecondLook(health, before.measure(), find_lost(before.shares(), now.shares()))


def see_otherwise(segmenter: Segmenter) -> Callable[[Tensor], Tensor]:
    """The segmenter behind a mirror and a few steps back: images in, logits as the images lie and at their stride."""

    def look(images: Tensor) -> Tensor:
        size = tuple(max(MULTIPLE, round(SMALLER * side / MULTIPLE) * MULTIPLE) for side in images.shape[2:])
        smaller = F.interpolate(images.flip(3), size, mode="bilinear", antialias=True, align_corners=False)
        logits = segmenter(smaller, is_mirrored=True).float()
        whole = (images.shape[2] // STRIDE, images.shape[3] // STRIDE)
        return F.interpolate(logits, whole, mode="bilinear", align_corners=False).flip(3)

    return look


class _Counts:
    """What `measure_health` asks for, mask by mask."""

    def __init__(self, clusters: int):
        self.clusters = clusters
        self.rows: list[np.ndarray] = []
        self.edges: list[int] = []
        self.pixels: list[int] = []

    def add(self, mask: Int64[np.ndarray, "h w"]) -> None:
        self.rows.append(np.bincount(mask.ravel(), minlength=self.clusters).astype(float))
        self.edges.append(count_edges(mask))
        self.pixels.append(mask.size)

    def shares(self) -> Float64[np.ndarray, " k"]:
        return np.sum(self.rows, axis=0) / max(sum(self.pixels), 1)

    def measure(self) -> Health:
        return measure_health(np.stack(self.rows), np.array(self.edges), np.array(self.pixels))
