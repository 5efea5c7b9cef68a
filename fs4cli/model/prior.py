"""What the first grouping says of a pixel: a linear rule on plain cues, kept in the model beside what was learned.

In: cues of whole images at stride 4. Out: the logarithm of each class's share. The rule is `fs4cli.clustering.pixels`'s
and so are its axes: `describe_cues` is `describe_pixels` of `fs4cli.clustering.evidence`, in torch and on any device.

Ours: the segmenter learns from what the grouping said of the training images, and says it more smoothly; the grouping
says it again, from the cues of the image at hand. Where the two err, they err differently (docs/method.md section 3).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fs4cli.model.cues import smooth

AXES = 24
"""Of `describe_cues`: colour at three scales, contrast, grain, third moment, dark and bright lines, row and column."""

LEAST = 1e-3
"""Share that every class keeps: the rule is never surer than that."""

_LAB_UNITS = (25.0, 10.0, 10.0)
_COLOUR_SOFTENING = (0.0, 0.7, 2.0)
_CONTRAST_SOFTENING = (1.0, 2.0)
_CONTRAST_FLOOR = 16.0
_TAIL_SOFTENING = 1.0
_PATTERN_UNIT = 8.0
_PLACE_UNIT = 0.25


class PixelPrior(nn.Module):
    """The rule.

    Args:
        classes: How many.
    """

    weights: Tensor
    offsets: Tensor

    def __init__(self, classes: int):
        super().__init__()
        self.register_buffer("weights", torch.zeros(classes, AXES))
        self.register_buffer("offsets", torch.zeros(classes))

    def forward(self, cues: Float[Tensor, "b c h w"], *, is_mirrored: bool = False) -> Float[Tensor, "b k h w"]:
        """Logarithm of each class's share, at most 0.

        Args:
            cues: Of whole images, as `fs4cli.model.cues` lists them: `find_cues`, then `find_patterns`.
            is_mirrored: The images are left-right mirror images of what was photographed.
        """
        # half precision cannot tell the sums of thousands that the rule compares
        with torch.autocast(cues.device.type, enabled=False):
            described = describe_cues(cues.float(), is_mirrored=is_mirrored)
            # image by image, so that what else is in the batch changes no bit
            rows = [self.weights @ one.flatten(1) + self.offsets[:, None] for one in described]
            logits = torch.stack(rows).unflatten(2, cues.shape[2:])
            return (torch.softmax(logits, 1) + LEAST).log()


def describe_cues(cues: Float[Tensor, "b c h w"], *, is_mirrored: bool = False) -> Float[Tensor, "b a h w"]:
    """The `AXES` that the rule is linear in.

    Args:
        cues: As above, in Lab units.
        is_mirrored: Count columns from the right.
    """
    colour = cues[:, :3] / cues.new_tensor(_LAB_UNITS).view(1, 3, 1, 1)
    variance, grain, tail, lines = cues[:, 4:9:2] ** 2, cues[:, 9:13] ** 2, cues[:, 13:14], cues[:, 14:16]
    parts = [_soften(colour, sigma) for sigma in _COLOUR_SOFTENING]
    parts += [0.5 * (_soften(variance, sigma) + _CONTRAST_FLOOR).log() for sigma in _CONTRAST_SOFTENING]
    parts += [0.5 * (grain + _CONTRAST_FLOOR).log(), _soften(tail, _TAIL_SOFTENING) / _PATTERN_UNIT]
    rows, columns = (
        (torch.arange(length, device=cues.device) + 0.5) / length / _PLACE_UNIT for length in cues.shape[2:]
    )
    places = torch.stack(torch.meshgrid(rows, columns.flip(0) if is_mirrored else columns, indexing="ij"))
    return torch.cat([*parts, lines / _PATTERN_UNIT, places.expand(len(cues), -1, -1, -1)], 1)


def _soften(values: Float[Tensor, "b c h w"], sigma: float) -> Float[Tensor, "b c h w"]:
    """A Gaussian to four standard deviations; beyond the border the map goes on as its mirror image."""
    if not sigma:
        return values
    radius = int(4 * sigma + 0.5)
    for dim in (2, 3):
        length = values.shape[dim]
        places = torch.arange(-radius, length + radius, device=values.device) % (2 * length)
        values = values.index_select(dim, torch.where(places < length, places, 2 * length - 1 - places))
    return smooth(values, sigma, radius)
