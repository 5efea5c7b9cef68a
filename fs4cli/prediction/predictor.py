"""A model file made ready to segment images: the weights, how it looks, and a fingerprint of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8, UInt16
from torch import Tensor

from fs4cli.files import hash_file, hash_value
from fs4cli.model.device import Precision, is_out_of_memory
from fs4cli.model.inference import Prepared, choose_classes, predict_small, prepare_image
from fs4cli.model.model_file import ModelCard, load_model
from fs4cli.model.segmenter import Segmenter
from fs4cli.scaling import Scaling

_RULES = 4
"""Grows when the same image and model would give another mask: masks are made again then."""


@dataclass(frozen=True)
class Predictor:
    """A model and how it looks at images.

    Args:
        segmenter: In eval mode, on its device.
        card: Of the model.
        model: Hash of the model file.
        short_side: At which it looks, in pixels.
        flip: Average with the mirrored image.
        refine: Sharpen along the edges of the image.
        precision: Of its work.
    """

    segmenter: Segmenter
    card: ModelCard
    model: str
    short_side: int
    flip: bool
    refine: bool
    precision: Precision

    @property
    def key(self) -> str:
        """Fingerprint of all that shapes a mask but the image."""
        return hash_value([_RULES, self.model, self.short_side, self.flip, self.refine, self.precision])

    @property
    def clusters(self) -> int:
        """How many classes it tells apart."""
        return len(self.card.classes)

    @property
    def scaling(self) -> Scaling:
        """How deep grey becomes 8 bits before it sees it."""
        return self.card.scaling

    @property
    def identity(self) -> dict[str, Any]:
        """What a report says of it, for JSON."""
        return {
            "sha256": self.model,
            "classes": self.clusters,
            "from_scratch": self.card.from_scratch,
            "short_side": self.short_side,
            "flip": self.flip,
            "refine": self.refine,
            "precision": self.precision,
            "summary": self.card.summary,
        }

    @property
    def palette(self) -> UInt8[np.ndarray, "k 3"]:
        """Red, green and blue of each class."""
        return np.array(self.card.palette, np.uint8).reshape(-1, 3)

    def prepare(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Prepared:
        """The image as the segmenter sees it."""
        return prepare_image(pixels, self.short_side, prior_side=self.segmenter.prior_side)

    def segment(self, images: Sequence[Prepared]) -> list[Tensor | None]:
        """Small probabilities of each prepared image, as `predict_small` gives them.

        Where memory does not do for all at once, fewer share a forward pass; None where it does not do for one.
        """
        if not images:
            return []
        options = {"flip": self.flip, "refine": self.refine, "precision": self.precision}
        try:
            return list(predict_small(self.segmenter, images, **options))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        if len(images) == 1:
            return [None]
        half = len(images) // 2
        return self.segment(images[:half]) + self.segment(images[half:])

    def choose(self, small: Tensor, size: tuple[int, int]) -> UInt16[np.ndarray, "H W"]:
        """The mask of one image, as `fs4 predict` writes it.

        Args:
            small: One of the results of `segment`.
            size: (height, width) of the image.
        """
        return choose_classes(small, size)[0]


def load_predictor(
    path: Path, *, device: torch.device, short_side: int | None, flip: bool, refine: bool, precision: Precision
) -> Predictor:
    """Load a model file.

    Args:
        path: Of the model.
        device: Where it works.
        short_side: At which it looks, in pixels; as it was trained if left out.
        flip: Average with the mirrored image.
        refine: Sharpen along the edges of the image.
        precision: Of its work.

    Raises:
        ProjectError: No such file, or no model of fs4.
    """
    segmenter, card = load_model(path, device)
    return Predictor(
        segmenter=segmenter,
        card=card,
        model=hash_file(path),
        short_side=short_side or card.short_side,
        flip=flip,
        refine=refine,
        precision=precision,
    )
