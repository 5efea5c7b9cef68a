"""A segmenter as one safetensors file that carries its own description.

In: a segmenter and its card, or a file. Out: the other. The file holds weights and a model card (architecture, classes,
palette, versions, training summary) and nothing that changes from run to run.
"""

import json
import struct
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from fs4cli.errors import ConfigError, ProjectError
from fs4cli.files import write_bytes, write_json
from fs4cli.model.network import build_network
from fs4cli.model.segmenter import KNOWN_CUES, Segmenter
from fs4cli.scaling import Scaling

FORMAT = 8
"""Grows when an older fs4 could not read the model any more."""

_OWN_SIDE_FORMAT = 6
"""From which on a model's rule is told of texture by a cell's own side of a border."""

_CARD = "fs4_card"

_BOUNDS = {"format": (1, FORMAT), "channels": (1, 4096), "short_side": (1, 16384)}
_MOST_CLASSES = 65_535
_MOST_CELLS = 1024


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
        prior_mapped: Whether the prior is told what usually lies at a place, not its row and column
            (`fs4cli.model.place_map`).
        pyramid: Cells per side of the levels that guide the pixels of whole images (PGG); none if nothing does.
        exposed: Whether it sees images in one light (`fs4cli.model.exposure`).
        scaling: How deep grey became 8 bits in its folder of images (`fs4cli.scaling.Scaling`).
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
    prior_mapped: bool = False
    pyramid: tuple[int, ...] = ()
    exposed: bool = False
    scaling: Scaling = ""
    from_scratch: bool = True
    summary: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT


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
        prior_mapped=card.prior_mapped,
        own_side=card.format >= _OWN_SIDE_FORMAT,
        pyramid=card.pyramid,
        exposed=card.exposed,
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
    if values.get("scaling", "") not in get_args(Scaling):
        raise ValueError("`scaling` is no way to make deep grey 8 bits")
    for name in ("context", "place", "nearest", "prior_mapped", "exposed", "from_scratch"):
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
