"""The parts as one model, built from flat numbers; saved as one safetensors file that carries its own description.

In: images in [0, 1]. Out: logits at stride 4, probabilities at full size. The file holds weights and a model card
(architecture, normalization, classes, palette, versions, training summary) and nothing that changes from run to run.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from fs4cli.errors import ConfigError, ProjectError
from fs4cli.files import write_bytes, write_json
from fs4cli.model.context_embedding import ContextAwareEmbedding
from fs4cli.model.cues import COLOUR_CUES, TEXTURE_CUES, find_cues, find_patterns
from fs4cli.model.extraction import STRIDE
from fs4cli.model.guidance import PyramidGuidance
from fs4cli.model.heads import CentroidHead
from fs4cli.model.network import DenseNetwork, build_network
from fs4cli.model.prior import PixelPrior

KNOWN_CUES = COLOUR_CUES + TEXTURE_CUES
"""What a segmenter is told of colour and texture; the rest it learns from the classes that came of it."""

FORMAT = 4
"""Grows when an older fs4 could not read the model any more."""

_CARD = "fs4_card"

_BOUNDS = {"format": (1, FORMAT), "channels": (1, 4096), "short_side": (1, 16384)}
_MOST_CLASSES = 65_535
_MOST_CELLS = 1024

_PLACE_UNITS = 4.0  # half an image is two units, about as far apart as cues lie


@dataclass(frozen=True)
class ModelCard:
    """All that is known of a model beside its weights.

    Args:
        backbone: A timm name.
        channels: Width of its dense features.
        classes: A name each; the position is the id in masks.
        palette: Red, green and blue of each class, 0 to 255.
        short_side: Short side of images, in pixels, at which it was trained and likes to look.
        context: Whether pixels are embedded with their neighbours (CAE).
        place: Whether it is told where in its image a pixel lies.
        nearest: Whether a pixel's class is the nearest of some centroids of dense features, as in the baselines.
        prior_side: Short side, in pixels, at which it asks what the first grouping says of an image (`PixelPrior`);
            0 if it does not.
        pyramid: Cells per side of the levels that guide the pixels of whole images (PGG); none if nothing does.
        from_scratch: Whether it started from random weights.
        summary: Of the training: images, steps, health.
        versions: Of fs4 and of what it was trained with.
    """

    backbone: str
    channels: int
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    short_side: int
    context: bool = True
    place: bool = False
    nearest: bool = False
    prior_side: int = 0
    pyramid: tuple[int, ...] = ()
    from_scratch: bool = True
    summary: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True)
class Embedded:
    """What the segmenter makes of images, before and after the last layer.

    Args:
        embedding: Of each pixel, with its neighbours taken in.
        weights: How much each pixel's neighbours rely on it; mean 1 over each image.
        logits: Of each class.
        attention: Over each pixel's neighbours; None without context.
    """

    embedding: Float[Tensor, "b c h w"]
    weights: Float[Tensor, "b h w"]
    logits: Float[Tensor, "b k h w"]
    attention: Float[Tensor, "b n h w"] | None


class Segmenter(nn.Module):
    """Dense network, cues, context-aware embedding and a class head.

    Args:
        network: Images to dense features; pretrained or not.
        channels: Width of its features and of the embedding.
        classes: How many logits.
        context: Whether to embed pixels with their neighbours.
        place: Whether to tell it where in its image a pixel lies: for images in which that means something. Views of a
            part of an image, as in training, do not show it.
        nearest: Whether the head compares the network's dense features with centroids (`CentroidHead`), and no cue,
            context or place is asked for: the baselines.
        prior_side: Short side, in pixels, at which whole images are asked what the first grouping says of them; 0 to
            leave that out.
        pyramid: Cells per side of the levels that guide the pixels of whole images (`PyramidGuidance`), coarse to
            fine; none to leave that out.
        cue_mean: Of each cue over the project's pixels.
        cue_std: Of the same.
    """

    cue_mean: Tensor
    cue_std: Tensor

    def __init__(
        self,
        network: DenseNetwork,
        *,
        channels: int,
        classes: int,
        context: bool,
        place: bool = False,
        nearest: bool = False,
        prior_side: int = 0,
        pyramid: Sequence[int] = (),
        cue_mean: list[float],
        cue_std: list[float],
    ):
        super().__init__()
        self.network = network
        self.classes = classes
        self.place = place
        width = channels + KNOWN_CUES + (2 if place else 0)
        self.fuse = nn.Sequential(nn.Conv2d(width, channels, 1), nn.ReLU(), nn.Conv2d(channels, channels, 1))
        self.context = ContextAwareEmbedding(channels) if context else None
        self.head = nn.Conv2d(channels, classes, 1)
        if nearest:
            if context or place:
                raise ValueError("centroids of dense features know no context and no place")
            self.fuse, self.head = nn.Sequential(), CentroidHead(channels, classes)
        self.nearest = nearest
        self.prior_side = prior_side
        self.prior = PixelPrior(classes) if prior_side else None
        self.guidance = PyramidGuidance(classes, pyramid) if pyramid else None
        self.register_buffer("cue_mean", torch.tensor(cue_mean).view(1, KNOWN_CUES, 1, 1))
        self.register_buffer("cue_std", torch.tensor([max(value, 1e-3) for value in cue_std]).view(1, KNOWN_CUES, 1, 1))

    def embed(self, images: Float[Tensor, "b 3 H W"], places: Float[Tensor, "_ h w 2"] | None = None) -> Embedded:
        """All that the losses need; maps at stride 4.

        Args:
            images: In [0, 1]; height and width multiples of 32.
            places: Of each pixel at stride 4 in its whole image, as (x, y) in [0, 1]; of whole images if left out.
        """
        features = self.network(images)
        if self.nearest:
            return Embedded(features, torch.ones_like(features[:, 0]), self.head(features), None)
        cues = ((find_cues(images, STRIDE) - self.cue_mean) / self.cue_std).clamp(-5, 5)
        parts = [features, cues.to(features.dtype)]
        if self.place:
            if places is None:
                places = locate_whole((features.shape[2], features.shape[3]), device=images.device)
            centred = ((places - 0.5) * _PLACE_UNITS).permute(0, 3, 1, 2)
            parts.append(centred.to(features.dtype).expand(len(images), -1, -1, -1))
        embedding = self.fuse(torch.cat(parts, 1))
        attention = None
        weights = torch.ones_like(cues[:, 0])
        if self.context is not None:
            embedding, weights, attention = self.context(embedding, cues[:, :COLOUR_CUES])
        return Embedded(embedding, weights, self.head(F.relu(embedding)).float(), attention)

    def forward(
        self,
        images: Float[Tensor, "b 3 H W"],
        *,
        ruled: Float[Tensor, "b 3 _ _"] | None = None,
        is_mirrored: bool = False,
    ) -> Float[Tensor, "b k h w"]:
        """Logits at stride 4 of whole images; with a pyramid, of pixels that it guides.

        Args:
            images: In [0, 1]; height and width multiples of 32.
            ruled: The same images for the prior, if they are sharper than `images` shrunk to its side would be.
            is_mirrored: They are left-right mirror images of what was photographed.
        """
        logits = self.judge_alone(images, ruled=ruled, is_mirrored=is_mirrored)
        return logits if self.guidance is None else self.guidance(logits)

    def judge_alone(
        self,
        images: Float[Tensor, "b 3 H W"],
        *,
        ruled: Float[Tensor, "b 3 _ _"] | None = None,
        is_mirrored: bool = False,
    ) -> Float[Tensor, "b k h w"]:
        """Logits as in `forward`, before the pyramid guides them; with a prior, of the product of both."""
        size = (images.shape[2] // STRIDE, images.shape[3] // STRIDE)
        places = locate_whole(size, device=images.device, is_mirrored=is_mirrored)
        logits = self.embed(images, places).logits
        if self.prior is None:
            return logits
        found = self._ask_prior(self.prior, images if ruled is None else ruled, is_mirrored)
        return F.log_softmax(logits, 1) + F.interpolate(found, size, mode="bilinear", align_corners=False)

    def _ask_prior(
        self, prior: PixelPrior, images: Float[Tensor, "b 3 H W"], is_mirrored: bool
    ) -> Float[Tensor, "b k _ _"]:
        """At the size at which the grouping was made: its rule is about textures of that size."""
        height, width = images.shape[2:]
        scale = min(1.0, self.prior_side / min(height, width))
        size = tuple(max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (height, width))
        if size != (height, width):
            images = F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
        cues = torch.cat([find_cues(images, STRIDE), find_patterns(images, STRIDE)], 1)
        return prior(cues, is_mirrored=is_mirrored)

    @torch.inference_mode()
    def probabilities(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b k H W"]:
        """Probabilities at the images' own size, summing to 1 over k.

        Args:
            images: In [0, 1]; height and width multiples of 32.
        """
        logits = F.interpolate(self(images), images.shape[2:], mode="bilinear", align_corners=False)
        return torch.softmax(logits, dim=1)


def locate_whole(size: tuple[int, int], *, device: torch.device, is_mirrored: bool = False) -> Float[Tensor, "1 h w 2"]:
    """The place of each pixel of a whole image's map, as (x, y) in [0, 1].

    Args:
        size: (height, width) of the map.
        device: Where to make it.
        is_mirrored: Count x from the right.
    """
    ys, xs = ((torch.arange(length, device=device) + 0.5) / length for length in size)
    if is_mirrored:
        xs = xs.flip(0)
    return torch.stack(torch.meshgrid(ys, xs, indexing="ij")[::-1], dim=-1)[None]


def build_segmenter(card: ModelCard) -> Segmenter:
    """A segmenter of that description with random weights, from torch's current random state."""
    network = build_network(card.backbone, card.channels, mean=[0.5] * 3, std=[0.25] * 3)
    return Segmenter(
        network,
        channels=card.channels,
        classes=len(card.classes),
        context=card.context,
        place=card.place,
        nearest=card.nearest,
        prior_side=card.prior_side,
        pyramid=card.pyramid,
        cue_mean=[0.0] * KNOWN_CUES,
        cue_std=[1.0] * KNOWN_CUES,
    )


def save_model(path: Path, segmenter: Segmenter, card: ModelCard) -> None:
    """Write `path` (safetensors, the card inside) and the card again as JSON beside it, for people.

    The bytes depend on weights and card alone.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in sorted(segmenter.state_dict().items())}
    text = json.dumps(asdict(card), sort_keys=True, ensure_ascii=False)
    write_bytes(path, save(weights, metadata={_CARD: text}))
    write_json(path.with_suffix(".json"), asdict(card))


def read_card(path: Path) -> ModelCard:
    """The card inside a model file; the weights are not read.

    Raises:
        ProjectError: No such file, no model of fs4, or one of a newer format.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > 16 * 2**20:
                raise ValueError("its header is too long")
            values = json.loads(json.loads(file.read(length))["__metadata__"][_CARD])
        if values["format"] > FORMAT:
            raise ProjectError(
                f"model `{path}` was written by a newer fs4 (format {values['format']})", hints=("update fs4",)
            )
        _check_card(values)
        values["classes"] = tuple(values["classes"])
        values["pyramid"] = tuple(values.get("pyramid", ()))
        values["palette"] = tuple((red, green, blue) for red, green, blue in values["palette"])
        return ModelCard(**values)
    except FileNotFoundError:
        raise ProjectError(
            f"there is no model `{path}`", hints=("run `fs4 train`, or name a model file with `--model`",)
        ) from None
    except (OSError, ValueError, KeyError, TypeError, struct.error, RecursionError) as error:
        raise ProjectError(
            f"`{path}` is no model of fs4: {error}", hints=("train again, or restore the file from a copy",)
        ) from error


def _check_card(values: dict[str, Any]) -> None:
    """Raises ValueError, TypeError or KeyError if what a model file says of itself cannot be."""
    for name, (least, most) in _BOUNDS.items():
        value = values[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"`{name}` is no whole number from {least} to {most}")
    side = values.get("prior_side", 0)
    if isinstance(side, bool) or not isinstance(side, int) or not 0 <= side <= _BOUNDS["short_side"][1]:
        raise ValueError("`prior_side` is no size in pixels")
    grids = values.get("pyramid", [])
    if not isinstance(grids, list) or not all(type(grid) is int and 1 <= grid <= _MOST_CELLS for grid in grids):
        raise ValueError(f"`pyramid` is no list of whole numbers from 1 to {_MOST_CELLS}")
    for name in ("context", "place", "nearest", "from_scratch"):
        if not isinstance(values.get(name, False), bool):
            raise ValueError(f"`{name}` is neither true nor false")
    for name, kind in (("classes", list), ("palette", list), ("summary", dict), ("versions", dict), ("backbone", str)):
        if not isinstance(values.get(name, kind()), kind):
            raise ValueError(f"`{name}` is not as fs4 writes it")
    classes, palette = values["classes"], values["palette"]
    if not 1 <= len(classes) <= _MOST_CLASSES or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"`classes` are not 1 to {_MOST_CLASSES} names")
    if len(palette) != len(classes) or not all(_is_colour(colour) for colour in palette):
        raise ValueError("`palette` has not one colour of three numbers from 0 to 255 for each class")


def _is_colour(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255 for part in value)
    )


def load_model(path: Path, device: torch.device) -> tuple[Segmenter, ModelCard]:
    """A saved model, ready to predict on `device`.

    Raises:
        ProjectError: No such file, cut short, or no model of fs4.
    """
    card = read_card(path)
    try:
        segmenter = build_segmenter(card)
        segmenter.load_state_dict(load_file(path))
    except (SafetensorError, ConfigError, RuntimeError, OSError, KeyError, TypeError, ValueError) as error:
        raise ProjectError(
            f"the weights in `{path}` cannot be read: {error}", hints=("train again, or restore the file from a copy",)
        ) from error
    segmenter.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return segmenter.eval(), card
