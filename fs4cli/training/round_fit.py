"""Training a part of the way: until the end of a round, however often it was stopped, as one run with one schedule.

In: what trains until a given update, and a schedule. Out: a function that trains until a round's last update, and what
the rounds of a run did together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch

from fs4cli.training.fit import FitResult
from fs4cli.training.schedule import learning_rate_at


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

    def round_at(self, step: int) -> int:
        """The round, counted from 1, that makes the update after `step`; the last one once all are made."""
        return next((number for number in range(1, self.rounds) if step < self.end_of(number)), self.rounds)


@runtime_checkable
class FitRound(Protocol):
    """Learns until the end of a round, counted from 1; `take_back` is called before the round's first update."""

    def __call__(self, number: int, take_back: Callable[[], None] | None = None, /) -> FitResult:
        """What that did."""
        ...


@runtime_checkable
class FitOn(Protocol):
    """`fs4cli.training.fit.fit`, told all but how far to go and with what step size."""

    def __call__(
        self,
        *,
        steps: int,
        until: int,
        learning_rate: Callable[[int], float],
        on_start: Callable[[int], None],
        announce: bool,
    ) -> FitResult:
        """As `fit`."""
        ...


def make_round_fit(fit_on: FitOn, optimizer: torch.optim.Optimizer, schedule: Schedule) -> FitRound:
    """What trains until the end of a round.

    Args:
        fit_on: Trains with `optimizer`.
        optimizer: Forgets what it has seen when a round is taken back.
        schedule: Of all rounds.
    """
    begun: list[int] = []

    def fit_until(number: int, take_back: Callable[[], None] | None = None, /) -> FitResult:
        begun.append(number)

        def start(step: int) -> None:
            if take_back is not None and step == schedule.end_of(number - 1):
                take_back()
                optimizer.state.clear()

        return fit_on(
            steps=schedule.steps,
            until=schedule.end_of(number),
            learning_rate=lambda step: learning_rate_at(step, schedule.steps, schedule.learning_rate),
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
