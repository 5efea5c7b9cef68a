"""Projection head and prototype head.

In: features, per pixel or per cell. Out: unit embeddings, and their cosine similarities to prototypes.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ProjectionHead(nn.Module):
    """Two linear layers to a unit vector.

    Args:
        channels: Width of what comes in.
        embedding: Width of what goes out.
    """

    def __init__(self, channels: int, embedding: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, embedding))

    def forward(self, features: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        return F.normalize(self.layers(features).float(), dim=1)


class PrototypeHead(nn.Module):
    """Cosine similarity to learned prototypes.

    Args:
        embedding: Width of the unit vectors that come in.
        prototypes: How many.
    """

    def __init__(self, embedding: int, prototypes: int):
        super().__init__()
        self.prototypes = nn.Parameter(F.normalize(torch.randn(prototypes, embedding), dim=1))

    def forward(self, embedding: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return embedding @ F.normalize(self.prototypes.float(), dim=1).T
