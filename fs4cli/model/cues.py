"""Cues that need no learning: colour, and the local mean and contrast of lightness at several scales.

In: images in [0, 1]. Out: a map of cues at a stride, next to the learned features. Measured (docs/method.md section 4):
on some domains they tell classes apart better than anything learned from a few hundred images, so they are never
thrown away.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SIGMAS = (1.0, 2.0, 4.0)
"""Scales of the texture cues, in pixels of the image as the network sees it."""

COLOUR_CUES = 3
TEXTURE_CUES = 2 * len(SIGMAS)


def find_lab(images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """CIE Lab of sRGB images: lightness in [0, 100], a and b roughly in [-100, 100].

    Args:
        images: sRGB in [0, 1], white point D65.
    """
    images = images.float().clamp(0, 1)
    linear = torch.where(images <= 0.04045, images / 12.92, ((images + 0.055) / 1.055) ** 2.4)
    # rows: X, Y, Z for D65, each divided by the white point's value
    matrix = images.new_tensor(
        [
            [0.412453 / 0.95047, 0.357580 / 0.95047, 0.180423 / 0.95047],
            [0.212671, 0.715160, 0.072169],
            [0.019334 / 1.08883, 0.119193 / 1.08883, 0.950227 / 1.08883],
        ]
    )
    x, y, z = _root(torch.einsum("rc,bchw->brhw", matrix, linear)).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def find_cues(images: Float[Tensor, "b 3 H W"], stride: int) -> Float[Tensor, "b c h w"]:
    """Colour and texture cues, averaged over each `stride` x `stride` square.

    Args:
        images: In [0, 1]; height and width are multiples of `stride`.
        stride: Pixels of the image per cue.

    Returns:
        L, a and b of the softened image, then mean and standard deviation of L at each of `SIGMAS`, all in Lab units.
    """
    lab = find_lab(images)
    soft = _blur(lab, 1.0)
    lightness = lab[:, :1]
    rows = [soft]
    for sigma in SIGMAS:
        mean = _blur(lightness, sigma)
        spread = (_blur(lightness**2, sigma) - mean**2).clamp(min=0).sqrt()
        rows += [mean, spread]
    return F.avg_pool2d(torch.cat(rows, 1), stride)


def _root(value: Tensor) -> Tensor:
    return torch.where(value > 0.008856, value.clamp(min=0.008856) ** (1 / 3), 7.787 * value + 16 / 116)


def _blur(images: Tensor, sigma: float) -> Tensor:
    radius = max(1, int(3 * sigma + 0.5))
    radius = min(radius, min(images.shape[2:]) - 1)
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).view(1, 1, -1)
    channels = images.shape[1]
    padded = F.pad(images, (radius, radius, radius, radius), mode="reflect")
    rows = F.conv2d(padded, kernel.unsqueeze(2).expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(rows, kernel.unsqueeze(3).expand(channels, 1, -1, 1), groups=channels)
