"""Cues that need no learning: colour, the local mean and contrast of lightness, its grain and its lines.

In: images in [0, 1]. Out: a map of cues at a stride, next to the learned features. Measured (docs/method.md section 4):
on some domains they tell classes apart better than anything learned from a few hundred images, so they are never
thrown away.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SIGMAS = (1.0, 2.0, 4.0)
"""Scales of the texture cues, in pixels of the image as the network sees it."""

COLOUR_CUES = 3
TEXTURE_CUES = 2 * len(SIGMAS)

GRAIN_SIGMAS = (1.0, 2.0)
"""Scales at which slopes are taken for the grain, in pixels."""

GRAIN_REACH = 2.0
"""How far slopes are averaged before their main direction is asked for: a standard deviation, in cells."""

LINE_SIGMA = 2.0
"""Scale at which lines are looked for, in pixels: about half the width of those found best."""

TAIL_SIGMA = 3.0
"""Scale at which lightness is asked whether it has more bright or more dark specks, in pixels."""

GRAIN_CUES = 2 * len(GRAIN_SIGMAS)
PATTERN_CUES = GRAIN_CUES + 3


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
    # the difference of a mean square and a squared mean is nothing but noise in half precision
    with torch.autocast(images.device.type, enabled=False):
        return _find_cues(images.contiguous(), stride)


def _find_cues(images: Float[Tensor, "b 3 H W"], stride: int) -> Float[Tensor, "b c h w"]:
    lab = find_lab(images)
    soft = blur(lab, 1.0)
    lightness = lab[:, :1]
    rows = [soft]
    for sigma in SIGMAS:
        mean = blur(lightness, sigma)
        spread = (blur(lightness**2, sigma) - mean**2).clamp(min=0).sqrt()
        rows += [mean, spread]
    return F.avg_pool2d(torch.cat(rows, 1), stride)


def find_patterns(images: Float[Tensor, "b 3 H W"], stride: int) -> Float[Tensor, "b c h w"]:
    """Cues of how lightness changes from pixel to pixel, averaged over each `stride` x `stride` square.

    None of them knows a direction: an image that is turned by a quarter has the same cues, turned.

    Args:
        images: In [0, 1]; height and width are multiples of `stride`.
        stride: Pixels of the image per cue.

    Returns:
        In units of L: the root of the structure tensor's larger and smaller eigenvalue at each of `GRAIN_SIGMAS`, so
        that stripes differ from checks; the root of the third moment, above 0 where bright specks lie on dark ground;
        and the larger and smaller eigenvalue of the Hessian, the first far above 0 on dark lines and pits, the second
        far below 0 on bright ones.

    Ours: the selection; each is a classic of texture analysis (Bigun and Granlund, 1987; Frangi et al., 1998).
    """
    with torch.autocast(images.device.type, enabled=False):
        return _find_patterns(images.contiguous(), stride)


def _find_patterns(images: Float[Tensor, "b 3 H W"], stride: int) -> Float[Tensor, "b c h w"]:
    lightness = find_lab(images)[:, :1]
    rows = []
    for sigma in GRAIN_SIGMAS:
        down, right = _slopes(blur(lightness, sigma))
        tensor = F.avg_pool2d(torch.cat([down * down, right * right, down * right], 1) * sigma**2, stride)
        larger, smaller = _eigenvalues(*blur(tensor, GRAIN_REACH).split(1, 1))
        rows += [(2 * larger).clamp(min=0).sqrt(), (2 * smaller).clamp(min=0).sqrt()]
    third = blur((lightness - blur(lightness, TAIL_SIGMA)) ** 3, TAIL_SIGMA)
    rows.append(F.avg_pool2d(third.sign() * third.abs() ** (1 / 3), stride))
    down, right = _slopes(blur(lightness, LINE_SIGMA))
    (down_down, down_right), (_, right_right) = _slopes(down), _slopes(right)
    curves = torch.cat(_eigenvalues(down_down, right_right, down_right), 1) * LINE_SIGMA**2
    rows.append(F.avg_pool2d(curves, stride))
    return torch.cat(rows, 1)


def _slopes(values: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbours on both sides, down and to the right."""
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    return down, right


def _eigenvalues(first: Tensor, second: Tensor, mixed: Tensor) -> tuple[Tensor, Tensor]:
    """The larger and the smaller, of symmetric 2 x 2 matrices."""
    middle = (first + second) / 2
    reach = (((first - second) / 2) ** 2 + mixed**2).sqrt()
    return middle + reach, middle - reach


def _root(value: Tensor) -> Tensor:
    return torch.where(value > 0.008856, value.clamp(min=0.008856) ** (1 / 3), 7.787 * value + 16 / 116)


def smooth(padded: Float[Tensor, "b c h w"], sigma: float, radius: int) -> Float[Tensor, "b c y x"]:
    """A Gaussian over rows and columns, of a map that goes on beyond its border by the radius on each side.

    Sums of shifted maps instead of a convolution: 3 to 20 times as fast for one channel on a CPU, and the same to the
    last bit whatever else is in the batch.

    Args:
        padded: The map.
        sigma: Standard deviation, in pixels.
        radius: Where the Gaussian is cut off, in pixels.
    """
    weights = [math.exp(-(offset**2) / (2 * sigma**2)) for offset in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    for dim in (2, 3):
        length = padded.shape[dim] - 2 * radius
        summed = padded.narrow(dim, radius, length) * (weights[0] / total)
        for offset in range(1, radius + 1):
            sides = padded.narrow(dim, radius - offset, length) + padded.narrow(dim, radius + offset, length)
            summed = torch.add(summed, sides, alpha=weights[offset] / total)
        padded = summed
    return padded


def blur(images: Float[Tensor, "b c h w"], sigma: float) -> Float[Tensor, "b c h w"]:
    """A Gaussian to three standard deviations; beyond the border the map goes on as its mirror image.

    Args:
        images: The map.
        sigma: Standard deviation, in pixels.
    """
    radius = max(1, int(3 * sigma + 0.5))
    radius = min(radius, min(images.shape[2:]) - 1)  # 0 for a map of one cell: it stays as it is
    return smooth(F.pad(images, (radius, radius, radius, radius), mode="reflect"), sigma, radius)
