"""Projection head, prototype head and centroid head.

In: features, per pixel or per cell. Out: unit embeddings, and their cosine similarities to prototypes or centroids.
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
        with torch.autocast(embedding.device.type, enabled=False):  # a temperature will enlarge what is rounded here
            return embedding.float() @ F.normalize(self.prototypes.float(), dim=1).T


class CentroidHead(nn.Module):
    """Cosine similarity of dense features to centroids that k-means found, as logits; nothing in it is trained.

    Args:
        channels: Width of the features.
        clusters: How many centroids.
        temperature: By which similarities are divided.
    """

    centroids: Tensor

    def __init__(self, channels: int, clusters: int, *, temperature: float = 0.1):
        super().__init__()
        self.temperature = temperature
        self.register_buffer("centroids", torch.zeros(clusters, channels))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        return compare_with_centroids(features, self.centroids, temperature=self.temperature)


def compare_with_centroids(
    features: Float[Tensor, "b c h w"], centroids: Float[Tensor, "k c"], *, temperature: float = 0.1
) -> Float[Tensor, "b k h w"]:
    """Logits of each pixel: cosines divided by the temperature.

    Args:
        features: Of any length.
        centroids: Of any length.
        temperature: Above 0.
    """
    with torch.autocast(features.device.type, enabled=False):  # the temperature enlarges what would be rounded here
        directions = F.normalize(features.float(), dim=1)
        return torch.einsum("bchw,kc->bkhw", directions, F.normalize(centroids.float(), dim=1)) / temperature
