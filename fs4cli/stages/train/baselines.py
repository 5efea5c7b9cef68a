"""PiCIE, MDC or k-means: no pyramid, no cues, no context; the same network, images and budget.

In: a workshop. Out: the trained network with centroids as its last layer.

Follows: PiCIE (Cho et al. 2021) and what it compares itself with; docs/method.md section 6.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import torch

from fs4cli.data.batches import BatchSource
from fs4cli.planning.budget import measure_steps, plan_budget
from fs4cli.planning.stage import OpenedStage, whole
from fs4cli.stages.train.workshop import Trained, Workshop
from fs4cli.training.fit import FitResult
from fs4cli.training.picie import Picie, PicieOptions
from fs4cli.training.picie_rounds import find_round, settle_centroids, train_in_rounds
from fs4cli.training.round_fit import add_up


def train_baseline(opened: OpenedStage, shop: Workshop, budget: str | None) -> tuple[OpenedStage, Trained]:
    """Train, or go on where it stopped.

    Args:
        opened: The stage.
        shop: What to work with.
        budget: Wall-clock time of the whole job, as in the settings; None for the planned steps.

    Returns:
        The stage with its steps planned, and what was trained.

    Raises:
        Interrupted: A signal asked to stop; all is saved.
        ProjectError: What an earlier run left cannot be read.
    """
    chosen = opened.settings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(chosen.seed)
        segmenter = shop.build_segmenter(place=False, nearest=True)
    parts: list[FitResult] = []
    if chosen.train.method != "kmeans":
        options = PicieOptions(
            window=whole(chosen.train.window),
            crop=whole(chosen.train.crop),
            views=1 if chosen.train.method == "mdc" else 2,
            is_proportional=chosen.train.method == "picie-as-released",
        )
        objective, source = Picie(segmenter, options).to(shop.device), shop.open_batches()
        opened = plan_budget(
            shop.project, opened, budget=budget, seconds_per_step=partial(_measure_steps, objective, source, shop)
        )
        parts = train_in_rounds(
            objective,
            source,
            shop.project.stage("train"),
            rounds=chosen.train.rounds,
            fit_until=replace(shop, settings=opened.settings).make_fit(objective, source),
            progress=shop.progress,
            **_name_work(shop),
        )
    division = settle_centroids(
        segmenter,
        shop.taken,
        short_side=shop.short_side,
        seed=chosen.seed,
        device=shop.device,
        precision=shop.precision,
        progress=shop.progress,
    )
    return opened, Trained(segmenter, add_up(parts), division)


def _measure_steps(objective: Picie, source: BatchSource, shop: Workshop) -> float:
    objective.set_round(find_round(objective, source, number=1, **_name_work(shop)))
    return measure_steps(objective, source, device=shop.device, precision=shop.precision)


def _name_work(shop: Workshop) -> dict[str, Any]:
    return {"clusters": shop.classes, "seed": shop.settings.seed, "device": shop.device, "precision": shop.precision}
