"""FS^4: pixels are grouped, then learned, then assigned anew, under the pyramid's guidance.

In: a workshop. Out: the average of the trained segmenters.

Follows: FS^4's abstract: a "bootstrapped training scheme" of pixel clustering and assignments under pyramid guidance.
Ours: what a round is, docs/method.md section 3.
"""

from dataclasses import replace

import torch

from fs4cli.clustering.health import Division
from fs4cli.data.augment import choose_scale
from fs4cli.planning.budget import measure_steps, plan_budget
from fs4cli.planning.stage import OpenedStage, whole
from fs4cli.stages.train.workshop import Trained, Workshop
from fs4cli.training.assigning import Assigner
from fs4cli.training.exposing import settle_exposure
from fs4cli.training.round_fit import add_up
from fs4cli.training.rounds import Rounds
from fs4cli.training.segmentation import OTHER_LIGHT, OWN_LIGHT, Segmentation, SegmentationOptions


def train_fs4(opened: OpenedStage, shop: Workshop, budget: str | None) -> tuple[OpenedStage, Trained]:
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
    shop = _expose(shop)
    assigner = _open_assigner(shop)
    rounds, first = Rounds(assigner), assigner.find_first(shop.load_pretrained)
    objective, source = _build_objective(shop, assigner), shop.open_batches()
    rounds.teach(objective, first)
    opened = plan_budget(
        shop.project,
        opened,
        budget=budget,
        seconds_per_step=lambda: measure_steps(objective, source, device=shop.device, precision=shop.precision),
        seconds_after=lambda: (shop.settings.train.rounds - 1) * assigner.foretell_seconds(objective.average),
        warn=shop.progress.warn,
    )
    shop = replace(shop, settings=opened.settings)
    parts, last, health = rounds.run(
        objective,
        first,
        rounds=opened.settings.train.rounds,
        fit_until=shop.make_fit(objective, source),
        begun=shop.find_round(),
    )
    return opened, Trained(objective.average, add_up(parts), Division(health, last.shares))


def _expose(shop: Workshop) -> Workshop:
    """The workshop, with its images in one light where they have one in common."""
    if not shop.settings.train.exposure:
        return shop
    folder = shop.project.stage("train")
    exposure = settle_exposure(
        folder / "exposure.json",
        shop.taken,
        is_begun=(folder / "round-1").exists(),
        classes=shop.classes,
        short_side=shop.short_side,
        seed=shop.settings.seed,
    )
    if exposure is not None:
        shop.progress.say("train: images show the same things in the same places: all are seen in one light")
    return replace(shop, exposure=exposure)


def _open_assigner(shop: Workshop) -> Assigner:
    chosen = shop.settings
    return Assigner(
        folder=shop.project.stage("train"),
        images=shop.images,
        is_exposed=shop.exposure is not None,
        pyramid=shop.pyramid,
        is_guided=chosen.train.pyramid,
        classes=shop.classes,
        grouping=chosen.train.grouping,
        refine=chosen.train.refine,
        short_side=shop.short_side,
        seed=chosen.seed,
        device=shop.device,
        precision=shop.precision,
        progress=shop.progress,
    )


def _build_objective(shop: Workshop, assigner: Assigner) -> Segmentation:
    chosen = shop.settings
    window, crop = whole(chosen.train.window), whole(chosen.train.crop)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(chosen.seed)
        rule = assigner.rule if chosen.train.prior else None
        segmenter = shop.build_segmenter(
            place=assigner.knows_place,
            has_prior=rule is not None,
            is_mapped=rule is not None and "places.values" in rule,
            grids=assigner.grids,
        )
        if segmenter.prior is not None and rule is not None:
            segmenter.prior.load_state_dict(rule)
        return Segmentation(
            segmenter,
            SegmentationOptions(
                window=window,
                crop=crop,
                scale=choose_scale(window, crop),
                photometry=OTHER_LIGHT if assigner.is_doubted else OWN_LIGHT,
            ),
            channels=chosen.model.channels,
            pyramid_labels=tuple(labels.shape[2] for _, labels in shop.pyramid) if chosen.train.pyramid else (),
        ).to(shop.device)
