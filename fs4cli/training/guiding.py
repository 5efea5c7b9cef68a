"""Tell a segmenter what its guidance has to know: how often it sees each class.

In: a segmenter that the pyramid guides (`fs4cli.model.guidance`), and the cached images. Out: the same, settled.
"""

import numpy as np
import torch

from fs4cli.data.batches import Images
from fs4cli.model.device import Precision
from fs4cli.model.extraction import extract_maps
from fs4cli.model.segmenter import Segmenter
from fs4cli.training.second_look import LOOKED_AT


@torch.no_grad()
def settle_guidance(
    segmenter: Segmenter, cache: Images, *, short_side: int, device: torch.device, precision: Precision
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
        for maps in extract_maps(segmenter.judge_alone, cache, positions, **looks, with_axes=False)
    ]
    segmenter.guidance.shares.copy_(torch.stack(shares).mean(0))
