"""Masks and probabilities of images at their own size, in bounded memory.

In: uint8 images of any size and a segmenter. Out: ids per pixel. The network looks at the image shrunk to the short
side it was trained at. Its probabilities are enlarged only where neighbouring ones disagree on the class, so that a
picture of 12 megapixels with 30 classes never needs all its probabilities at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64, UInt8, UInt16
from PIL import Image
from torch import Tensor

from fs4cli.errors import ProjectError
from fs4cli.model.device import Precision, autocast, keep_to_one_core
from fs4cli.model.extraction import STRIDE, shrink_image
from fs4cli.model.local_colour import sharpen
from fs4cli.model.segmenter import Segmenter
from fs4cli.parallel import count_workers, map_in_order

_BAND = 4_000_000  # values (classes x pixels) that are enlarged at once
_LONGEST = 20  # times as long as wide: pictures longer than that are looked at smaller, so that their area is bounded
_TOGETHER = 4_000_000  # pixels that the network sees in one forward pass, but for one larger image
_MARGIN = 4  # a picture is averaged in boxes down to so many times what is asked for, then shrunk smoothly


@dataclass(frozen=True)
class Prepared:
    """An image as a segmenter is to see it.

    Args:
        image: For the network, in [0, 1]; height and width multiples of 32.
        plain: For the rule that the segmenter keeps of the first grouping; None to let it shrink `image`.
    """

    image: Float[Tensor, "1 3 h w"]
    plain: Float[Tensor, "1 3 _ _"] | None

    @property
    def sizes(self) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        """Of both; images of the same share a forward pass."""
        return tuple(self.image.shape), None if self.plain is None else tuple(self.plain.shape)


def prepare_image(pixels: UInt8[np.ndarray, "H W 3"], short_side: int, *, prior_side: int = 0) -> Prepared:
    """What a segmenter sees of an image.

    The rule is about textures as sharp as they are in the image itself: in one that was enlarged for the network, and
    shrunk again for the rule, they no longer are. On drawn scenes of 192 pixels that cost 5 mIoU.

    Args:
        pixels: Of any size and shape.
        short_side: About the short side of what the network sees; less for pictures over 20 times as long as wide.
        prior_side: Of the segmenter.
    """
    shortest, longest = sorted(pixels.shape[:2])
    part = min(1.0, (_LONGEST * shortest / longest) ** 0.5)
    side, plain_side = round(short_side * part), round(prior_side * part)
    image = shrink_image(_average_boxes(pixels, shortest // (_MARGIN * side)), side)
    is_blurred = shortest < min(image.shape[2:]) and 0 < plain_side < side
    return Prepared(image, shrink_image(pixels, plain_side) if is_blurred else None)


def _average_boxes(pixels: UInt8[np.ndarray, "H W 3"], factor: int) -> UInt8[np.ndarray, "h w 3"]:
    if factor < 2:
        return pixels
    rows = max(1, _BAND // (factor * pixels.shape[1])) * factor
    bands = [pixels[top : top + rows] for top in range(0, len(pixels), rows)]
    return np.concatenate([np.asarray(Image.fromarray(band).reduce(factor)) for band in bands])


@torch.inference_mode()
def predict_small(
    segmenter: Segmenter,
    images: Sequence[Prepared],
    *,
    flip: bool,
    refine: bool,
    precision: Precision = "fp32",
) -> list[Float32[Tensor, "1 k _ _"]]:
    """Probabilities of each image at half the size the network sees (stride 2), on the CPU.

    Args:
        segmenter: In eval mode.
        images: From `prepare_image`; neighbours of one size share a forward pass.
        flip: Average with the mirrored image.
        refine: Sharpen along the edges of the image.
        precision: Of the network's work.

    Raises:
        ProjectError: The network gives values that are no numbers.
    """
    device = segmenter.cue_mean.device
    results: list[Tensor] = []
    start = 0
    while start < len(images):
        most = max(1, _TOGETHER // images[start].image[0, 0].numel())
        stop = start + 1
        while stop < min(len(images), start + most) and images[stop].sizes == images[start].sizes:
            stop += 1
        group = images[start:stop]
        together = torch.cat([one.image for one in group]).to(device).contiguous(memory_format=torch.channels_last)
        plain = [one.plain for one in group if one.plain is not None]
        together, ruled = segmenter.expose(together, torch.cat(plain).to(device) if plain else together)
        with autocast(device, precision):
            logits = segmenter(together, ruled=ruled)
            if flip:
                mirrored = segmenter(together.flip(3), ruled=ruled.flip(3), is_mirrored=True)
                logits = (logits + mirrored.flip(3)) / 2
        if not torch.isfinite(logits).all():
            raise ProjectError(
                "the model gives values that are no numbers",
                hints=(
                    "train again" if precision == "fp32" else "compute with `--set precision=fp32`, or train again",
                ),
            )
        size = (together.shape[2] * 2 // STRIDE, together.shape[3] * 2 // STRIDE)
        enlarged = F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)
        probabilities = torch.softmax(enlarged, dim=1).contiguous()
        if refine:
            small = F.interpolate(together, size, mode="bilinear", align_corners=False, antialias=True)
            probabilities = _sharpen_each(probabilities, small.contiguous())
        results += list(probabilities.cpu().split(1))
        start = stop
    return results


def _sharpen_each(probabilities: Float[Tensor, "b k h w"], images: Float[Tensor, "b 3 h w"]) -> Tensor:
    """As `sharpen`; on a CPU each image on one core, as its maps are too small to be divided among them."""
    if probabilities.device.type != "cpu" or len(images) == 1:
        return sharpen(probabilities, images, stride=STRIDE // 2)

    def sharpen_one(pair: tuple[Tensor, Tensor]) -> Tensor:
        with torch.inference_mode():  # it holds for one thread only
            return sharpen(*pair, stride=STRIDE // 2)

    pairs = zip(probabilities.split(1), images.split(1), strict=True)
    workers = min(len(images), count_workers("auto"))
    return torch.cat(list(map_in_order(sharpen_one, pairs, workers=workers, prepare=keep_to_one_core)))


def predict_probabilities(
    segmenter: Segmenter,
    pixels: UInt8[np.ndarray, "H W 3"],
    *,
    short_side: int,
    flip: bool,
    refine: bool,
    precision: Precision = "fp32",
) -> Float32[np.ndarray, "k H W"]:
    """Probabilities at the image's own size, summing to 1 over k. All of them: large for a large image.

    Args:
        segmenter: In eval mode.
        pixels: One image.
        short_side: At which the network looks, in pixels.
        flip: Average with the mirrored image.
        refine: Sharpen along the edges of the image.
        precision: Of the network's work.
    """
    image = prepare_image(pixels, short_side, prior_side=segmenter.prior_side)
    (small,) = predict_small(segmenter, [image], flip=flip, refine=refine, precision=precision)
    return np.stack(list(enlarge_classes(small, (pixels.shape[0], pixels.shape[1]))))


def predict_mask(
    segmenter: Segmenter,
    pixels: UInt8[np.ndarray, "H W 3"],
    *,
    short_side: int,
    flip: bool,
    refine: bool,
    precision: Precision = "fp32",
) -> tuple[UInt16[np.ndarray, "H W"], UInt8[np.ndarray, "H W"]]:
    """The likeliest class of each pixel, and how sure it is in steps of 1/255; see `predict_probabilities`."""
    image = prepare_image(pixels, short_side, prior_side=segmenter.prior_side)
    (small,) = predict_small(segmenter, [image], flip=flip, refine=refine, precision=precision)
    return choose_classes(small, (pixels.shape[0], pixels.shape[1]))


def enlarge_classes(small: Float32[Tensor, "1 k h w"], size: tuple[int, int]) -> Iterator[Float32[np.ndarray, "H W"]]:
    """One class after the other at full size, bilinearly.

    Args:
        small: Probabilities of one image at any size.
        size: (height, width) of the image.
    """
    above, below, down = _find_places(small.shape[2], size[0])
    left, right, across = _find_places(small.shape[3], size[1])
    for values in small[0].numpy():
        wide = values[:, left] * (1 - across) + values[:, right] * across
        yield wide[above] * (1 - down)[:, None] + wide[below] * down[:, None]


def choose_classes(
    small: Float32[Tensor, "1 k h w"], size: tuple[int, int]
) -> tuple[UInt16[np.ndarray, "H W"], UInt8[np.ndarray, "H W"]]:
    """The likeliest class of each pixel at full size, and how sure it is in steps of 1/255.

    The same as the largest of `enlarge_classes`: where all four values around a pixel agree on the class, so does any
    mean of them; only the other pixels are worked out.

    Args:
        small: Probabilities of one image at any size.
        size: (height, width) of the image.
    """
    values = small[0].permute(1, 2, 0).contiguous().numpy()
    rows, columns, classes = values.shape
    above, below, down = _find_places(rows, size[0])
    left, right, across = _find_places(columns, size[1])
    best, most = values.argmax(2).astype(np.uint16), values.max(2)
    following = best[:, np.minimum(np.arange(columns) + 1, columns - 1)]
    next_row = np.minimum(np.arange(rows) + 1, rows - 1)
    is_open = (best != following) | (best != best[next_row]) | (best != following[next_row])
    most_wide = most[:, left] * (1 - across) + most[:, right] * across
    mask, confidence = np.empty(size, np.uint16), np.empty(size, np.uint8)
    flat = values.reshape(rows * columns, classes)
    band = max(1, _BAND // (classes * size[1]))
    for top in range(0, size[0], band):
        part = slice(top, top + band)
        lines, share = above[part], down[part][:, None]
        ids = best[lines][:, left]
        sure = most_wide[lines] * (1 - share) + most_wide[below[part]] * share
        line, column = np.nonzero(is_open[lines][:, left])
        corners = [
            flat[places[part][line] * columns + sides[column]] for places in (above, below) for sides in (left, right)
        ]
        shift, drop = across[column][:, None], share[line]
        upper = corners[0] * (1 - shift) + corners[1] * shift
        lower = corners[2] * (1 - shift) + corners[3] * shift
        between = upper * (1 - drop) + lower * drop
        ids[line, column] = between.argmax(1)
        sure[line, column] = between.max(1)
        mask[part], confidence[part] = ids, np.rint(sure * 255).clip(0, 255)
    return mask, confidence


def _find_places(
    small: int, large: int
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """For each of `large` positions the two of `small` around it, and the share of the second."""
    places = ((np.arange(large) + 0.5) * small / large - 0.5).clip(0, small - 1)
    first = np.floor(places).astype(np.int64)
    return first, np.minimum(first + 1, small - 1), (places - first).astype(np.float32)
