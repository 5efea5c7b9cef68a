"""Let the pyramid guide what is assigned: of the first grouping, and of a segmenter.

In: soft assignments of one image, or a segmenter and the cached images. Out: the assignment guided, or the segmenter
told what `fs4cli.model.guidance` has to know: how often each class is seen.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32

from fs4cli.data.cache import ImageCache
from fs4cli.model.device import Precision
from fs4cli.model.extraction import extract_maps
from fs4cli.model.guidance import guide_pixels
from fs4cli.model.segmenter import Segmenter
from fs4cli.training.second_look import LOOKED_AT


def guide_assignment(
    soft: Float32[np.ndarray, "h w k"], shares: Float[np.ndarray, " k"], grids: Sequence[int]
) -> Float32[np.ndarray, "h w k"]:
    """A soft assignment in which the image and its patches count.

    Args:
        soft: Rows summing to 1.
        shares: Of each cluster over all images; sums to 1.
        grids: Cells per side of each level of the pyramid, coarse to fine; none: nothing changes.
    """
    logits = torch.from_numpy(soft).clamp(min=1e-6).log().permute(2, 0, 1)[None]
    guided = guide_pixels(logits, torch.from_numpy(shares), grids).exp()
    return guided[0].permute(1, 2, 0).contiguous().numpy()


@torch.no_grad()
def settle_guidance(
    segmenter: Segmenter, cache: ImageCache, *, short_side: int, device: torch.device, precision: Precision
) -> None:
    """Count how often a segmenter sees each class where nothing guides it, on some images; nothing if none ever does.

    Args:
        segmenter: In eval mode; its guidance's shares are changed in place.
        cache: All images.
        short_side: At which the network looks, in pixels.
        device: Where the segmenter is.
        precision: Of its work.
    """
    if segmenter.guidance is None:
        return
    positions = np.linspace(0, len(cache) - 1, min(len(cache), LOOKED_AT)).astype(int).tolist()
    looks = {"short_side": short_side, "device": device, "precision": precision}
    shares = [
        torch.softmax(torch.from_numpy(maps.features), dim=2).mean((0, 1))
        for maps in extract_maps(segmenter.judge_alone, cache, positions, **looks)
    ]
    segmenter.guidance.shares.copy_(torch.stack(shares).mean(0))
