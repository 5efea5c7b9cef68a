"""Regions of an image, in which texture is one and the same: what a cell alone says of its texture is mostly noise.

In: the axes of a whole image. Out: the regions that its colours divide it into, and the axes with the texture of each
cell's region in place of its own. Clusters are looked for in that; what a grouping is worth is judged by what each cell
says itself, as regions are alike within themselves by construction.

Follows: the regions of Felzenszwalb and Huttenlocher (Efficient Graph-Based Image Segmentation, 2004), as scikit-image
has them: two neighbours are joined unless the step between them is larger than the steps inside either.
Ours: that texture is averaged in them, and how; docs/grouping-measured.md.
"""

import numpy as np
from jaxtyping import Float32, Int64
from skimage.segmentation import felzenszwalb

from fs4cli.model.axes import COLOUR, TEXTURE

REGION_SCALE = 12.0
"""Preference for large regions: a region of `n` cells takes in what differs by REGION_SCALE / 2.55 / n units of L more
than it does itself."""

FEWEST_CELLS = 3
"""Smaller regions join a neighbour."""

RIM_WEIGHT = 0.05
"""What a cell beside another region counts for in the texture of its own: its contrast is that of the border."""

REGIONS_ENOUGH = 0.5
"""Share of what clusters in the texture of cells explain that those in the texture of regions must explain to be taken.
They explain 0.55 to 1 of it on sixteen sets; where textures of one colour lie side by side regions hold both: 0.35."""

_UNIT = 4.0
"""Differences of colour, in units of `fs4cli.model.axes.LAB_UNITS`, that are 1 where regions are looked for: 100 L."""


def find_regions(axes: Float32[np.ndarray, "h w a"]) -> Int64[np.ndarray, "h w"]:
    """The region of each cell, counted from 0.

    Args:
        axes: All axes of a whole image.
    """
    colour = axes[..., COLOUR].astype(np.float64) / _UNIT
    found = felzenszwalb(colour, scale=REGION_SCALE, sigma=0, min_size=FEWEST_CELLS, channel_axis=2)
    return np.unique(found, return_inverse=True)[1].reshape(found.shape).astype(np.int64)


def average_texture(
    axes: Float32[np.ndarray, "h w a"], regions: Int64[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w a"]:
    """The axes, with contrast, grain and third moment of each cell those of its region: the mean of the cells inside.

    Lines stay as they are, and so does colour: a thin thing is a line, and need not have a region of its own.

    Args:
        axes: All axes of a whole image.
        regions: The region of each cell, counted from 0, all of them there.
    """
    padded = np.pad(regions, 1, mode="edge")
    rows, columns = slice(1, -1), slice(1, -1)
    neighbours = (padded[2:, columns], padded[:-2, columns], padded[rows, 2:], padded[rows, :-2])
    is_inside = np.logical_and.reduce([other == regions for other in neighbours])
    weights = np.where(is_inside, 1.0, RIM_WEIGHT).ravel()
    totals = np.bincount(regions.ravel(), weights)
    averaged = axes.copy()
    for axis in TEXTURE:
        sums = np.bincount(regions.ravel(), weights * axes[..., axis].ravel())
        averaged[..., axis] = (sums / totals)[regions]
    return averaged
