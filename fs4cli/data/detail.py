"""How fine the images are: at what size does shrinking begin to lose what is in them?

In: cached images. Out: the share of the variance of lightness that is left when each feature of the network covers a
square of the image. Scenes keep almost all of it at any size; fine texture (microscopy) does not, and must be looked at
larger.
"""

from collections.abc import Sequence

import numpy as np

from fs4cli.data.batches import Images

STRIDE = 4
"""Pixels of the shrunk image per feature of the network."""


def measure_detail(images: Images, sides: Sequence[int], *, seed: int, sample: int = 40) -> dict[int, float]:
    """For each short side, the mean share of an image's variance that features at stride 4 can still tell.

    Args:
        images: Of any sizes.
        sides: Short sides to which images might be shrunk, in pixels.
        seed: Of the sample.
        sample: Images that are looked at, at most.

    Returns:
        Shares in [0, 1]; 1 for images without any contrast.
    """
    random = np.random.default_rng([seed, 41])
    chosen = np.sort(random.permutation(len(images))[:sample])
    kept: dict[int, list[float]] = {side: [] for side in sides}
    for position in chosen.tolist():
        lightness = np.asarray(images[position]).astype(np.float32).mean(2)
        variance = float(lightness.var())
        for side in sides:
            square = max(1, round(STRIDE * min(lightness.shape) / side))
            kept[side].append(float(_average(lightness, square).var()) / variance if variance > 1e-6 else 1.0)
    return {side: float(np.mean(shares)) for side, shares in kept.items()}


def _average(values: np.ndarray, square: int) -> np.ndarray:
    rows, columns = (side // square for side in values.shape)
    if rows == 0 or columns == 0:
        return values.mean(keepdims=True)
    return values[: rows * square, : columns * square].reshape(rows, square, columns, square).mean((1, 3))
