"""A pixel's 24 neighbours: compared with it, gathered, and told how much they are relied on.

In: maps of pixels. Out: what lies around each pixel. Rows of pixels are compared with the whole rows around them where
that is faster; the gradients are written out, as a matrix of pairs is too large to be copied at every step.

Ours: which neighbours there are (docs/method.md eq. 7).
"""

import functools
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

DILATIONS = (1, 2, 4)
OFFSETS = tuple(
    (row * dilation, column * dilation)
    for dilation in DILATIONS
    for row in (-1, 0, 1)
    for column in (-1, 0, 1)
    if row or column
)
"""(down, right) steps to the 24 neighbours; the pixel itself is not among them."""

ROWS = tuple(sorted({down for down, _ in OFFSETS}))
"""Rows in which a pixel has neighbours, relative to its own."""

MOST_PAIRS = 2**24
"""Images of at most so many pairs, as in training, are compared row by row: most pairs are thrown away, and yet it is
several times as fast as 24 passes over the map. Larger ones would need too much memory for it."""


def shift(maps: Float[Tensor, "b c h w"], down: int, right: int) -> Float[Tensor, "b c h w"]:
    """The map as seen by pixels that look `down` and `right`: zeros beyond the border."""
    height, width = maps.shape[2:]
    padded = F.pad(maps, (max(-right, 0), max(right, 0), max(-down, 0), max(down, 0)))
    top, left = max(down, 0), max(right, 0)
    return padded[:, :, top : top + height, left : left + width]


def compare_appearance(appearance: Float[Tensor, "b a h w"]) -> Float[Tensor, "b n h w"]:
    """Mean squared difference between each pixel and its neighbours; anything for those beyond the border."""
    rows = [(appearance - shift(appearance, down, right)).square().mean(1) for down, right in OFFSETS]
    return torch.stack(rows, -1).permute(0, 3, 1, 2)  # neighbours last in memory, as all that it is added to


def gather_neighbours(
    values: Float[Tensor, "b c h w"], attention: Float[Tensor, "b n h w"]
) -> Float[Tensor, "b c h w"]:
    """Sum of the neighbours' values, weighted by attention; those beyond the border add nothing."""
    if _count_pairs(values) <= MOST_PAIRS:
        gathered = _WeighNeighbours.apply(values.permute(0, 2, 3, 1), attention.permute(0, 2, 3, 1).to(values.dtype))
        return gathered.permute(0, 3, 1, 2)
    total = torch.zeros_like(values)
    for position, (down, right) in enumerate(OFFSETS):
        total = total + attention[:, position : position + 1].to(values.dtype) * shift(values, down, right)
    return total


def compare_neighbours(query: Float[Tensor, "b c h w"], key: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n h w"]:
    """Scalar product of each pixel's query with its neighbours' keys; anything for neighbours beyond the border."""
    if _count_pairs(query) <= MOST_PAIRS:
        products = _CompareNeighbours.apply(query.permute(0, 2, 3, 1), key.permute(0, 2, 3, 1))
        return products.permute(0, 3, 1, 2).float()
    query, key = query.float(), key.float()
    return torch.stack([(query * shift(key, down, right)).sum(1) for down, right in OFFSETS], 1)


def _count_pairs(maps: Float[Tensor, "b c h w"]) -> int:
    height, width = maps.shape[2:]
    return height * width * len(ROWS) * width


class _CompareNeighbours(torch.autograd.Function):
    """Scalar products of pixels with their neighbours, as matrices of each row of pixels with the rows around it."""

    @staticmethod
    def forward(ctx: Any, query: Float[Tensor, "b h w c"], key: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w n"]:
        ctx.save_for_backward(query, key)
        pairs = query.flatten(0, 1) @ _stack_rows(key).mT
        places, _ = _place_neighbours(query.shape[2], query.device)
        return pairs.gather(2, places.expand(len(pairs), -1, -1)).unflatten(0, query.shape[:2])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor, Tensor]:
        query, key = ctx.saved_tensors
        pairs = _spread(grad_outputs[0])
        towards_query = pairs @ _stack_rows(key)
        towards_key = _add_rows(pairs.mT @ query.flatten(0, 1), key.shape)
        return towards_query.view(query.shape), towards_key


class _WeighNeighbours(torch.autograd.Function):
    """Weighted sums of neighbours, as matrices of each row of pixels with the rows around it."""

    @staticmethod
    def forward(
        ctx: Any, values: Float[Tensor, "b h w c"], weights: Float[Tensor, "b h w n"]
    ) -> Float[Tensor, "b h w c"]:
        ctx.save_for_backward(values, weights)
        return (_spread(weights) @ _stack_rows(values)).view(values.shape)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor, Tensor]:
        values, weights = ctx.saved_tensors
        rows = grad_outputs[0].flatten(0, 1)
        towards_values = _add_rows(_spread(weights).mT @ rows, values.shape)
        places, is_outside = _place_neighbours(values.shape[2], values.device)
        pairs = rows @ _stack_rows(values).mT
        towards_weights = pairs.gather(2, places.expand(len(pairs), -1, -1)).masked_fill(is_outside, 0)
        return towards_values, towards_weights.view(weights.shape)


def _stack_rows(maps: Float[Tensor, "b h w c"]) -> Float[Tensor, "rows near c"]:
    """For each row of pixels the rows in which they have neighbours, one after the other; zeros beyond the border."""
    height, most = maps.shape[1], max(ROWS)
    padded = F.pad(maps, (0, 0, 0, 0, most, most))
    rows = torch.stack([padded[:, most + down : most + down + height] for down in ROWS], 2)
    return rows.flatten(2, 3).flatten(0, 1)


def _add_rows(stacked: Float[Tensor, "rows near c"], shape: torch.Size) -> Float[Tensor, "b h w c"]:
    """The other way round: what all rows say of each row that they have taken in."""
    batch, height, width, channels = shape
    rows, most = stacked.view(batch, height, len(ROWS), width, channels), max(ROWS)
    total = stacked.new_zeros(batch, height + 2 * most, width, channels)
    for position, down in enumerate(ROWS):
        total[:, most + down : most + down + height] += rows[:, :, position]
    return total[:, most : most + height]


def _spread(of_neighbours: Float[Tensor, "b h w n"]) -> Float[Tensor, "rows w near"]:
    """What is said of 24 neighbours, as said of all pixels in the rows around; 0 for those that are no neighbours."""
    width = of_neighbours.shape[2]
    places, is_outside = _place_neighbours(width, of_neighbours.device)
    known = of_neighbours.flatten(0, 1).masked_fill(is_outside, 0)
    pairs = known.new_zeros(len(known), width, len(ROWS) * width)
    return pairs.scatter_(2, places.expand(len(known), -1, -1), known)


@functools.cache
@torch.inference_mode(mode=False)  # what is kept must also do for training
def _place_neighbours(width: int, device: torch.device) -> tuple[Int64[Tensor, "1 w n"], Bool[Tensor, "1 w n"]]:
    """For each pixel of a row its 24 neighbours' positions in `_stack_rows`, and which lie left or right of the image.

    The pixel itself stands for those: it is nobody's neighbour.
    """
    own = torch.arange(width)[:, None]
    columns = own + torch.tensor([right for _, right in OFFSETS])
    rows = torch.tensor([ROWS.index(down) for down, _ in OFFSETS])
    is_outside = (columns < 0) | (columns >= width)
    places = torch.where(is_outside, ROWS.index(0) * width + own, rows * width + columns)
    return places[None].to(device), is_outside[None].to(device)


def count_reliance(attention: Float[Tensor, "b n h w"]) -> Float[Tensor, "b h w"]:
    """How much all neighbours together take from each pixel (its in-degree); mean 1 over each image."""
    given = zip(attention.unbind(1), OFFSETS, strict=True)  # unbind: the gradient is stacked once, not summed 24 times
    received = torch.stack([shift(one.unsqueeze(1), -down, -right)[:, 0] for one, (down, right) in given]).sum(0)
    return received / received.mean((1, 2), keepdim=True).clamp(min=1e-6)
