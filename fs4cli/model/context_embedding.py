"""CAE: embed a pixel together with its neighbours, near in space and alike in appearance.

In: dense features and the appearance of each pixel. Out: features that took in their neighbours, and how much each
pixel is relied on by its neighbours, which is its weight when a cell is pooled.

Follows: FS^4 (arXiv 2202.11981), abstract: a "global feature embedding in view of its neighbors close both in space and
appearance in a non-trivial way".
Ours: the operator itself, docs/method.md eq. 7: attention over dilated neighbours with Gaussian terms for distance and
appearance; "non-trivial" is read as: a pixel never attends to itself.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

DILATIONS = (1, 2, 4)
OFFSETS = tuple(
    (row * dilation, column * dilation)
    for dilation in DILATIONS
    for row in (-1, 0, 1)
    for column in (-1, 0, 1)
    if row or column
)
"""(down, right) steps to the 24 neighbours; the pixel itself is not among them."""


class ContextAwareEmbedding(nn.Module):
    """Attention of each pixel over its neighbours.

    Args:
        channels: Width of the features, in and out.
        keys: Width in which features are compared.
    """

    def __init__(self, channels: int, keys: int = 32):
        super().__init__()
        self.query = nn.Conv2d(channels, keys, 1)
        self.key = nn.Conv2d(channels, keys, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.output = nn.Conv2d(2 * channels, channels, 1)
        self.strength = nn.Parameter(torch.tensor(0.1))
        # softplus of these: 2.5 cells in space, 1 standard deviation in appearance
        self.space = nn.Parameter(torch.tensor(2.414))
        self.appearance = nn.Parameter(torch.tensor(0.541))

    def forward(
        self, features: Float[Tensor, "b c h w"], appearance: Float[Tensor, "b a h w"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b h w"], Float[Tensor, "b n h w"]]:
        """Features with their neighbours' taken in, each pixel's weight in pooling, and the attention.

        Args:
            features: Dense features.
            appearance: What "alike" is measured in; each channel of unit variance.

        Returns:
            The new features, weights of mean 1 over each image, and the attention over the 24 neighbours.
        """
        attention = self.attend(features, appearance)
        gathered = gather_neighbours(self.value(features), attention)
        weights = count_reliance(attention)
        image = (features * weights.unsqueeze(1)).mean((2, 3), keepdim=True).expand_as(features)
        return features + self.strength * self.output(torch.cat([gathered, image], 1)), weights, attention

    def attend(
        self, features: Float[Tensor, "b c h w"], appearance: Float[Tensor, "b a h w"]
    ) -> Float[Tensor, "b n h w"]:
        """How much each pixel takes from each of its 24 neighbours; sums to 1 over them."""
        query, key = self.query(features).float(), self.key(features).float()
        appearance = appearance.float()
        space = F.softplus(self.space)
        alike = F.softplus(self.appearance)
        height, width = features.shape[2:]
        inside = torch.ones(1, 1, height, width, device=features.device)
        rows = []
        for down, right in OFFSETS:
            cosine = (query * shift(key, down, right)).sum(1) / key.shape[1] ** 0.5
            distance = (down**2 + right**2) / (2 * space**2)
            difference = (appearance - shift(appearance, down, right)).square().mean(1) / (2 * alike**2)
            row = cosine - distance - difference
            rows.append(row.masked_fill(shift(inside, down, right)[:, 0] == 0, -1e4))
        return torch.softmax(torch.stack(rows, 1), dim=1)


def shift(maps: Float[Tensor, "b c h w"], down: int, right: int) -> Float[Tensor, "b c h w"]:
    """The map as seen by pixels that look `down` and `right`: zeros beyond the border."""
    height, width = maps.shape[2:]
    padded = F.pad(maps, (max(-right, 0), max(right, 0), max(-down, 0), max(down, 0)))
    top, left = max(down, 0), max(right, 0)
    return padded[:, :, top : top + height, left : left + width]


def gather_neighbours(
    values: Float[Tensor, "b c h w"], attention: Float[Tensor, "b n h w"]
) -> Float[Tensor, "b c h w"]:
    """Sum of the neighbours' values, weighted by attention."""
    total = torch.zeros_like(values)
    for position, (down, right) in enumerate(OFFSETS):
        total = total + attention[:, position : position + 1].to(values.dtype) * shift(values, down, right)
    return total


def count_reliance(attention: Float[Tensor, "b n h w"]) -> Float[Tensor, "b h w"]:
    """How much all neighbours together take from each pixel (its in-degree); mean 1 over each image."""
    received = torch.zeros_like(attention[:, 0])
    for position, (down, right) in enumerate(OFFSETS):
        received = received + shift(attention[:, position : position + 1], -down, -right)[:, 0]
    return received / received.mean((1, 2), keepdim=True).clamp(min=1e-6)
