"""How much the light of training's views may differ: not at all where light is what tells the classes apart.

In: the rule of the first grouping, and some images. Out: the share of pixels that stay in their class when light and
colour change as they do between views, and the changes that views are to have.

Ours: docs/method.md section 3. A view is taught the classes that were found in the image as it is. Where most of its
pixels would be of another class in the view's own light, what is taught contradicts what is seen.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fs4cli.data.augment import Photometry, change_light
from fs4cli.model.cues import find_cues, find_patterns
from fs4cli.model.extraction import STRIDE, Images, shrink_image
from fs4cli.model.guidance import PyramidGuidance
from fs4cli.model.prior import PixelPrior

LIGHT_KEEPS = 0.85
"""Share of the pixels that stay in their class in changed light; below, views keep their light."""

LOOKED_AT = 20
"""Images, at most, evenly spread."""

_DRAWS = 2
"""Changes of light that each image is seen in."""


def choose_photometry(photometry: Photometry, light_kept: float) -> Photometry:
    """What views may differ in: blur and noise always, light and colour only where classes bear it.

    Args:
        photometry: Of views whose classes bear it.
        light_kept: From `measure_light_kept`.
    """
    if light_kept >= LIGHT_KEEPS:
        return photometry
    return replace(photometry, brightness=0.0, contrast=0.0, saturation=0.0, tint=0.0)


@torch.inference_mode()
def measure_light_kept(
    prior: PixelPrior,
    guidance: PyramidGuidance | None,
    images: Images,
    positions: Sequence[int],
    *,
    short_side: int,
    photometry: Photometry,
    seed: int,
) -> float:
    """The share of pixels, in [0, 1], that the rule puts into the same class when light and colour change.

    Args:
        prior: The rule.
        guidance: What the places of pixels say of them; None if they tell nothing.
        images: All images.
        positions: Which of them to look at, at least one.
        short_side: At which they are looked at, in pixels.
        photometry: How strongly light and colour change; its blur and noise are left out.
        seed: Of the changes.
    """
    change = replace(photometry, blur=0.0, noise=0.0)
    kept = []
    for position in positions:
        image = shrink_image(images[position], short_side)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + position)
        classes = _classify(prior, guidance, image)
        for _ in range(_DRAWS):
            seen = change_light(image, change, generator)
            kept.append(float((_classify(prior, guidance, seen) == classes).float().mean()))
    return sum(kept) / len(kept)


def _classify(
    prior: PixelPrior, guidance: PyramidGuidance | None, image: Float[Tensor, "1 3 H W"]
) -> Int64[Tensor, "1 h w"]:
    shares = prior(torch.cat([find_cues(image, STRIDE), find_patterns(image, STRIDE)], 1))
    return (shares if guidance is None else guidance(shares)).argmax(1)
