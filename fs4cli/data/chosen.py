"""Some of the images, where all are more than there is time for.

In: images by position, and which of them. Out: these alone, by positions of their own.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, UInt8

from fs4cli.data.batches import Images


class ChosenImages:
    """Some of the images, in their order.

    Args:
        images: All of them.
        positions: Of those that are chosen.
    """

    def __init__(self, images: Images, positions: Sequence[int]):
        self.images = images
        self.positions = positions

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, position: int, /) -> UInt8[np.ndarray, "H W 3"]:
        """The image at that position among the chosen ones."""
        return self.images[self.positions[position]]


def choose_images(images: Images, count: int | None, *, seed: int) -> Images:
    """`count` of the images, drawn at random; all of them, as they are, if there are no more or no count is given.

    Not every second or tenth: cameras that take turns, or a row of slices, may repeat in just such steps.

    Args:
        images: All of them.
        count: How many, at least 1.
        seed: Of the draw.
    """
    if count is None or count >= len(images):
        return images
    return ChosenImages(images, draw_positions(len(images), count, seed=seed).tolist())


def draw_positions(total: int, count: int, *, seed: int) -> Int64[np.ndarray, " count"]:
    """Which images are chosen, in rising order; a larger `count` keeps those of a smaller one.

    Args:
        total: How many images there are.
        count: How many are chosen, in [1, total].
        seed: Of the draw.
    """
    return np.sort(np.random.default_rng([seed, 53]).permutation(total)[:count])
