"""Training a part of the way: until the end of a round, however often it was stopped, as one run with one schedule.

In: an objective, batches and a schedule. Out: a function that trains until a round's last update, and what the rounds
of a run did together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from fs4cli.data.batches import BatchSource
from fs4cli.model.device import Precision
from fs4cli.progress import Progress
from fs4cli.training.checkpoint import CheckpointFolder
from fs4cli.training.fit import FitResult, fit
from fs4cli.training.schedule import build_optimizer, learning_rate_at

WEIGHT_DECAY = 1e-2


@dataclass(frozen=True)
class Schedule:
    """How training is divided.

    Args:
        steps: Updates in all rounds together.
        rounds: How many; each has as many updates as the others, give or take one.
        learning_rate: The highest; it rises and falls once, over all rounds.
    """

    steps: int
    rounds: int
    learning_rate: float

    def end_of(self, number: int) -> int:
        """Updates made when a round, counted from 1, is over; round 0 ends before the first."""
        return self.steps * number // self.rounds


@runtime_checkable
class FitRound(Protocol):
    """Learns until the end of a round, counted from 1; `take_back` is called before the round's first update."""

    def __call__(self, number: int, take_back: Callable[[], None] | None = None, /) -> FitResult:
        """What that did."""
        ...


def make_round_fit(
    objective: nn.Module,
    source: BatchSource,
    schedule: Schedule,
    *,
    device: torch.device,
    precision: Precision,
    checkpoints: CheckpointFolder,
    checkpoint_every: float,
    metrics_path: Path,
    progress: Progress,
    seed: int,
) -> FitRound:
    """What trains until the end of a round.

    Args:
        objective: On its device; see `fit`, as for all that follows.
        source: Of batches.
        schedule: Of all rounds.
        device: Where to train.
        precision: Of the forward pass.
        checkpoints: Where to save and to look for an earlier run.
        checkpoint_every: Seconds between checkpoints.
        metrics_path: JSON lines.
        progress: Told what happens; asked whether to save or stop.
        seed: Of everything random.
    """
    optimizer = build_optimizer(objective, learning_rate=schedule.learning_rate, weight_decay=WEIGHT_DECAY)
    begun: list[int] = []

    def fit_until(number: int, take_back: Callable[[], None] | None = None, /) -> FitResult:
        begun.append(number)

        def start(step: int) -> None:
            if take_back is not None and step == schedule.end_of(number - 1):
                take_back()
                optimizer.state.clear()

        return fit(
            objective,
            optimizer,
            batches=source,
            steps=schedule.steps,
            until=schedule.end_of(number),
            learning_rate=lambda step: learning_rate_at(step, schedule.steps, schedule.learning_rate),
            device=device,
            precision=precision,
            checkpoints=checkpoints,
            checkpoint_every=checkpoint_every,
            metrics_path=metrics_path,
            progress=progress,
            name="train",
            seed=seed,
            on_start=start,
            announce=len(begun) == 1,  # between the rounds of one run there is nothing to tell
        )

    return fit_until


def add_up(parts: Sequence[FitResult]) -> FitResult:
    """What the rounds of this run did together; of no round, nothing."""
    if not parts:
        return FitResult(0, 0.0, 0.0, {}, 1)
    seconds = sum(part.seconds for part in parts)
    images = sum(part.images_per_second * part.seconds for part in parts)
    return replace(
        parts[-1],
        seconds=seconds,
        images_per_second=images / seconds,
        breakdown={name: sum(part.breakdown[name] for part in parts) for name in parts[-1].breakdown},
    )
