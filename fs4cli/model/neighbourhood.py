"""Means around the cells of a grid, and cells given back to the map they lie over: as products of matrices.

In: maps of one size. Out: means under a Gaussian around each cell; or values of cells, interpolated for each pixel.

Ours: both are linear and separable, so each is one matrix for the rows and one for the columns. Beside pooling, sums of
shifted maps and interpolation that is 2.5 times as fast for maps of 64 by 86, and as fast for 128 by 172.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


class Neighbourhoods:
    """A Gaussian around each cell of a grid.

    Args:
        like: A map of the size, and on the device, of those that will be asked about.
        cell: Pixels per side of a cell; those at the far edges may be cut off.
        sigma: Standard deviation of the Gaussian, in cells; beyond the border cells go on as their mirror image.
    """

    def __init__(self, like: Float[Tensor, "_ _ h w"], *, cell: int, sigma: float):
        self._gathering, self._spreading = [], []
        for length in like.shape[2:]:
            # made on the CPU: a GPU's convolutions keep ten bits, and variances are small differences of means
            pooled = F.avg_pool1d(torch.eye(length, dtype=like.dtype)[None], cell, ceil_mode=True)[0]
            cells = torch.eye(pooled.shape[1], dtype=like.dtype)
            spreading = F.interpolate(cells[None], length, mode="linear", align_corners=False)[0]
            self._gathering.append((pooled @ _blur_lines(cells, sigma)).to(like.device))
            self._spreading.append(spreading.to(like.device))

    def gather(self, values: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c y x"]:
        """The mean around each cell, in the units of the map.

        Args:
            values: A map of the size that was told.
        """
        rows, columns = self._gathering
        return rows.T @ (values @ columns)

    def spread(self, values: Float[Tensor, "n c y x"]) -> Float[Tensor, "n c h w"]:
        """Each pixel's value between those of the cells that lie nearest, in their units.

        Args:
            values: Of as many cells as `gather` finds.
        """
        rows, columns = self._spreading
        return (rows.T @ values) @ columns


def _blur_lines(lines: Float[Tensor, "n x"], sigma: float) -> Float[Tensor, "n x"]:
    """A Gaussian to three standard deviations along each line."""
    radius = min(max(1, int(3 * sigma + 0.5)), lines.shape[1] - 1)
    weights = [math.exp(-(offset**2) / (2 * sigma**2)) for offset in range(-radius, radius + 1)]
    kernel = lines.new_tensor(weights).div(sum(weights)).view(1, 1, -1)
    padded = F.pad(lines[:, None], (radius, radius), mode="reflect") if radius else lines[:, None]
    return F.conv1d(padded, kernel)[:, 0]
