"""What the first grouping says of a pixel: a linear rule on plain cues, kept in the model beside what was learned.

In: cues of whole images at stride 4. Out: the logarithm of each class's share. The rule is that of
`fs4cli.clustering.pixels`, in the axes of `fs4cli.model.axes`.

Ours: the segmenter learns from what the grouping said of the training images, and says it more smoothly; the grouping
says it again, from the cues of the image at hand. Where the two err, they err differently (docs/method.md section 3).
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fs4cli.model.axes import AXES, describe_cues
from fs4cli.model.place_map import PlaceMap

LEAST = 1e-3
"""Share that every class keeps: the rule is never surer than that."""


class PixelPrior(nn.Module):
    """The rule.

    Args:
        classes: How many.
        own_side: How its cues tell of texture; see `fs4cli.model.axes.describe_cues`.
        mapped: Whether it is told what usually lies at a place, not its row and column (`PlaceMap`).
    """

    weights: Tensor
    offsets: Tensor

    def __init__(self, classes: int, *, own_side: bool = True, mapped: bool = False):
        super().__init__()
        self.own_side = own_side
        self.register_buffer("weights", torch.zeros(classes, AXES))
        self.register_buffer("offsets", torch.zeros(classes))
        self.places = PlaceMap() if mapped else None
        self.register_load_state_dict_pre_hook(_widen)

    def forward(self, cues: Float[Tensor, "b c h w"], *, is_mirrored: bool = False) -> Float[Tensor, "b k h w"]:
        """Logarithm of each class's share, at most 0.

        Args:
            cues: Of whole images, as `fs4cli.model.cues` lists them: `find_cues`, then `find_patterns`.
            is_mirrored: The images are left-right mirror images of what was photographed.
        """
        # half precision cannot tell the sums of thousands that the rule compares
        with torch.autocast(cues.device.type, enabled=False):
            described = describe_cues(cues, is_mirrored=is_mirrored, own_side=self.own_side)
            if self.places is not None:
                described = self.places(described, is_mirrored=is_mirrored)
            # image by image, so that what else is in the batch changes no bit
            rows = [self.weights @ one.flatten(1) + self.offsets[:, None] for one in described]
            logits = torch.stack(rows).unflatten(2, cues.shape[2:])
            return (torch.softmax(logits, 1) + LEAST).log()


def _widen(prior: nn.Module, weights: dict[str, Any], prefix: str, *others: Any) -> None:
    """A rule of before, which knew fewer axes, gives the others no weight."""
    known = weights.get(prefix + "weights")
    if known is not None and known.ndim == 2 and known.shape[1] < AXES:
        weights[prefix + "weights"] = F.pad(known, (0, AXES - known.shape[1]))
