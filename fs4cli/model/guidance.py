"""What an image, and each of its patches, says of its pixels: a class that fills a place is likelier at its edges too.

In: logits of whole images' pixels, and the share of each class in all images. Out: log-probabilities under which a
class that an image hardly has is rarely seen in it, and one that fills a patch is seen more easily there.

Follows: FS^4's abstract: pixels are assigned under the guidance of a pyramid of "image/patch-level" groups, to "prevent
the segmentation from learning too many clutter regions".
Ours: the equation (docs/method.md eq. 12). A pixel's logits assume the shares that classes have over all images; those
that they have in the cell are found as Saerens, Latinne and Decaestecker (2002) find the priors of new data: by
expectation and maximization, from the probabilities themselves.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

ITERATIONS = 4
"""Of finding shares from probabilities and probabilities from shares; twelve change the classes of few pixels more."""

PARENT = 0.1
"""How much the shares of the cell above count in a cell, where the cell's own pixels count as 1."""

_LEAST = 1e-6  # a class that is never seen has a share all the same


class PyramidGuidance(nn.Module):
    """Guides the pixels of whole images.

    Args:
        classes: How many.
        grids: Cells per side of each level of the pyramid, coarse to fine.
    """

    shares: Tensor

    def __init__(self, classes: int, grids: Sequence[int]):
        super().__init__()
        self.grids = tuple(grids)
        self.register_buffer("shares", torch.full((classes,), 1 / classes))

    def forward(self, logits: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
        """Log-probabilities under guidance; see `guide_pixels`."""
        return guide_pixels(logits, self.shares, self.grids)


def guide_pixels(
    logits: Float[Tensor, "b k h w"], shares: Float[Tensor, " k"], grids: Sequence[int]
) -> Float[Tensor, "b k h w"]:
    """Log-probabilities of each pixel, given what else is in its image and in its patches.

    Args:
        logits: Of the pixels of whole images, one by one.
        shares: Of each class over all images, as such logits have it; sums to 1.
        grids: Cells per side of each level of the pyramid, coarse to fine. None: nothing changes.
    """
    with torch.autocast(logits.device.type, enabled=False):
        alone = F.log_softmax(logits.float(), 1)
        overall = shares.float().clamp(min=_LEAST).view(1, -1, 1, 1)
        guided = alone
        for _ in range(ITERATIONS if grids else 0):
            there = _find_shares(guided.exp(), overall, grids)
            everywhere = F.interpolate(there, alone.shape[2:], mode="bilinear", align_corners=False)
            guided = F.log_softmax(alone + (everywhere / overall).log(), 1)
        return guided


def _find_shares(
    probabilities: Float[Tensor, "b k h w"], overall: Float[Tensor, "1 k 1 1"], grids: Sequence[int]
) -> Float[Tensor, "b k g g"]:
    """The share of each class in the cells of the finest level; each cell is drawn a little to the one above it."""
    above = overall.expand(len(probabilities), -1, -1, -1)
    for grid in grids:
        own = F.adaptive_avg_pool2d(probabilities, grid)
        above = (own + PARENT * F.interpolate(above, (grid, grid), mode="nearest-exact")) / (1 + PARENT)
    return above
