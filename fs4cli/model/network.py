"""The dense network: images in [0, 1] to dense features at stride 4. It owns its normalization.

What pretrain trains and cluster and train start from.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fs4cli.errors import ProjectError
from fs4cli.model.backbone import Backbone, build_backbone
from fs4cli.model.decoder import Decoder


class DenseNetwork(nn.Module):
    """Normalization, backbone and decoder.

    Args:
        backbone: Images to maps at four strides.
        decoder: The maps to dense features.
        mean: Of the project's pixels in [0, 1], per channel.
        std: Of the same.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, decoder: Decoder, *, mean: list[float], std: list[float]):
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c h w"]:
        normalized = (images - self.mean) / self.std
        return self.decoder(self.backbone(normalized.contiguous(memory_format=torch.channels_last)))


def build_network(backbone: str, channels: int, *, mean: list[float], std: list[float]) -> DenseNetwork:
    """A dense network with random weights from torch's current random state.

    Args:
        backbone: A timm name.
        channels: Width of the dense features.
        mean: Of the project's pixels in [0, 1], per channel.
        std: Of the same; at least 1e-3 is used.

    Raises:
        ConfigError: timm has no such model, or it gives no feature maps.
    """
    body = build_backbone(backbone)
    return DenseNetwork(body, Decoder(body.channels, channels), mean=mean, std=[max(value, 1e-3) for value in std])


def load_network(path: Path, backbone: str, channels: int) -> DenseNetwork:
    """The pretrained network of a project, in eval mode, channels last.

    Args:
        path: What pretrain saved.
        backbone: The timm name it was built with.
        channels: Width of its features.

    Raises:
        ProjectError: The file is missing, damaged, or of another backbone.
    """
    network = build_network(backbone, channels, mean=[0.5] * 3, std=[0.25] * 3)
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise ProjectError(
            f"the pretrained weights `{path}` cannot be read: {error}", hints=("run `fs4 pretrain --fresh`",)
        ) from error
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return network.eval()
