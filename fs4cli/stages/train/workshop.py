"""What every way of training works with: the images, the pretrained network, the machine, and what fits until a round.

In: a project whose earlier stages are done, and settings without any `auto`. Out: segmenters to train, and their
training until the end of a round.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from fs4cli.clustering.health import Division
from fs4cli.config import Settings
from fs4cli.data.batches import BatchSource, Images
from fs4cli.data.cache import ImageCache
from fs4cli.data.chosen import choose_images
from fs4cli.model.device import Precision, choose_device, choose_precision
from fs4cli.model.exposure import Exposure
from fs4cli.model.extraction import measure_cues
from fs4cli.model.network import DenseNetwork, load_network
from fs4cli.model.segmenter import Segmenter
from fs4cli.planning.facts import ASSIGN_AT, look_larger
from fs4cli.planning.stage import whole
from fs4cli.progress import Progress
from fs4cli.project.project import Project
from fs4cli.project.record import recorded_value
from fs4cli.training.checkpoint import CheckpointFolder
from fs4cli.training.exposing import expose
from fs4cli.training.fit import FitResult, fit
from fs4cli.training.round_fit import FitRound, Schedule, make_round_fit
from fs4cli.training.schedule import build_optimizer

WEIGHT_DECAY = 1e-2

_SEEN_FOR_CUES = 60
"""Images that the spread of cues is measured on."""


@dataclass(frozen=True)
class Trained:
    """What a way of training comes to.

    Args:
        segmenter: Finished.
        result: Of all updates that made it.
        division: How it divides the images.
    """

    segmenter: Segmenter
    result: FitResult
    division: Division


@dataclass(frozen=True)
class Workshop:
    """What there is to work with.

    Args:
        project: Whose.
        settings: Without any `auto`, but for the steps, where the budget is still to set them.
        taken: The images that are learned from, as they were taken.
        cache_side: Short side of the decoded copies, in pixels.
        device: Where to work.
        precision: Of the network's work.
        short_side: Of images whose pixels are assigned, in pixels.
        pyramid: Of each level its grid and the soft labels of every image's cells.
        progress: Told what happens; asked whether to save or stop.
        exposure: What sees the images in one light; None if they are learned from as they are.
    """

    project: Project
    settings: Settings
    taken: Images
    cache_side: int
    device: torch.device
    precision: Precision
    short_side: int
    pyramid: list[tuple[int, Float32[np.ndarray, "n _ _"]]]
    progress: Progress
    exposure: Exposure | None = None

    @property
    def images(self) -> Images:
        """As they are learned from."""
        return expose(self.taken, self.exposure)

    @property
    def classes(self) -> int:
        """How many there are to be."""
        return whole(self.settings.classes)

    def load_pretrained(self) -> DenseNetwork:
        """The network as pretrain left it."""
        model = self.settings.model
        return load_network(self.project.pretrained, model.backbone, model.channels)

    def build_segmenter(
        self,
        *,
        place: bool,
        has_prior: bool = False,
        is_mapped: bool = False,
        grids: tuple[int, ...] = (),
        nearest: bool = False,
    ) -> Segmenter:
        """On the pretrained network, with random weights behind it from torch's current random state.

        Args:
            place: Whether it is told where in its image a pixel lies.
            has_prior: Whether it has room for the first grouping's rule.
            is_mapped: Whether that rule is told what usually lies at a place, not its row and column.
            grids: Cells per side of the levels that guide whole images; none for no guidance.
            nearest: Whether its head is the centroids of a baseline; then it has no context.
        """
        positions = np.linspace(0, len(self.taken) - 1, min(len(self.taken), _SEEN_FOR_CUES)).astype(int).tolist()
        mean, std = measure_cues(self.images, positions, short_side=self.short_side)
        segmenter = Segmenter(
            self.load_pretrained(),
            channels=self.settings.model.channels,
            classes=self.classes,
            context=self.settings.train.context and not nearest,
            place=place,
            nearest=nearest,
            prior_side=self.short_side if has_prior else 0,
            prior_mapped=is_mapped,
            pyramid=grids,
            exposed=self.exposure is not None,
            cue_mean=mean.tolist(),
            cue_std=std.tolist(),
        )
        if segmenter.exposure is not None and self.exposure is not None:
            segmenter.exposure.load_state_dict(self.exposure.state_dict())
        return segmenter

    def open_batches(self) -> BatchSource:
        """Windows of the images, as large as they are cached."""
        side = self.cache_side
        size = whole(self.settings.train.batch_size)
        return BatchSource(self.images, batch_size=size, window=(side, side), seed=self.settings.seed)

    def make_fit(self, objective: nn.Module, source: BatchSource) -> FitRound:
        """What trains the objective until the end of a round; the steps have been planned."""
        train, schedule = self.settings.train, self._plan_rounds()
        optimizer = build_optimizer(objective, learning_rate=train.learning_rate, weight_decay=WEIGHT_DECAY)
        fit_on = partial(
            fit,
            objective,
            optimizer,
            batches=source,
            device=self.device,
            precision=self.precision,
            checkpoints=self._checkpoints,
            checkpoint_every=train.checkpoint_every,
            metrics_path=self.project.metrics("train"),
            progress=self.progress,
            name="train",
            seed=self.settings.seed,
        )
        return make_round_fit(fit_on, optimizer, schedule)

    def find_round(self) -> int:
        """The round that training is in, counted from 1, by its newest checkpoint; the steps have been planned.

        Raises:
            ProjectError: No checkpoint is whole.
        """
        return self._plan_rounds().round_at(self._checkpoints.newest_step())

    def _plan_rounds(self) -> Schedule:
        train = self.settings.train
        return Schedule(whole(train.steps), train.rounds, train.learning_rate)

    @property
    def _checkpoints(self) -> CheckpointFolder:
        return CheckpointFolder(self.project.checkpoints("train"))


def open_workshop(project: Project, settings: Settings, progress: Progress) -> Workshop:
    """All that training reads, opened.

    Args:
        project: Whose cluster stage is done.
        settings: See `Workshop`.
        progress: See `Workshop`.

    Raises:
        ResourceError: There is no such device.
    """
    device = choose_device(settings.device)
    grids = [int(grid) for grid in recorded_value(project, "cluster", "cluster.grids")]
    folder = project.stage("cluster")
    pyramid = [
        (grid, np.load(folder / f"level-{grid}" / "labels.npy", mmap_mode="c", allow_pickle=False)) for grid in grids
    ]
    cache = ImageCache.open(project.cache)
    return Workshop(
        project=project,
        settings=settings,
        taken=choose_images(
            cache,
            recorded_value(project, "cluster", "cluster.images"),  # none is on record where cluster is of an older fs4
            seed=recorded_value(project, "cluster", "seed"),
        ),
        cache_side=cache.short_side,
        device=device,
        precision=choose_precision(settings.precision, device),
        short_side=look_larger(whole(settings.train.window), ASSIGN_AT, cache.short_side),
        pyramid=pyramid,
        progress=progress,
    )
