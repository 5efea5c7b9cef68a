"""Features and plain description of whole images, as clustering reads them.

In: uint8 images of any size. Out: dense features and axes at stride 4 of the image, shrunk to the short side the
network works at. Nothing is augmented, nothing is cut off.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from fs4cli.model.axes import describe_cues
from fs4cli.model.cues import find_cues, find_patterns
from fs4cli.model.device import Precision, autocast

MULTIPLE = 32
"""Heights and widths that the network takes are multiples of its coarsest stride."""

STRIDE = 4
"""Pixels of the shrunk image per feature."""

_PIXELS = 4_000_000
"""Of the images of one forward pass together, at most: long strips go a few at a time."""


@runtime_checkable
class Images(Protocol):
    """Decoded images by position: a list, or a cache on disk."""

    def __getitem__(self, position: int, /) -> UInt8[np.ndarray, "H W 3"]:
        """The image at that position."""
        ...


@dataclass(frozen=True)
class DenseMaps:
    """What the network and plain cues say of one image.

    Args:
        position: Of the image in the sequence.
        features: Dense features.
        axes: Of `fs4cli.model.axes`; none if they were not wanted.
        pixels: The shrunk image averaged over each stride, in [0, 1].
    """

    position: int
    features: Float32[np.ndarray, "h w d"]
    axes: Float32[np.ndarray, "h w a"]
    pixels: Float32[np.ndarray, "h w 3"]


def fit_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """The (height, width), multiples of 32, nearest to the image's shape with about that short side."""
    scale = short_side / min(size)
    height, width = (max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in size)
    return height, width


def shrink_image(pixels: UInt8[np.ndarray, "H W 3"], short_side: int) -> Float[Tensor, "1 3 h w"]:
    """The image in [0, 1] at `fit_size`, smoothed where it shrinks."""
    image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
    size = fit_size((pixels.shape[0], pixels.shape[1]), short_side)
    return F.interpolate(image.float() / 255, size, mode="bilinear", antialias=True, align_corners=False)


def extract_maps(
    network: Callable[[Tensor], Tensor],
    images: Images,
    positions: Sequence[int],
    *,
    short_side: int,
    device: torch.device,
    precision: Precision,
    batch: int = 16,
    with_axes: bool = True,
) -> Iterator[DenseMaps]:
    """Features and axes of the images at `positions`, in that order; neighbours of one size share a forward pass.

    Args:
        network: Images in [0, 1] to dense features at stride 4, in eval mode.
        images: All images.
        positions: Which of them.
        short_side: At which the network looks, in pixels.
        device: Where the network is.
        precision: Of its work.
        batch: Images a forward pass, at most.
        with_axes: False leaves them out: beside a small network they are two fifths of the work (docs/performance.md).
    """
    start = 0
    while start < len(positions):
        first = shrink_image(images[positions[start]], short_side)
        group = [first]
        most = min(batch, max(1, _PIXELS // first[0, 0].numel()))
        while start + len(group) < len(positions) and len(group) < most:
            following = shrink_image(images[positions[start + len(group)]], short_side)
            if following.shape != first.shape:
                break
            group.append(following)
        # not around the generator: between two images its caller would compute without gradients too
        with torch.inference_mode():
            together = torch.cat(group).to(device)
            with autocast(device, precision):
                features = network(together)
            rows = features.float().permute(0, 2, 3, 1).cpu().numpy()
            small = F.avg_pool2d(together, STRIDE).permute(0, 2, 3, 1).cpu().numpy()
            axes = _find_axes(together) if with_axes else small[..., :0]
        for offset in range(len(group)):
            yield DenseMaps(positions[start + offset], rows[offset], axes[offset], small[offset])
        start += len(group)


def _find_axes(images: Float[Tensor, "b 3 H W"]) -> Float32[np.ndarray, "b h w a"]:
    found = torch.cat([find_cues(images, STRIDE), find_patterns(images, STRIDE)], 1)
    return describe_cues(found).permute(0, 2, 3, 1).cpu().numpy()


def measure_cues(
    images: Images, positions: Sequence[int], *, short_side: int
) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Mean and standard deviation of each cue of `find_cues`, over a seventh of the cells of those images.

    Args:
        images: All images.
        positions: Which of them, at least one.
        short_side: At which they are looked at, in pixels.
    """
    found = [find_cues(shrink_image(images[position], short_side), STRIDE)[0] for position in positions]
    cues = torch.cat([one.flatten(1)[:, ::7] for one in found], 1).numpy()
    return cues.mean(1), cues.std(1)
