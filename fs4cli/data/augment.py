"""Two augmented views of a batch of windows, and where each pixel of one lies in the other.

In: uint8 windows of cached images. Out: batches of float views in [0, 1] and their placements, as whole-batch
tensor operations. All randomness comes from one generator, so a resumed run draws the same views.

Ours: docs/method.md section 2; FS^4's abstract does not say how views are made. As in PiCIE, one view's geometry is
known relative to the other's, so pixels can be compared one to one.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Placement:
    """Where each view lies in its window: `window = scale * view + shift`, both in [-1, 1] as (x, y).

    Args:
        scale: Half the view's extent over half the window's; negative x means mirrored.
        shift: The view's middle.
    """

    scale: Float[Tensor, "b 2"]
    shift: Float[Tensor, "b 2"]


@dataclass(frozen=True)
class Photometry:
    """How strongly the views' light and colour differ; each value is the largest change.

    Args:
        brightness: Relative gain.
        contrast: Relative change of the distance from the mean.
        saturation: Relative change of the distance from grey.
        tint: Relative gain of single channels.
        blur: Share of views that are blurred.
        noise: Standard deviation of pixel noise, in [0, 1] units.
        grey: Share of views without colour.
    """

    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3
    tint: float = 0.05
    blur: float = 0.3
    noise: float = 0.02
    grey: float = 0.1


def choose_scale(window: int, crop: int) -> tuple[float, float]:
    """Smallest and largest side of a view as a share of its window: enlarged or shrunk by a third to a half at most.

    Args:
        window: Side of the window, in pixels.
        crop: Side of the view, in pixels, at most the window's.
    """
    return 0.55 * crop / window, min(1.0, 1.35 * crop / window)


def draw_placement(
    batch: int, *, scale: tuple[float, float], generator: torch.Generator, mirror: bool = True
) -> Placement:
    """Random square-ish crops inside the window.

    Args:
        batch: How many.
        scale: Smallest and largest side of a crop as a share of the window's side, in (0, 1].
        generator: Source of the draw.
        mirror: Whether half the crops are mirrored left to right.
    """
    low, high = scale
    side = low + (high - low) * torch.rand(batch, 1, generator=generator)
    stretch = torch.exp((torch.rand(batch, 2, generator=generator) - 0.5) * 0.2)
    extent = (side * stretch).clamp(max=1.0)
    shift = (1 - extent) * (2 * torch.rand(batch, 2, generator=generator) - 1)
    if mirror:
        flip = torch.rand(batch, generator=generator) < 0.5
        extent = torch.stack([torch.where(flip, -extent[:, 0], extent[:, 0]), extent[:, 1]], dim=1)
    return Placement(extent, shift)


def cut_view(
    windows: Float[Tensor, "b 3 H W"], placement: Placement, size: tuple[int, int]
) -> Float[Tensor, "b 3 h w"]:
    """The crops of `placement`, resampled to `size` = (height, width)."""
    # not `affine_grid`: autocast computes its matrix product, and so the places, to 8 bits
    grid = locate_pixels(Placement(placement.scale.to(windows), placement.shift.to(windows)), size)
    return F.grid_sample(windows, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def change_light(
    images: Float[Tensor, "b 3 h w"], photometry: Photometry, generator: torch.Generator
) -> Float[Tensor, "b 3 h w"]:
    """Change brightness, contrast, saturation, tint, sharpness and noise, another way for each image.

    Args:
        images: In [0, 1].
        photometry: How strongly.
        generator: Source of the draw.
    """
    count = len(images)

    def draw(spread: float, channels: int = 1) -> Tensor:
        values = (torch.rand(count, channels, 1, 1, generator=generator) * 2 - 1) * spread
        return torch.exp(values).to(images)

    def chosen(share: float) -> Tensor:
        return (torch.rand(count, 1, 1, 1, generator=generator) < share).to(images.device)

    weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    images = images * draw(photometry.brightness) * draw(photometry.tint, 3)
    grey = (images * weights).sum(1, keepdim=True)
    mean = grey.mean((2, 3), keepdim=True)
    images = mean + (images - mean) * draw(photometry.contrast)
    grey = (images * weights).sum(1, keepdim=True)
    keep_colour = torch.where(chosen(photometry.grey), torch.zeros_like(mean), draw(photometry.saturation))
    images = grey + (images - grey) * keep_colour
    soft = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    images = torch.where(chosen(photometry.blur), soft, images)
    if photometry.noise > 0:
        strength = torch.rand(count, 1, 1, 1, generator=generator) * photometry.noise
        images = images + (torch.randn(images.shape, generator=generator) * strength).to(images)
    return images.clamp(0, 1)


def shrink_windows(windows: UInt8[Tensor, "b 3 H W"], size: int) -> Float[Tensor, "b 3 h w"]:
    """Windows at `size` x `size` pixels and in [0, 1], smoothed where they shrink so that nothing aliases."""
    if windows.shape[2:] == (size, size):
        return windows.float() / 255
    if windows.device.type == "cpu":  # uint8 resampling is several times faster there, and rounds the same everywhere
        small = F.interpolate(windows, (size, size), mode="bilinear", antialias=True, align_corners=False)
        return small.float() / 255
    return F.interpolate(windows.float() / 255, (size, size), mode="bilinear", antialias=True, align_corners=False)


def make_view(
    windows: Float[Tensor, "b 3 H W"],
    size: tuple[int, int],
    *,
    scale: tuple[float, float],
    photometry: Photometry,
    generator: torch.Generator,
    mirror: bool = True,
) -> tuple[Float[Tensor, "b 3 h w"], Placement]:
    """One augmented view of each window, and where it lies; images in [0, 1]."""
    placement = draw_placement(len(windows), scale=scale, generator=generator, mirror=mirror)
    view = cut_view(windows, placement, size)
    return change_light(view, photometry, generator), placement


def find_overlap(
    source: Placement, target: Placement, size: tuple[int, int]
) -> tuple[Float[Tensor, "b h w 2"], Bool[Tensor, "b h w"]]:
    """Where each pixel of the target view lies in the source view.

    Args:
        source: The view that will be sampled.
        target: The view whose pixels are asked for.
        size: The target's (height, width) in pixels.

    Returns:
        Coordinates in [-1, 1] as `grid_sample` takes them (x, y), and whether they lie inside the source view.
    """
    window = locate_pixels(target, size)
    grid = (window - source.shift[:, None, None]) / source.scale[:, None, None]
    return grid, (grid.abs() <= 1).all(-1)


def locate_pixels(placement: Placement, size: tuple[int, int]) -> Float[Tensor, "b h w 2"]:
    """The place of each pixel's centre in its window, in [-1, 1] as (x, y)."""
    height, width = size
    ys = (torch.arange(height, device=placement.scale.device) * 2 + 1) / height - 1
    xs = (torch.arange(width, device=placement.scale.device) * 2 + 1) / width - 1
    base = torch.stack(torch.meshgrid(ys, xs, indexing="ij")[::-1], dim=-1)
    return base * placement.scale[:, None, None] + placement.shift[:, None, None]
