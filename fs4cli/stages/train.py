"""Pyramid pseudo-labels and pixels to a segmenter: rounds of assigning pixels and training on the assignment.

In: the pretrained network, the pyramid's labels, the cache. Out: `model.safetensors` with its card. Each round assigns
every pixel of every image to a cluster, then trains for a share of the steps; the first assignment comes from
clustering pixels, each later one from the segmenter that the round before made.

Follows: FS^4's abstract: a "bootstrapped training scheme" of pixel clustering and assignments under pyramid guidance.
Ours: what a round is, docs/method.md section 3.
"""

from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from fs4cli.config import Settings
from fs4cli.data.augment import choose_scale
from fs4cli.data.batches import BatchSource
from fs4cli.data.cache import ImageCache
from fs4cli.data.masks import make_palette
from fs4cli.files import hash_file
from fs4cli.model.device import Precision, choose_device, choose_precision
from fs4cli.model.extraction import measure_cues
from fs4cli.model.network import DenseNetwork, load_network
from fs4cli.model.segmenter import ModelCard, Segmenter, save_model
from fs4cli.planning.budget import measure_steps, plan_budget
from fs4cli.planning.facts import look_larger
from fs4cli.planning.stage import OpenedStage, close_stage, open_stage, whole
from fs4cli.progress import Progress
from fs4cli.project.project import Project
from fs4cli.project.record import recorded_value
from fs4cli.training.assigning import Assigner
from fs4cli.training.checkpoint import CheckpointFolder
from fs4cli.training.fit import FitResult
from fs4cli.training.picie import Picie, PicieOptions
from fs4cli.training.picie_rounds import Division, find_round, settle_centroids, train_in_rounds
from fs4cli.training.round_fit import FitRound, Schedule, add_up, make_round_fit
from fs4cli.training.rounds import Rounds
from fs4cli.training.segmentation import Segmentation, SegmentationOptions

ASSIGN_AT, PREDICT_AT = 1.5, 2.0
"""How much larger than the window images are looked at when pixels are assigned, and by the finished model: views were
enlarged nearly as much in training, and features lie closer together there."""


@dataclass(frozen=True)
class TrainResult:
    """What train made.

    Args:
        model: The file.
        classes: How many it tells apart.
        steps: Updates made, over all runs.
        seconds: Of this run's updates.
        health: Of the last round's assignment.
        is_new: False if the result was there already.
    """

    model: Path
    classes: int
    steps: int
    seconds: float
    health: dict[str, float]
    is_new: bool


@dataclass(frozen=True)
class _Trained:
    """A finished segmenter, the updates that made it, and how it divides the images."""

    segmenter: Segmenter
    result: FitResult
    division: Division


@dataclass
class _Bench:
    """What all rounds share."""

    project: Project
    settings: Settings
    cache: ImageCache
    device: torch.device
    precision: Precision
    short_side: int
    pyramid: list[tuple[int, Float32[np.ndarray, "n _ _"]]]
    progress: Progress


def run_train(project: Project, settings: Settings, *, progress: Progress, fresh: bool = False) -> TrainResult:
    """Train the segmenter, or go on where it stopped.

    Raises:
        ProjectError: An earlier stage has not finished, or the result is stale.
        Interrupted: A signal asked to stop; all is saved.
    """
    opened = open_stage(project, "train", settings, progress=progress, fresh=fresh)
    if opened.is_done:
        progress.say("train: done already")
        return TrainResult(model=project.model, is_new=False, **_shown(opened.record.summary))
    bench = _set_up(project, opened.settings, progress)
    if opened.settings.train.method == "fs4":
        opened, trained = _train_fs4(project, opened, bench, settings.budget)
    else:
        opened, trained = _train_baseline(project, opened, bench, settings.budget)
    summary = {
        "steps": trained.result.step,
        "images": len(bench.cache),
        "classes": whole(opened.settings.classes),
        "rounds": opened.settings.train.rounds,
        "health": trained.division.health.as_dict(),
        "shares": [round(float(share), 4) for share in trained.division.shares],
    }
    card = _describe(bench, trained.segmenter, summary)
    save_model(project.model, trained.segmenter, card)
    timing = {
        "seconds": round(trained.result.seconds, 1),
        "images_per_second": round(trained.result.images_per_second, 1),
        "breakdown": {part: round(seconds, 2) for part, seconds in trained.result.breakdown.items()},
    }
    close_stage(project, opened, outputs={"model": hash_file(project.model)}, summary=summary | timing)
    return TrainResult(model=project.model, is_new=True, **_shown(summary | timing))


def _train_fs4(
    project: Project, opened: OpenedStage, bench: _Bench, budget: str | None
) -> tuple[OpenedStage, _Trained]:
    chosen, assigner = bench.settings, _open_assigner(bench)
    rounds, first = Rounds(assigner), assigner.find_first(lambda: _load_network(bench))
    objective, source = _build_objective(bench, assigner), _open_batches(bench)
    rounds.teach(objective, first)
    opened = plan_budget(
        project,
        opened,
        budget=budget,
        seconds_per_step=lambda: measure_steps(objective, source, device=bench.device, precision=bench.precision),
    )
    bench.settings = opened.settings
    fit_until = _make_fit(bench, objective, source)
    parts, last, health = rounds.run(objective, first, rounds=chosen.train.rounds, fit_until=fit_until)
    return opened, _Trained(objective.average, add_up(parts), Division(health, last.shares))


def _train_baseline(
    project: Project, opened: OpenedStage, bench: _Bench, budget: str | None
) -> tuple[OpenedStage, _Trained]:
    """PiCIE, MDC or k-means: no pyramid, no cues, no context; the same network, images and budget."""
    chosen = opened.settings
    with torch.random.fork_rng():
        torch.manual_seed(chosen.seed)
        segmenter = _build_segmenter(bench, place=False, nearest=True)
    parts: list[FitResult] = []
    if chosen.train.method != "kmeans":
        options = PicieOptions(
            window=whole(chosen.train.window),
            crop=whole(chosen.train.crop),
            views=1 if chosen.train.method == "mdc" else 2,
            is_proportional=chosen.train.method == "picie-as-released",
        )
        objective, source = Picie(segmenter, options).to(bench.device), _open_batches(bench)
        opened = plan_budget(
            project,
            opened,
            budget=budget,
            seconds_per_step=partial(_measure_baseline, objective, source, bench),
        )
        bench.settings = opened.settings
        parts = train_in_rounds(
            objective,
            source,
            project.stage("train"),
            rounds=chosen.train.rounds,
            fit_until=_make_fit(bench, objective, source),
            progress=bench.progress,
            **_name_work(bench),
        )
    division = settle_centroids(
        segmenter,
        bench.cache,
        short_side=bench.short_side,
        seed=chosen.seed,
        device=bench.device,
        precision=bench.precision,
        progress=bench.progress,
    )
    return opened, _Trained(segmenter, add_up(parts), division)


def _measure_baseline(objective: Picie, source: BatchSource, bench: _Bench) -> float:
    objective.set_round(find_round(objective, source, number=1, **_name_work(bench)))
    return measure_steps(objective, source, device=bench.device, precision=bench.precision)


def _name_work(bench: _Bench) -> dict[str, Any]:
    return {
        "clusters": whole(bench.settings.classes),
        "seed": bench.settings.seed,
        "device": bench.device,
        "precision": bench.precision,
    }


def _set_up(project: Project, settings: Settings, progress: Progress) -> _Bench:
    device = choose_device(settings.device)
    grids = [int(grid) for grid in recorded_value(project, "cluster", "cluster.grids")]
    folder = project.stage("cluster")
    pyramid = [
        (grid, np.load(folder / f"level-{grid}" / "labels.npy", mmap_mode="c", allow_pickle=False)) for grid in grids
    ]
    cache = ImageCache.open(project.cache)
    return _Bench(
        project=project,
        settings=settings,
        cache=cache,
        device=device,
        precision=choose_precision(settings.precision, device),
        short_side=look_larger(whole(settings.train.window), ASSIGN_AT, cache.short_side),
        pyramid=pyramid,
        progress=progress,
    )


def _make_fit(bench: _Bench, objective: Segmentation | Picie, source: BatchSource) -> FitRound:
    train = bench.settings.train
    return make_round_fit(
        objective,
        source,
        Schedule(whole(train.steps), train.rounds, train.learning_rate),
        device=bench.device,
        precision=bench.precision,
        checkpoints=CheckpointFolder(bench.project.checkpoints("train")),
        checkpoint_every=train.checkpoint_every,
        metrics_path=bench.project.metrics("train"),
        progress=bench.progress,
        seed=bench.settings.seed,
    )


def _open_assigner(bench: _Bench) -> Assigner:
    chosen = bench.settings
    return Assigner(
        folder=bench.project.stage("train"),
        cache=bench.cache,
        pyramid=bench.pyramid,
        is_guided=chosen.train.pyramid,
        classes=whole(chosen.classes),
        grouping=chosen.train.grouping,
        refine=chosen.train.refine,
        short_side=bench.short_side,
        seed=chosen.seed,
        device=bench.device,
        precision=bench.precision,
        progress=bench.progress,
    )


def _build_objective(bench: _Bench, assigner: Assigner) -> Segmentation:
    chosen = bench.settings
    window, crop = whole(chosen.train.window), whole(chosen.train.crop)
    with torch.random.fork_rng():
        torch.manual_seed(chosen.seed)
        rule = assigner.rule if chosen.train.prior else None
        segmenter = _build_segmenter(
            bench, place=assigner.knows_place, has_prior=rule is not None, grids=assigner.grids
        )
        if segmenter.prior is not None and rule is not None:
            segmenter.prior.load_state_dict(rule)
        return Segmentation(
            segmenter,
            SegmentationOptions(window=window, crop=crop, scale=choose_scale(window, crop)),
            channels=chosen.model.channels,
            pyramid_labels=tuple(labels.shape[2] for _, labels in bench.pyramid) if chosen.train.pyramid else (),
        ).to(bench.device)


def _build_segmenter(
    bench: _Bench, *, place: bool, has_prior: bool = False, grids: tuple[int, ...] = (), nearest: bool = False
) -> Segmenter:
    """On the pretrained network; with the centroids of a baseline as its head, or with all that fs4 has."""
    chosen = bench.settings
    positions = np.linspace(0, len(bench.cache) - 1, min(len(bench.cache), 60)).astype(int).tolist()
    mean, std = measure_cues(bench.cache, positions, short_side=bench.short_side)
    return Segmenter(
        _load_network(bench),
        channels=chosen.model.channels,
        classes=whole(chosen.classes),
        context=chosen.train.context and not nearest,
        place=place,
        nearest=nearest,
        prior_side=bench.short_side if has_prior else 0,
        pyramid=grids,
        cue_mean=mean.tolist(),
        cue_std=std.tolist(),
    )


def _load_network(bench: _Bench) -> DenseNetwork:
    return load_network(bench.project.pretrained, bench.settings.model.backbone, bench.settings.model.channels)


def _open_batches(bench: _Bench) -> BatchSource:
    side, chosen = bench.cache.short_side, bench.settings
    return BatchSource(bench.cache, batch_size=whole(chosen.train.batch_size), window=(side, side), seed=chosen.seed)


def _describe(bench: _Bench, segmenter: Segmenter, summary: dict) -> ModelCard:
    classes = whole(bench.settings.classes)
    palette = make_palette(classes)
    return ModelCard(
        backbone=bench.settings.model.backbone,
        channels=bench.settings.model.channels,
        classes=tuple(f"class-{number}" for number in range(classes)),
        palette=tuple((int(red), int(green), int(blue)) for red, green, blue in palette),
        # a baseline is looked at as its centroids were found
        short_side=bench.short_side
        if segmenter.nearest
        else look_larger(whole(bench.settings.train.window), PREDICT_AT, bench.cache.short_side),
        context=segmenter.context is not None,
        place=segmenter.place,
        nearest=segmenter.nearest,
        prior_side=segmenter.prior_side,
        pyramid=() if segmenter.guidance is None else segmenter.guidance.grids,
        from_scratch=recorded_value(bench.project, "pretrain", "pretrain.weights") is None,
        summary={**summary, "seed": bench.settings.seed},
        versions={"fs4cli": version("fs4cli"), "torch": version("torch")},
    )


def _shown(summary: dict) -> dict:
    return {name: summary[name] for name in ("classes", "steps", "seconds", "health")}
