"""Feature pyramid to dense features at stride 4.

In: maps at strides 4, 8, 16, 32. Out: one map at stride 4. As in PiCIE's released code: a 1x1 lateral a stride,
summed top down by bilinear upsampling, without norms or non-linearities.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Decoder(nn.Module):
    """Sum of 1x1 laterals, coarse to fine.

    Args:
        widths: Channels of the maps that come in, finest first.
        channels: Channels of the dense features that go out.
    """

    def __init__(self, widths: tuple[int, ...], channels: int):
        super().__init__()
        self.laterals = nn.ModuleList([nn.Conv2d(width, channels, 1) for width in widths])

    def forward(self, maps: list[Tensor]) -> Float[Tensor, "b c h w"]:
        dense = self.laterals[-1](maps[-1])
        for lateral, features in zip(reversed(self.laterals[:-1]), reversed(maps[:-1]), strict=True):
            dense = F.interpolate(dense, features.shape[2:], mode="bilinear", align_corners=False)
            dense = dense + lateral(features)
        return dense
