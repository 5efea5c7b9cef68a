"""Index to pretrained weights: the dense network learns from the cached images alone.

In: the cache. Out: `network.safetensors`, the average of the students, and `record.json`.
"""

import json
import pickle
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from fs4cli.config import Settings
from fs4cli.data.augment import choose_scale
from fs4cli.data.batches import BatchSource
from fs4cli.data.cache import ImageCache
from fs4cli.errors import InputError
from fs4cli.files import hash_file, write_bytes
from fs4cli.model.device import choose_device, choose_precision
from fs4cli.model.network import DenseNetwork, build_network
from fs4cli.planning.budget import measure_steps, plan_budget
from fs4cli.planning.stage import close_stage, open_stage, whole
from fs4cli.progress import Progress
from fs4cli.project.project import Project
from fs4cli.training.checkpoint import CheckpointFolder
from fs4cli.training.fit import fit
from fs4cli.training.pretext import Pretext, PretextOptions
from fs4cli.training.schedule import build_optimizer, learning_rate_at


@dataclass(frozen=True)
class PretrainResult:
    """What pretrain made.

    Args:
        weights: The file.
        steps: Updates made, over all runs.
        seconds: Of this run.
        images_per_second: Of this run.
        from_scratch: Whether it started from random weights.
        is_new: False if the result was there already.
    """

    weights: Path
    steps: int
    seconds: float
    images_per_second: float
    from_scratch: bool
    is_new: bool


def run_pretrain(project: Project, settings: Settings, *, progress: Progress, fresh: bool = False) -> PretrainResult:
    """Pretrain the dense network, or go on where it stopped.

    Raises:
        ProjectError: ingest has not finished, or the result is stale.
        InputError: `pretrain.weights` does not fit the backbone.
        Interrupted: A signal asked to stop; all is saved.
    """
    opened = open_stage(project, "pretrain", settings, progress=progress, fresh=fresh)
    if opened.is_done:
        progress.say("pretrain: done already")
        return _report(project, opened.record.summary, is_new=False)
    cache = ImageCache.open(project.cache)
    device = choose_device(opened.settings.device)
    precision = choose_precision(opened.settings.precision, device)
    objective = _build_objective(opened.settings, cache).to(device)
    optimizer = build_optimizer(objective, learning_rate=opened.settings.pretrain.learning_rate, weight_decay=1e-2)
    chosen = opened.settings.pretrain
    side, seed = cache.short_side, opened.settings.seed
    source = BatchSource(cache, batch_size=whole(chosen.batch_size), window=(side, side), seed=seed)
    opened = plan_budget(
        project,
        opened,
        budget=settings.budget,
        seconds_per_step=partial(measure_steps, objective, source, device=device, precision=precision),
    )
    chosen = opened.settings.pretrain
    steps = whole(chosen.steps)
    result = fit(
        objective,
        optimizer,
        batches=source,
        steps=steps,
        learning_rate=lambda step: learning_rate_at(step, steps, chosen.learning_rate),
        device=device,
        precision=precision,
        checkpoints=CheckpointFolder(project.checkpoints("pretrain")),
        checkpoint_every=chosen.checkpoint_every,
        metrics_path=project.metrics("pretrain"),
        progress=progress,
        name="pretrain",
        seed=seed,
    )
    _save_network(project.pretrained, objective.teacher.network)
    summary = {
        "steps": steps,
        "images": len(cache),
        "seconds": round(result.seconds, 1),
        "images_per_second": round(result.images_per_second, 1),
        "breakdown": {part: round(seconds, 2) for part, seconds in result.breakdown.items()},
        "from_scratch": chosen.weights is None,
    }
    close_stage(project, opened, outputs={"network": hash_file(project.pretrained)}, summary=summary)
    return _report(project, summary, is_new=True)


def measure_pixels(cache: ImageCache, *, seed: int, images: int = 200) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel in [0, 1], over a sample of the images."""
    random = np.random.default_rng([seed, 17])
    chosen = np.sort(random.permutation(len(cache))[:images])
    rows = [np.asarray(cache[int(position)][::4, ::4]).reshape(-1, 3) / 255 for position in chosen]
    pixels = np.concatenate(rows)
    return pixels.mean(0).tolist(), pixels.std(0).tolist()


def _build_objective(settings: Settings, cache: ImageCache) -> Pretext:
    mean, std = measure_pixels(cache, seed=settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = build_network(settings.model.backbone, settings.model.channels, mean=mean, std=std)
        if settings.pretrain.weights is not None:
            _load_foreign(network, Path(settings.pretrain.weights))
        window, crop = whole(settings.pretrain.window), whole(settings.pretrain.crop)
        options = PretextOptions(window=window, crop=crop, scale=choose_scale(window, crop))
        return Pretext(network, options, channels=settings.model.channels)


def _load_foreign(network: DenseNetwork, path: Path) -> None:
    """Start from somebody's own self-supervised weights for the backbone: a local file, nothing is downloaded."""
    weights = _read_weights(path)
    body = network.backbone.network
    own = set(body.state_dict())
    known = {name.removeprefix("backbone.").removeprefix("module."): value for name, value in weights.items()}
    fitting = {name: value for name, value in known.items() if name in own}
    if len(fitting) < 0.9 * len(own):
        raise InputError(
            f"`{path}` fits only {len(fitting)} of the backbone's {len(own)} weights",
            hints=("set `model.backbone` to the timm model that the weights are for",),
        )
    try:
        body.load_state_dict(fitting, strict=False)
    except RuntimeError as error:
        raise InputError(f"`{path}` does not fit the backbone: {error}", hints=("check `model.backbone`",)) from error


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        weights: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
        if isinstance(weights, dict):
            weights = weights.get("state_dict", weights)
        if not isinstance(weights, dict):
            raise ValueError("it is no table of weights")
        return {name: value for name, value in weights.items() if isinstance(value, torch.Tensor)}
    except FileNotFoundError:
        raise InputError(f"there is no weights file `{path}`", hints=("check `pretrain.weights`",)) from None
    except pickle.UnpicklingError as error:  # torch's own text goes on to say how to run what is in it
        reason, cause = "it holds other things than tensors", error
    except (SafetensorError, RuntimeError, ValueError, EOFError, OSError) as error:
        reason, cause = f"{error}".splitlines()[0] if str(error) else "it is empty", error
    raise InputError(
        f"`{path}` holds no weights that can be read safely: {reason}", hints=("save them as safetensors",)
    ) from cause


def _save_network(path: Path, network: DenseNetwork) -> None:
    weights = {name: value.detach().cpu().contiguous() for name, value in sorted(network.state_dict().items())}
    write_bytes(path, save(weights, metadata={"format": json.dumps(1)}))


def _report(project: Project, summary: dict, *, is_new: bool) -> PretrainResult:
    return PretrainResult(
        weights=project.pretrained,
        steps=summary["steps"],
        seconds=summary["seconds"],
        images_per_second=summary["images_per_second"],
        from_scratch=summary["from_scratch"],
        is_new=is_new,
    )
