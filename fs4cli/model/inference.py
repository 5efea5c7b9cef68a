"""Masks and probabilities of one image at its own size, in bounded memory.

In: uint8 images of any size and a segmenter. Out: ids per pixel. The network looks at the image shrunk to the short
side it was trained at; its probabilities are enlarged band by band, so that a picture of 12 megapixels with 30 classes never
needs all its probabilities at once.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8, UInt16
from torch import Tensor

from fs4cli.model.device import Precision, autocast
from fs4cli.model.extraction import STRIDE, shrink_image
from fs4cli.model.refinement import refine_probabilities
from fs4cli.model.segmenter import Segmenter

BAND = 4_000_000
"""Values (classes x pixels) that are enlarged at once."""


@torch.inference_mode()
def predict_small(
    segmenter: Segmenter,
    images: list[UInt8[np.ndarray, "H W 3"]],
    *,
    short_side: int,
    flip: bool,
    refine: bool,
    precision: Precision = "fp32",
) -> list[Float[Tensor, "1 k h w"]]:
    """Probabilities of each image at half the size the network sees (stride 2), on the CPU.

    Args:
        segmenter: In eval mode.
        images: Neighbours of one size share a forward pass.
        short_side: At which the network looks, in pixels.
        flip: Average with the mirrored image.
        refine: Sharpen along the edges of the image.
        precision: Of the network's work.
    """
    device = segmenter.cue_mean.device
    shrunk = [shrink_image(pixels, short_side) for pixels in images]
    results: list[Tensor] = []
    start = 0
    while start < len(shrunk):
        stop = start + 1
        while stop < len(shrunk) and shrunk[stop].shape == shrunk[start].shape:
            stop += 1
        together = torch.cat(shrunk[start:stop]).to(device)
        with autocast(device, precision):
            logits = segmenter(together)
            if flip:
                logits = (logits + segmenter(together.flip(3)).flip(3)) / 2
        size = (together.shape[2] * 2 // STRIDE, together.shape[3] * 2 // STRIDE)
        probabilities = torch.softmax(F.interpolate(logits, size, mode="bilinear", align_corners=False), dim=1)
        if refine:
            small = F.interpolate(together, size, mode="bilinear", align_corners=False, antialias=True)
            probabilities = refine_probabilities(probabilities, small)
        results += list(probabilities.cpu().split(1))
        start = stop
    return results


def predict_probabilities(
    segmenter: Segmenter,
    pixels: UInt8[np.ndarray, "H W 3"],
    *,
    short_side: int,
    flip: bool,
    refine: bool,
    precision: Precision = "fp32",
) -> Float32[np.ndarray, "k H W"]:
    """Probabilities at the image's own size, summing to 1 over k. Arguments as in `predict_small`."""
    small = predict_small(segmenter, [pixels], short_side=short_side, flip=flip, refine=refine, precision=precision)[0]
    return np.concatenate([band.numpy() for _, band in _enlarge(small, (pixels.shape[0], pixels.shape[1]))], axis=1)


def choose_classes(
    small: Float[Tensor, "1 k h w"], size: tuple[int, int]
) -> tuple[UInt16[np.ndarray, "H W"], UInt8[np.ndarray, "H W"]]:
    """The likeliest class of each pixel at full size, and how sure it is in steps of 1/255.

    Args:
        small: Probabilities of one image at any size.
        size: (height, width) of the image.
    """
    mask = np.empty(size, np.uint16)
    confidence = np.empty(size, np.uint8)
    for rows, band in _enlarge(small, size):
        best, ids = band.max(0)
        mask[rows] = ids.numpy().astype(np.uint16)
        confidence[rows] = (best * 255).round().clamp(0, 255).numpy().astype(np.uint8)
    return mask, confidence


def _enlarge(small: Tensor, size: tuple[int, int]) -> Iterator[tuple[slice, Tensor]]:
    """Bands of rows of the bilinear enlargement; together exactly what enlarging the whole would give."""
    height, width = size
    _, classes, rows, _ = small.shape
    wide = F.interpolate(small, (rows, width), mode="bilinear", align_corners=False)[0] if _fits(small, width) else None
    band = max(1, BAND // (classes * width))
    for top in range(0, height, band):
        bottom = min(height, top + band)
        places = ((torch.arange(top, bottom) + 0.5) * rows / height - 0.5).clamp(0, rows - 1)
        above = places.floor().long()
        below = (above + 1).clamp(max=rows - 1)
        share = (places - above).view(1, -1, 1)
        if wide is None:
            low, high = int(above[0]), int(below[-1]) + 1
            part = F.interpolate(small[:, :, low:high], (high - low, width), mode="bilinear", align_corners=False)[0]
            above, below = above - low, below - low
        else:
            part = wide
        yield slice(top, bottom), part[:, above] * (1 - share) + part[:, below] * share


def _fits(small: Tensor, width: int) -> bool:
    return small.shape[1] * small.shape[2] * width <= 4 * BAND
