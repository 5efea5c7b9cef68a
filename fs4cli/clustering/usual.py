"""What usually lies at each place of images that show the same things in the same places.

In: the axes of whole images. Out: two numbers for each place, for `fs4cli.model.place_map`: alike where alike things
lie, however far apart that is.

Ours: docs/grouping.md, and the figures in docs/grouping-measured.md. Colours are put into many groups; what shares each
place has of them, over all images, is described by the two directions in which places differ most.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32

from fs4cli.clustering.kmeans import assign_nearest, fit_kmeans
from fs4cli.model.axes import PLACE, PLACE_UNIT, SOFT_COLOUR
from fs4cli.model.place_map import PLACES

COLOURS = 60
"""Groups of colours; 12 or 200 were up to 1.7 mIoU worse on one set, mostly less."""

_SEEN = 10_000
"""Cells that the groups are found in, at most."""


def find_usual(images: Sequence[Float32[np.ndarray, "_ _ a"]], *, seed: int) -> Float32[np.ndarray, "2 p p"]:
    """Two numbers for each of `PLACES` x `PLACES` places, that say what usually lies there.

    The first varies as much as the row does; the second is as much smaller as places differ less in it.

    Args:
        images: All axes of whole images, at least one; their sizes may differ.
        seed: Of the sample and of k-means.
    """
    colours = [np.ascontiguousarray(axes[..., SOFT_COLOUR]) for axes in images]
    cells = np.concatenate([one.reshape(-1, len(SOFT_COLOUR)) for one in colours])
    sample = cells[np.sort(np.random.default_rng([seed, 47]).permutation(len(cells))[:_SEEN])]
    centroids = fit_kmeans(sample, min(COLOURS, len(sample)), seed=seed).centroids
    shares = np.mean([_count_places(one, centroids) for one in colours], axis=0)
    # the square root: of what is rare somewhere, a little counts for much
    rows = np.sqrt(shares.reshape(len(centroids), -1).T)
    directions, spreads, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    found = (directions * spreads)[:, : len(PLACE)]
    # the sign of a direction is free: fixed, so that other libraries give the same clusters
    found *= np.where(found[np.abs(found).argmax(0), np.arange(found.shape[1])] < 0, -1, 1)
    unit = 1 / (PLACE_UNIT * np.sqrt(12))  # the spread of the row, which is even from 0 to 1 / PLACE_UNIT
    found *= unit / max(found[:, 0].std(), 1e-6)
    return np.pad(found, ((0, 0), (0, len(PLACE) - found.shape[1]))).T.reshape(-1, PLACES, PLACES).astype(np.float32)


def _count_places(
    colours: Float32[np.ndarray, "h w c"], centroids: Float32[np.ndarray, "k c"]
) -> Float32[np.ndarray, "k p p"]:
    """The share of each group of colours at each place of one image."""
    groups = assign_nearest(colours.reshape(-1, colours.shape[2]), centroids)[0].reshape(colours.shape[:2])
    each = F.one_hot(torch.from_numpy(groups), len(centroids)).permute(2, 0, 1).float()
    return F.adaptive_avg_pool2d(each, PLACES).numpy()
