"""A model's features instead of its classes: what lies before the last layer, frozen, and a new layer on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8, UInt16
from torch import Tensor

from fs4cli.files import hash_value
from fs4cli.model.device import autocast
from fs4cli.model.inference import Prepared, choose_classes
from fs4cli.prediction.predictor import Predictor
from fs4cli.scaling import Scaling


@dataclass(frozen=True)
class Features:
    """The embedding of a predictor's pixels at stride 4, before its last layer.

    Args:
        predictor: Whose network, look and precision; it neither mirrors nor refines here.
    """

    predictor: Predictor

    @property
    def key(self) -> str:
        """Fingerprint of all that shapes a feature but the image."""
        return hash_value(["features", self.predictor.key])

    @property
    def scaling(self) -> Scaling:
        """How deep grey becomes 8 bits before it sees it."""
        return self.predictor.scaling

    def prepare(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Prepared:
        """The image as the segmenter sees it."""
        return self.predictor.prepare(pixels)

    @torch.inference_mode()
    def embed(self, images: Sequence[Prepared]) -> list[Float32[np.ndarray, "c h w"]]:
        """Features of prepared images."""
        segmenter, found = self.predictor.segmenter, []
        device = segmenter.cue_mean.device
        for image in images:
            inputs = image.image.to(device).contiguous(memory_format=torch.channels_last)
            inputs, _ = segmenter.expose(inputs, inputs)
            with autocast(device, self.predictor.precision):
                embedding = segmenter.embed(inputs).embedding
            found.append(embedding[0].float().cpu().numpy())
        return found

    def apply(self, weight: Float32[np.ndarray, "k c"], bias: Float32[np.ndarray, " k"]) -> "LinearMasks":
        """A maker of masks from a linear layer on the features."""
        return LinearMasks(self, torch.from_numpy(weight), torch.from_numpy(bias))


@dataclass(frozen=True)
class LinearMasks:
    """Makes masks with a linear layer on frozen features, enlarged bilinearly.

    Args:
        features: Of what model.
        weight: (classes, channels).
        bias: Of each class.
    """

    features: Features
    weight: Tensor
    bias: Tensor

    @property
    def clusters(self) -> int:
        """How many classes the layer tells apart."""
        return len(self.weight)

    @property
    def key(self) -> str:
        """Fingerprint of all that shapes a mask but the image."""
        return hash_value([self.features.key, self.weight.tolist(), self.bias.tolist()])

    @property
    def identity(self) -> dict[str, Any]:
        """What a report says of it."""
        return self.features.predictor.identity

    @property
    def scaling(self) -> Scaling:
        """How deep grey becomes 8 bits before it sees it."""
        return self.features.scaling

    def prepare(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Prepared:
        """The image as the segmenter sees it."""
        return self.features.prepare(pixels)

    def segment(self, images: Sequence[Prepared]) -> list[Tensor]:
        """Shares of each class at stride 4."""
        shares = []
        for found in self.features.embed(images):
            logits = torch.einsum("kc,chw->khw", self.weight, torch.from_numpy(found)) + self.bias[:, None, None]
            shares.append(torch.softmax(logits, 0)[None])
        return shares

    def choose(self, small: Tensor, size: tuple[int, int]) -> UInt16[np.ndarray, "H W"]:
        """The likeliest class of each pixel."""
        return choose_classes(small, size)[0]
