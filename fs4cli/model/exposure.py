"""One light for all images: each is multiplied, channel by channel, until its places are as bright as usual.

In: whole images in [0, 1], and how bright each place of such images usually is. Out: the same images as they would look
in that light. Meant for images that show the same things in the same places, as a road or a camera that does not move
does; `fs4cli.clustering.light` finds out whether they do.

Follows: von Kries: other light multiplies each channel by a number of its own.
Ours: that the number is the median over places, so that what is not there in other images, a car or a cloud, hardly
counts; docs/grouping-measured.md.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

PLACES = 16
"""Places told apart, per side."""

DARK = 0.02
"""Added to what is compared: in what is nearly black noise is as large as light."""

MOST = 4.0
"""Largest factor, and the inverse of the smallest."""

ROUNDS = 4
"""How often images are averaged in each other's light; the average hardly moves after the third."""


class Exposure(nn.Module):
    """Sees images in one light.

    Args:
        reference: How bright each channel usually is at each place; what it is loaded with if left out.
    """

    reference: Tensor

    def __init__(self, reference: Float[Tensor, "3 p p"] | None = None):
        super().__init__()
        self.register_buffer("reference", torch.ones(3, PLACES, PLACES) if reference is None else reference)

    def find_gains(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3"]:
        """What each channel of each image is to be multiplied by.

        Args:
            images: Whole ones, in [0, 1].
        """
        return _compare(divide_places(images), self.reference)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """The images in the usual light, in [0, 1].

        Args:
            images: Whole ones, in [0, 1].
        """
        return apply_gains(images, self.find_gains(images))


def apply_gains(images: Float[Tensor, "b 3 h w"], gains: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 h w"]:
    """Images whose channels are multiplied, cut off at 1."""
    return (images * gains[:, :, None, None]).clamp(0, 1)


def divide_places(images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 p p"]:
    """The mean of each of `PLACES` x `PLACES` parts of each image."""
    return F.adaptive_avg_pool2d(images.float(), PLACES)


def find_reference(places: Float[Tensor, "n 3 p p"]) -> Float[Tensor, "3 p p"]:
    """How bright images usually are at each place: their mean, each in the light of the mean.

    Args:
        places: Of each image, from `divide_places`; at least one.
    """
    reference = places.mean(0)
    for _ in range(ROUNDS):
        reference = (places * _compare(places, reference)[:, :, None, None]).mean(0)
    return reference


def _compare(places: Float[Tensor, "b 3 p p"], reference: Float[Tensor, "3 p p"]) -> Float[Tensor, "b 3"]:
    ratios = ((reference + DARK) / (places + DARK)).flatten(2)
    return ratios.median(2).values.clamp(1 / MOST, MOST)
