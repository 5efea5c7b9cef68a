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

from fs4cli.model.neighbours import (
    OFFSETS,
    compare_appearance,
    compare_neighbours,
    count_reliance,
    gather_neighbours,
    shift,
)


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
        query, key = self.query(features), self.key(features) / self.key.out_channels**0.5
        reach = torch.tensor([down**2 + right**2 for down, right in OFFSETS], device=features.device)
        distance = reach / (2 * F.softplus(self.space) ** 2)
        difference = compare_appearance(appearance.float()) / (2 * F.softplus(self.appearance) ** 2)
        height, width = features.shape[2:]
        inside = torch.ones(1, 1, height, width, device=features.device)
        is_outside = torch.cat([shift(inside, down, right) for down, right in OFFSETS], 1) == 0
        logits = compare_neighbours(query, key) - distance.view(1, -1, 1, 1) - difference
        return torch.softmax(logits.masked_fill(is_outside, -1e4), dim=1)
