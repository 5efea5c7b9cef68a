"""Pixels near a border go to the class whose colours, nearby in the same image, are theirs.

In: probabilities and the image they are about; all lengths are in pixels of the image as the network sees it, of which
masks are made at half the size and assignments at a quarter. Out: probabilities whose borders lie where colours change.

Follows: region competition with colours of a neighbourhood (Lankton and Tannenbaum, 2008) and the turns of GrabCut
(Rother et al., 2004): fit the colours of each class, assign pixels anew, fit again.
Ours: docs/method.md eq. 8b; one variance for all classes of a neighbourhood, and how it is found out where colours may
be followed at all. What a grouping knows of a pixel it knows from several pixels around it, so its thin things come out
wide, and a small thing grows a rim; colours say where in the band the thing itself is.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fs4cli.model.axes import LAB_UNITS
from fs4cli.model.cues import blur, find_lab
from fs4cli.model.neighbourhood import Neighbourhoods
from fs4cli.model.refinement import refine_probabilities

TURNS = 2
"""How often borders are moved, and the result averaged among neighbours of like colour."""

ROUNDS = 5
"""How often colours are fitted and pixels assigned."""

NEARBY = 12.0
"""How far colours count as those of a neighbourhood: a standard deviation, in pixels."""

LOOSENESS = 6.0
"""How far a border may move: a standard deviation of the first probabilities' softening, in pixels."""

WELL_INSIDE = 0.9
"""Softened probability of a class from which on a pixel is taken to be of it."""

AROUND = 6
"""How many times as far pixels count that tell how well colours do."""

MISTAKEN = 0.1
"""Share of the pixels well inside their class that colour alone would take for another, from which on colours are not
followed there; up to half of it they are followed wholly."""

_LEAST = 1e-3  # softened probability that every class keeps
_HELD = 0.02  # share of a neighbourhood that a class must hold: colours of fewer pixels are hardly known
_ABSENT = 20.0  # nats that a class loses which holds half of `_HELD`; one that holds a third of it loses twice as many
_SEEN = 0.05  # softened probability that a class must reach somewhere in the image to take part
_NOISE = 0.05  # spread of colour that means nothing, in the units of `LAB_UNITS`
_CELL = 8  # pixels per side that a neighbourhood's colours are gathered in
_INSIDES = 0.02  # share of a neighbourhood that must lie well inside something to tell how well colours do


def sharpen(
    probabilities: Float[Tensor, "b k h w"], images: Float[Tensor, "b 3 h w"], *, stride: int
) -> Float[Tensor, "b k h w"]:
    """Average among neighbours of like colour and follow the classes' colours, in turn.

    Args:
        probabilities: Summing to 1 over k.
        images: In [0, 1], of the same size.
        stride: Pixels that the network sees to one of these.

    Returns:
        Probabilities summing to 1 over k.
    """
    sharpened = refine_probabilities(probabilities, images)
    for _ in range(TURNS):
        sharpened = refine_probabilities(follow_colours(sharpened, images, stride=stride), images)
    return sharpened


def follow_colours(
    probabilities: Float[Tensor, "b k h w"], images: Float[Tensor, "b 3 h w"], *, stride: int
) -> Float[Tensor, "b k h w"]:
    """Move borders to where the colours of the classes part, wherever colours tell these classes apart.

    Where more than one in ten of the pixels nearby that lie well inside a class looks by its colour like one of another
    (a texture of two tones, a facade with dark windows beside dark trees), everything stays as it was.

    Args:
        probabilities: Summing to 1 over k.
        images: In [0, 1], of the same size.
        stride: Pixels that the network sees to one of these.

    Returns:
        Probabilities summing to 1 over k.
    """
    pairs = zip(probabilities.split(1), images.split(1), strict=True)  # each image holds classes of its own
    return torch.cat([_follow(*pair, stride) for pair in pairs])


def _follow(
    probabilities: Float[Tensor, "1 k h w"], image: Float[Tensor, "1 3 h w"], stride: int
) -> Float[Tensor, "1 k h w"]:
    expected = blur(probabilities, LOOSENESS / stride)
    seen = expected.amax((0, 2, 3)) >= _SEEN
    if seen.sum() < 2:
        return probabilities
    expected, first = expected[:, seen], probabilities[:, seen]
    total = first.sum(1, keepdim=True)
    prior = expected.clamp(min=_LEAST).log()
    colour = _Colour(image, stride)
    moved = first
    for _ in range(ROUNDS):
        moved = torch.softmax(prior + colour.judge(moved), 1)
    trust = colour.measure_trust(expected, moved)
    followed = probabilities.clone()
    followed[:, seen] = torch.lerp(first, moved * total, trust)
    return followed


class _Colour:
    """An image's colours, and what is seen of them in the neighbourhood of each cell."""

    def __init__(self, image: Float[Tensor, "1 3 h w"], stride: int):
        self.values = find_lab(image) / image.new_tensor(LAB_UNITS).view(1, 3, 1, 1)
        cell = max(1, _CELL // stride)
        reach = NEARBY / (cell * stride)
        self.nearby = Neighbourhoods(image, cell=cell, sigma=reach)
        self.around = Neighbourhoods(image, cell=cell, sigma=AROUND * reach)
        self.squares = self.nearby.gather(self.values**2)

    def judge(self, shares: Float[Tensor, "1 k h w"]) -> Float[Tensor, "1 k h w"]:
        """Log-likelihood of each pixel's colour among those that each class has nearby, up to what is the same for all.

        Args:
            shares: Of each class in each pixel.
        """
        weights = shares.transpose(0, 1)
        held = self.nearby.gather(weights)
        means = torch.cat([self.nearby.gather(weights * one) for one in self.values.split(1, 1)], 1) / (held + 1e-6)
        # one variance for all: a class whose colours vary more must not claim whatever is unlike the others
        parts = held / held.sum(0, keepdim=True)
        variance = (self.squares - (parts * means**2).sum(0, keepdim=True)).clamp(min=0) + _NOISE**2
        slopes = means / variance
        # steep, but no step: what is summed in another order must not bring a class in or leave it out
        missing = (_HELD / (held + 1e-6) - 1).clamp(min=0)
        logits = self.nearby.spread(-0.5 * (slopes * means).sum(1, keepdim=True) - _ABSENT * missing)
        for slope, one in zip(slopes.split(1, 1), self.values.split(1, 1), strict=True):  # hundreds of maps otherwise
            logits.addcmul_(self.nearby.spread(slope), one)
        return logits.transpose(0, 1)

    def measure_trust(
        self, expected: Float[Tensor, "1 k h w"], shares: Float[Tensor, "1 k h w"]
    ) -> Float[Tensor, "1 1 h w"]:
        """From 0 to 1: whether colour alone finds the classes of those pixels nearby that lie well inside one.

        Args:
            expected: The first shares, softened.
            shares: From which colours are to be learned.
        """
        inside = (expected > WELL_INSIDE).to(expected)
        mistaken = (inside * (1 - torch.softmax(self.judge(shares), 1))).sum(1, keepdim=True)
        number = self.around.gather(inside.sum(1, keepdim=True))
        share = self.around.gather(mistaken) / (number + 1e-6)
        trust = (2 * (1 - share / MISTAKEN)).clamp(0, 1) * (number > _INSIDES)
        return self.around.spread(trust)
