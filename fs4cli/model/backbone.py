"""Images to a pyramid of features: any timm model, from random weights.

In: normalized images. Out: feature maps at strides 4, 8, 16 and 32 (a plain ViT gives a single stride, which is
resampled to the same four).
"""

from typing import Any

import timm
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fs4cli.errors import ConfigError

STRIDES = (4, 8, 16, 32)


class Backbone(nn.Module):
    """A timm network that gives one feature map a stride.

    Args:
        network: Built by `build_backbone`.
        channels: Width of each feature map, finest first.
        resample: Whether the network has a single stride and its maps must be resampled to `STRIDES`.
    """

    def __init__(self, network: nn.Module, channels: tuple[int, ...], *, resample: bool):
        super().__init__()
        self.network = network
        self.channels = channels
        self.resample = resample

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> list[Tensor]:
        maps = list(self.network(images))
        if not self.resample:
            return maps
        height, width = images.shape[2:]
        return [
            F.interpolate(features, (height // stride, width // stride), mode="bilinear", align_corners=False)
            for features, stride in zip(maps, STRIDES, strict=True)
        ]


def build_backbone(name: str) -> Backbone:
    """A network of that timm name with random weights; nothing is downloaded.

    Raises:
        ConfigError: timm has no such model, or it gives no feature maps.
    """
    if name not in timm.list_models(name):
        near = timm.list_models(f"*{name}*")[:5]
        raise ConfigError(
            f"no backbone called `{name}`",
            hints=(f"did you mean {', '.join(near)}?" if near else "name a timm model, such as resnet18",),
        )
    try:
        network = _create(name)
        reductions = [int(value) for value in network.feature_info.reduction()]
        if set(STRIDES) <= set(reductions):
            indices = tuple(reductions.index(stride) for stride in STRIDES)
            network = _create(name, out_indices=indices)
            return Backbone(network, tuple(network.feature_info.channels()), resample=False)
        extra = {"dynamic_img_size": True} if "vit" in name or "deit" in name else {}
        network = _create(name, **extra)
        count = len(network.feature_info.channels())
        indices = tuple(round(part * (count - 1) / 4) for part in (1, 2, 3, 4))
        network = _create(name, out_indices=indices, **extra)
        return Backbone(network, tuple(network.feature_info.channels()), resample=True)
    except (RuntimeError, TypeError, AttributeError, AssertionError) as error:
        raise ConfigError(
            f"`{name}` gives no feature maps: {error}", hints=("choose a model that has `features_only`, as resnet18",)
        ) from error


def _create(name: str, **options: Any) -> Any:  # a module, with `feature_info` beside what torch knows of
    return timm.create_model(name, pretrained=False, features_only=True, **options)
