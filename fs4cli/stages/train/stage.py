"""Pyramid pseudo-labels and pixels to a segmenter: rounds of assigning pixels and training on the assignment.

In: the pretrained network, the pyramid's labels, the cache. Out: `model.safetensors` with its card. Each round assigns
every pixel of every image to a cluster, then trains for a share of the steps; the first assignment comes from
clustering pixels, each later one from the segmenter that the round before made.

Follows: FS^4's abstract: a "bootstrapped training scheme" of pixel clustering and assignments under pyramid guidance.
Ours: what a round is, docs/method.md section 3.
"""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from fs4cli.clustering.health import explain_unused
from fs4cli.config import Settings
from fs4cli.data.masks import make_palette
from fs4cli.files import hash_file
from fs4cli.model.model_file import ModelCard, save_model
from fs4cli.model.segmenter import Segmenter
from fs4cli.planning.facts import look_larger
from fs4cli.planning.stage import close_stage, open_stage, whole
from fs4cli.progress import Progress
from fs4cli.project.project import Project
from fs4cli.project.record import read_record, recorded_value
from fs4cli.scaling import Scaling
from fs4cli.stages.train.baselines import train_baseline
from fs4cli.stages.train.fs4 import train_fs4
from fs4cli.stages.train.workshop import Workshop, open_workshop

PREDICT_AT = 2.0
"""How much larger than the window the finished model looks at images; why, says `planning.facts.ASSIGN_AT`."""


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
    shop = open_workshop(project, opened.settings, progress)
    train = train_fs4 if opened.settings.train.method == "fs4" else train_baseline
    opened, trained = train(opened, shop, settings.budget)
    summary = {
        "steps": trained.result.step,
        "images": len(shop.taken),
        "classes": shop.classes,
        "rounds": opened.settings.train.rounds,
        "health": trained.division.health.as_dict(),
        "shares": [round(float(share), 4) for share in trained.division.shares],
    }
    card = _describe(shop, trained.segmenter, summary)
    save_model(project.model, trained.segmenter, card)
    timing = {
        "seconds": round(trained.result.seconds, 1),
        "images_per_second": round(trained.result.images_per_second, 1),
        "breakdown": {part: round(seconds, 2) for part, seconds in trained.result.breakdown.items()},
    }
    close_stage(project, opened, outputs={"model": hash_file(project.model)}, summary=summary | timing)
    if unused := explain_unused(trained.division.shares):
        progress.warn(unused)
    return TrainResult(model=project.model, is_new=True, **_shown(summary | timing))


def _describe(shop: Workshop, segmenter: Segmenter, summary: dict) -> ModelCard:
    palette = make_palette(shop.classes)
    return ModelCard(
        backbone=shop.settings.model.backbone,
        channels=shop.settings.model.channels,
        classes=tuple(f"class-{number}" for number in range(shop.classes)),
        palette=tuple((int(red), int(green), int(blue)) for red, green, blue in palette),
        # a baseline is looked at as its centroids were found
        short_side=shop.short_side
        if segmenter.nearest
        else look_larger(whole(shop.settings.train.window), PREDICT_AT, shop.cache_side),
        context=segmenter.context is not None,
        place=segmenter.place,
        nearest=segmenter.nearest,
        prior_side=segmenter.prior_side,
        prior_mapped=segmenter.prior is not None and segmenter.prior.places is not None,
        pyramid=() if segmenter.guidance is None else segmenter.guidance.grids,
        exposed=segmenter.exposure is not None,
        scaling=_read_scaling(shop.project),
        from_scratch=recorded_value(shop.project, "pretrain", "pretrain.weights") is None,
        summary={**summary, "seed": shop.settings.seed},
        versions={"fs4cli": version("fs4cli"), "torch": version("torch")},
    )


def _read_scaling(project: Project) -> Scaling:
    """How ingest made deep grey 8 bits."""
    record = read_record(project, "ingest")
    return "" if record is None else record.outputs.get("scaling", "")


def _shown(summary: dict) -> dict:
    return {name: summary[name] for name in ("classes", "steps", "seconds", "health")}
