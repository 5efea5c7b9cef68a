"""Places told apart by what usually lies there, not by row and column.

In: two numbers for each of some places, from `fs4cli.clustering.usual`. Out: the same two for each cell of a whole
image, in the axes of `fs4cli.model.axes` in place of row and column.

Ours: docs/grouping.md. The left pavement and the right one are far apart as columns go, and the same place so.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fs4cli.model.axes import PLACE

PLACES = 16
"""Places told apart, per side."""


class PlaceMap(nn.Module):
    """What usually lies at each place.

    Args:
        values: Two numbers a place; what it is loaded with if left out.
    """

    values: Tensor

    def __init__(self, values: Float[Tensor, "2 p p"] | None = None):
        super().__init__()
        self.register_buffer("values", torch.zeros(len(PLACE), PLACES, PLACES) if values is None else values)

    def forward(self, described: Float[Tensor, "b a h w"], *, is_mirrored: bool = False) -> Float[Tensor, "b a h w"]:
        """The axes of each cell of whole images, with these two for row and column.

        Args:
            described: From `fs4cli.model.axes.describe_cues`.
            is_mirrored: The images are left-right mirror images of what was photographed.
        """
        values = self.values.flip(2) if is_mirrored else self.values
        there = F.interpolate(values[None], described.shape[2:], mode="bilinear", align_corners=False)
        first = PLACE[0]
        parts = [described[:, :first], there.expand(len(described), -1, -1, -1), described[:, first + len(PLACE) :]]
        return torch.cat(parts, 1)
