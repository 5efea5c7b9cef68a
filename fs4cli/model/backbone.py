"""Images to a pyramid of features: any timm model, from random weights.

In: normalized images. Out: feature maps at strides 4, 8, 16 and 32 (a plain ViT gives a single stride, which is
resampled to the same four).
"""

from difflib import get_close_matches
from typing import Any

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fs4cli.errors import ConfigError

STRIDES = (4, 8, 16, 32)

_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"strict_img_size": False},
    {"dynamic_img_size": True, "dynamic_img_pad": True},
)
"""What different families of timm call it when images may have any size."""


class Backbone(nn.Module):
    """A timm network that gives one feature map a stride.

    Args:
        network: Built by `build_backbone`.
        channels: Width of each feature map, finest first.
        resample: Whether the network has a single stride and its maps must be resampled to `STRIDES`.
        channels_at_end: Whether its maps are (height, width, channels), as those of Swin are.
    """

    def __init__(self, network: nn.Module, channels: tuple[int, ...], *, resample: bool, channels_at_end: bool = False):
        super().__init__()
        self.network = network
        self.channels = channels
        self.resample = resample
        self.channels_at_end = channels_at_end

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> list[Tensor]:
        maps = list(self.network(images))
        if self.channels_at_end:
            maps = [features.permute(0, 3, 1, 2) for features in maps]
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
        ConfigError: timm has no such model, or it gives no feature maps of images of any size.
    """
    if name not in timm.list_models(name):
        near = get_close_matches(name, timm.list_models(), n=5)
        raise ConfigError(
            f"no backbone called `{name}`",
            hints=(f"did you mean {', '.join(near)}?" if near else "name a timm model, such as resnet18",),
        )
    reasons = []
    for options in _OPTIONS:
        try:
            network, resample = _choose_maps(name, options)
            widths = tuple(network.feature_info.channels())
            shapes = _try_out(network)
        except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError) as error:
            reasons.append(f"{error}".splitlines()[0] if str(error) else type(error).__name__)
            continue
        channels_at_end = all(shape[2] == width for shape, width in zip(shapes, widths, strict=True))
        return Backbone(network, widths, resample=resample, channels_at_end=channels_at_end)
    raise ConfigError(
        f"`{name}` gives no feature maps of images of any size",
        details=tuple(dict.fromkeys(reasons)),
        hints=("choose a model that has `features_only`, as resnet18",),
    )


def _choose_maps(name: str, options: dict[str, Any]) -> tuple[Any, bool]:
    """The network with four maps, and whether they all have one stride."""
    network = _create(name, **options)
    reductions = [int(value) for value in network.feature_info.reduction()]
    if set(STRIDES) <= set(reductions):
        indices = tuple(reductions.index(stride) for stride in STRIDES)
        return _create(name, out_indices=indices, **options), False
    blocks = len(network.feature_info.info)
    indices = tuple(round(part * (blocks - 1) / 4) for part in (1, 2, 3, 4))
    return _create(name, out_indices=indices, **options), True


@torch.inference_mode()
def _try_out(network: nn.Module) -> list[tuple[int, ...]]:
    """The shapes of the maps of a small image that is not square."""
    maps = network.eval()(torch.zeros(1, 3, 64, 96))
    network.train()
    return [tuple(features.shape[1:]) for features in maps]


def _create(name: str, **options: Any) -> Any:  # a module, with `feature_info` beside what torch knows of
    return timm.create_model(name, pretrained=False, features_only=True, **options)
