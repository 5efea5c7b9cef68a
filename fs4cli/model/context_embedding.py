"""CAE: embed a pixel together with its neighbours, near in space and alike in appearance.

In: dense features and the appearance of each pixel. Out: features that took in their neighbours, and how much each
pixel is relied on by its neighbours, which is its weight when a cell is pooled.

Follows: FS^4 (arXiv 2202.11981), abstract: a "global feature embedding in view of its neighbors close both in space and
appearance in a non-trivial way".
Ours: the operator itself, docs/method.md eq. 7: attention over dilated neighbours with Gaussian terms for distance and
appearance; "non-trivial" is read as: a pixel never attends to itself.
"""

import functools

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

DENSE = 1024
"""Maps of at most so many pixels, as in training, are worked on as matrices of all pairs of pixels. Most of a matrix is
zeros, and yet it is several times as fast as 24 passes over the map; larger maps would need too much memory for it."""


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
        logits = _compare_neighbours(query, key) - distance.view(1, -1, 1, 1) - difference
        return torch.softmax(logits.masked_fill(is_outside, -1e4), dim=1)


def shift(maps: Float[Tensor, "b c h w"], down: int, right: int) -> Float[Tensor, "b c h w"]:
    """The map as seen by pixels that look `down` and `right`: zeros beyond the border."""
    height, width = maps.shape[2:]
    padded = F.pad(maps, (max(-right, 0), max(right, 0), max(-down, 0), max(down, 0)))
    top, left = max(down, 0), max(right, 0)
    return padded[:, :, top : top + height, left : left + width]


def compare_appearance(appearance: Float[Tensor, "b a h w"]) -> Float[Tensor, "b n h w"]:
    """Mean squared difference between each pixel and its neighbours; anything for those beyond the border."""
    rows = [(appearance - shift(appearance, down, right)).square().mean(1) for down, right in OFFSETS]
    return torch.stack(rows, 1)


def gather_neighbours(
    values: Float[Tensor, "b c h w"], attention: Float[Tensor, "b n h w"]
) -> Float[Tensor, "b c h w"]:
    """Sum of the neighbours' values, weighted by attention."""
    height, width = values.shape[2:]
    if height * width <= DENSE:
        places, is_outside = _place_neighbours(height, width, values.device)
        given = attention.to(values.dtype).flatten(2).transpose(1, 2).masked_fill(is_outside, 0)
        pairs = values.new_zeros(len(values), height * width, height * width)
        pairs = pairs.scatter(2, places.expand(len(values), -1, -1), given)
        gathered = pairs @ values.flatten(2).transpose(1, 2)
        return gathered.transpose(1, 2).unflatten(2, (height, width)).to(values.dtype)
    total = torch.zeros_like(values)
    for position, (down, right) in enumerate(OFFSETS):
        total = total + attention[:, position : position + 1].to(values.dtype) * shift(values, down, right)
    return total


def _compare_neighbours(query: Float[Tensor, "b c h w"], key: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n h w"]:
    """Scalar product of each pixel's query with its neighbours' keys; anything for neighbours beyond the border."""
    height, width = query.shape[2:]
    if height * width <= DENSE:
        places, _ = _place_neighbours(height, width, query.device)
        pairs = query.flatten(2).transpose(1, 2) @ key.flatten(2)
        return pairs.gather(2, places.expand(len(query), -1, -1)).transpose(1, 2).unflatten(2, (height, width)).float()
    query, key = query.float(), key.float()
    return torch.stack([(query * shift(key, down, right)).sum(1) for down, right in OFFSETS], 1)


@functools.cache
@torch.inference_mode(mode=False)  # what is kept must also do for training
def _place_neighbours(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each pixel the positions of its 24 neighbours in the flattened map, and which lie beyond the border.

    The pixel itself stands for those: it is nobody's neighbour.
    """
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rows = torch.stack([ys + down for down, _ in OFFSETS], -1).flatten(0, 1)
    columns = torch.stack([xs + right for _, right in OFFSETS], -1).flatten(0, 1)
    is_outside = (rows < 0) | (rows >= height) | (columns < 0) | (columns >= width)
    own = torch.arange(height * width)[:, None]
    return torch.where(is_outside, own, rows * width + columns)[None].to(device), is_outside[None].to(device)


def count_reliance(attention: Float[Tensor, "b n h w"]) -> Float[Tensor, "b h w"]:
    """How much all neighbours together take from each pixel (its in-degree); mean 1 over each image."""
    given = zip(attention.unbind(1), OFFSETS, strict=True)  # unbind: the gradient is stacked once, not summed 24 times
    received = torch.stack([shift(one.unsqueeze(1), -down, -right)[:, 0] for one, (down, right) in given]).sum(0)
    return received / received.mean((1, 2), keepdim=True).clamp(min=1e-6)
