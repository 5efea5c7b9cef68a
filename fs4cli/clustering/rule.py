"""Clusters as a linear rule on plain cues, which a finished model keeps beside what it has learned.

In: clusters of pixels, and how far they are to be believed. Out: weights and offsets for `fs4cli.model.prior`.

Ours: docs/method.md section 3.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from fs4cli.clustering.evidence import PLACE_LEADS
from fs4cli.clustering.grouping import Grouping
from fs4cli.clustering.mixture import TiedMixture, make_mixture
from fs4cli.clustering.repeats import UNSURE
from fs4cli.model.axes import AXES, COLOUR, LIGHT, SOFT_COLOUR

DOUBTED = 0.25
"""Power of a rule on which its own runs agree little: what the network has learned from it counts for more."""


def find_power(agreement: float, place: float) -> float:
    """The power that a rule is to have in the finished model, in (0, 1]; `fs4cli.clustering.context` may give all back.

    Where the place leads, the rule is colour in its place; texture, which takes the borders of things for things, is no
    part of it.

    Args:
        agreement: Of the runs that the clusters are from, as `fs4cli.clustering.repeats` finds it.
        place: What the place foretells, from `fs4cli.clustering.evidence.measure_place`.
    """
    return DOUBTED if agreement < UNSURE and place <= PLACE_LEADS else 1.0


@dataclass(frozen=True)
class LinearRule:
    """Clusters as a linear rule on plain cues: what a finished model keeps of them.

    Args:
        weights: Of each of `fs4cli.model.axes`.
        offsets: Of each cluster.
        power: That both were multiplied with, from `find_power`.
    """

    weights: Float[np.ndarray, "k a"]
    offsets: Float[np.ndarray, " k"]
    power: float

    def trust(self) -> "LinearRule":
        """The same rule with all of its power."""
        return LinearRule(self.weights / self.power, self.offsets / self.power, 1.0)


def find_rule(
    grouping: Grouping,
    sample: Float32[np.ndarray, "n d"],
    ids: Int64[np.ndarray, " n"],
    axes: tuple[int, ...],
    *,
    is_relative: bool,
    power: float,
    by_region: bool = False,
) -> LinearRule:
    """A tied mixture is linear in its axes; of one that knows more than a model can, the nearest that does not.

    Args:
        grouping: The clusters.
        sample: Vectors in `axes`, each pixel's own.
        ids: The cluster of each.
        axes: Which of `fs4cli.model.axes` count.
        is_relative: Colour counts less the mean of its image.
        power: From `find_power`.
        by_region: The grouping knows the texture of regions, and a model that of pixels alone.
    """
    plain = [axis for axis in grouping.axes if axis < len(axes)]
    mixture: TiedMixture = grouping.mixture
    if by_region or len(plain) < len(grouping.axes):
        mixture = make_mixture(sample[:, plain], ids, len(mixture.log_shares))
    weights = np.zeros((len(mixture.log_shares), AXES))
    weights[:, [axes[axis] for axis in plain]] = mixture.means @ mixture.whitening
    if is_relative:
        weights[:, LIGHT] = -weights[:, SOFT_COLOUR].reshape(len(weights), -1, len(COLOUR)).sum(1)
    return LinearRule(power * weights, power * (mixture.log_shares - 0.5 * (mixture.means**2).sum(1)), power)
