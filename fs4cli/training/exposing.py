"""Do images show the same things in the same places, in light that changes? Then they are learned from in one light.

In: the cached images. Out: how they are exposed (`fs4cli.model.exposure`), kept beside the stage's other files, and the
images so. Nothing is learned yet: it is asked of colours alone.

Ours: docs/grouping.md, and the figures in docs/grouping-measured.md.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from PIL import Image

from fs4cli.clustering.light import is_light_alike
from fs4cli.data.batches import Images
from fs4cli.errors import ProjectError
from fs4cli.files import read_json, write_json
from fs4cli.model.axes import LAB_UNITS
from fs4cli.model.cues import find_lab
from fs4cli.model.exposure import PLACES, Exposure, divide_places, find_reference
from fs4cli.model.extraction import STRIDE, shrink_image

SAMPLE = 100
"""Images that are asked, at most."""

_KEPT = 4096
"""Images whose tables are remembered, at most: 6 kB each."""


class ExposedImages:
    """Images in one light, by position.

    Args:
        images: As they were taken.
        exposure: What sees them in one light; on the CPU.
    """

    def __init__(self, images: Images, exposure: Exposure):
        self.images = images
        self.exposure = exposure
        self._look_up = lru_cache(maxsize=_KEPT)(self._make_table)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int, /) -> UInt8[np.ndarray, "H W 3"]:
        """The image at that position."""
        return np.asarray(Image.fromarray(self.images[position]).point(self._look_up(position)))

    def _make_table(self, position: int) -> list[int]:
        """What each value becomes, 256 for each channel."""
        whole = torch.from_numpy(np.array(self.images[position])).permute(2, 0, 1)[None].float() / 255
        gains = self.exposure.find_gains(whole)[0].numpy()
        return np.rint(np.arange(256) * gains[:, None]).clip(0, 255).astype(int).ravel().tolist()


def expose(images: Images, exposure: Exposure | None) -> Images:
    """The images in one light, or as they are where they have none in common."""
    return images if exposure is None else ExposedImages(images, exposure)


def find_exposure(images: Images, *, classes: int, short_side: int, seed: int) -> Exposure | None:
    """What sees the images in one light; None where they do not show the same things in light that changes.

    Args:
        images: All of them, at least one.
        classes: How many are to be told apart.
        short_side: At which they are looked at, in pixels.
        seed: Of the sample.
    """
    random = np.random.default_rng([seed, 43])
    sample = np.sort(random.permutation(len(images))[:SAMPLE]).tolist()
    colours, places = [], []
    for position in sample:
        image = shrink_image(images[position], short_side)
        small = F.avg_pool2d(image, STRIDE)
        lab = find_lab(small) / small.new_tensor(LAB_UNITS).view(1, 3, 1, 1)
        colours.append(lab[0].permute(1, 2, 0).contiguous().numpy())
        places.append(divide_places(image)[0])
    return Exposure(find_reference(torch.stack(places))) if is_light_alike(colours, classes) else None


def settle_exposure(
    path: Path, images: Images, *, is_begun: bool, classes: int, short_side: int, seed: int
) -> Exposure | None:
    """As `find_exposure`, once: what was found is kept in a file, and read if it is there.

    Args:
        path: Of the file.
        images: All of them.
        is_begun: Pixels have been assigned already: without a file they were as the images are.
        classes: How many are to be told apart.
        short_side: At which they are looked at, in pixels.
        seed: Of the sample.

    Raises:
        ProjectError: The file is damaged.
    """
    if not path.exists():
        if is_begun:
            return None
        found = find_exposure(images, classes=classes, short_side=short_side, seed=seed)
        write_json(path, {"reference": None if found is None else found.reference.tolist()})
    return _read(path)


def _read(path: Path) -> Exposure | None:
    # not its own hint, to delete it: training would go on with images in another light
    hints = ("restore it from a copy, or start over with `fs4 train --fresh`",)
    try:
        reference = read_json(path)["reference"]
        if reference is None:
            return None
        values = torch.tensor(reference, dtype=torch.float32)
        if values.shape != (3, PLACES, PLACES) or not (torch.isfinite(values) & (values >= 0)).all():
            raise ValueError(f"it does not hold the brightness of {PLACES} x {PLACES} places in three channels")
    except ProjectError as error:
        raise ProjectError(error.message, hints=hints) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ProjectError(f"`{path}` is damaged: {error}", hints=hints) from error
    return Exposure(values)
