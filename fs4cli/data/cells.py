"""The pyramid cell that each pixel lies in, through any crop.

In: where a view's pixels lie in their image. Out: cell ids as a tensor, so that model, clustering and losses need no
geometry of their own.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fs4cli.data.augment import Placement, locate_pixels


def locate_in_image(
    placement: Placement, boxes: Float[Tensor, "b 4"], size: tuple[int, int]
) -> Float[Tensor, "b h w 2"]:
    """The place of each pixel of a view in its whole image, as (x, y) in [0, 1].

    Args:
        placement: Where the view lies in its window.
        boxes: The window in its image as (top, left, height, width), shares of the image.
        size: The view's (height, width) in pixels.
    """
    inside = (locate_pixels(placement, size) + 1) / 2
    origin = torch.stack([boxes[:, 1], boxes[:, 0]], 1)[:, None, None]
    extent = torch.stack([boxes[:, 3], boxes[:, 2]], 1)[:, None, None]
    return origin + inside * extent


def divide_map(size: tuple[int, int], grid: int) -> Int[Tensor, "h w"]:
    """The cell of a `grid` x `grid` division that each pixel of a whole image's map lies in, row by row.

    Args:
        size: (height, width) of the map.
        grid: Cells per side.
    """
    height, width = size
    ys = (torch.arange(height, dtype=torch.float32) + 0.5) / height
    xs = (torch.arange(width, dtype=torch.float32) + 0.5) / width
    places = torch.stack(torch.meshgrid(ys, xs, indexing="ij")[::-1], dim=-1)
    return find_cells(places[None], grid)[0]


def find_cells(places: Float[Tensor, "b h w 2"], grid: int) -> Int[Tensor, "b h w"]:
    """The cell of a `grid` x `grid` division of the image that each pixel lies in, in [0, grid * grid), row by row.

    Args:
        places: (x, y) in [0, 1]; beyond that they count to the nearest cell.
        grid: Cells per side.
    """
    steps = (places * grid).long().clamp(0, grid - 1)
    return steps[..., 1] * grid + steps[..., 0]
