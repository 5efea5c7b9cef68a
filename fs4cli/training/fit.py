"""The one training loop: any objective, saved as it goes, resumed as if it had never stopped.

In: an objective, an optimizer, batches. Out: a trained objective, `metrics.jsonl`, checkpoints. Whatever an update
needs is a function of its number or lies in the checkpoint, so a run killed at any moment ends with the same weights,
bit for bit on the CPU, as one left alone (docs/resume.md).
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fs4cli.data.batches import Batch, BatchSource, prefetch
from fs4cli.errors import Interrupted, ProjectError
from fs4cli.model.device import Precision
from fs4cli.progress import Progress
from fs4cli.training.checkpoint import CheckpointFolder
from fs4cli.training.metrics import MetricsLog
from fs4cli.training.update import LossTerms, Stopwatch, Updater

__all__ = ["FitResult", "LossTerms", "fit"]


@dataclass(frozen=True)
class FitResult:
    """What a call of `fit` did.

    Args:
        step: Updates made, over all runs.
        seconds: Of this run.
        images_per_second: Of this run; 0 if it had nothing left to do.
        breakdown: Seconds of this run spent waiting for `data`, in the `network` (views, forward and backward), in the
            `optimizer`, on `checkpoints`, and on anything `other`.
        accumulate: Parts a batch went through in, at the end.
    """

    step: int
    seconds: float
    images_per_second: float
    breakdown: dict[str, float]
    accumulate: int


def fit(
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    batches: BatchSource | Callable[[int], Batch],
    steps: int,
    learning_rate: Callable[[int], float],
    device: torch.device,
    precision: Precision,
    checkpoints: CheckpointFolder,
    checkpoint_every: float,
    metrics_path: Path,
    progress: Progress,
    name: str,
    seed: int,
    accumulate: int = 1,
    clip: float | None = 3.0,
    log_every: int = 10,
    workers: int = 1,
    until: int | None = None,
    announce: bool = True,
    on_start: Callable[[int], None] | None = None,
    on_step: Callable[[int], None] | None = None,
) -> FitResult:
    """Train until `steps` updates are made, from the newest checkpoint on if there is one.

    Args:
        objective: See `Updater`; its `state_dict` is all that it keeps. It is moved to `device` and left there.
        optimizer: Over the objective's parameters, built after the objective was moved to `device`.
        batches: A source, or a function from step to batch.
        steps: Updates in all, over all runs.
        learning_rate: From step, counted from 0, to the learning rate.
        device: Where to train.
        precision: Of the forward pass.
        checkpoints: Where to save and to look for an earlier run.
        checkpoint_every: Seconds between checkpoints. One more at the end, at a stop, and when one is asked for.
        metrics_path: JSON lines, one every `log_every` steps: means of the loss terms since the line before.
        progress: Told what happens; asked whether to save or stop.
        name: Of the stage, for whoever watches; a checkpoint of another name is refused.
        seed: Of everything random; a checkpoint of another seed is refused.
        accumulate: Parts that each batch is cut into, to save memory.
        clip: Largest gradient norm; None for no limit.
        log_every: Steps between lines of metrics.
        workers: Threads that make batches; has no influence on the result.
        until: Return after this many updates, all saved; the next call goes on. After `steps` if left out.
        announce: Say so if an earlier run is gone on with.
        on_start: Called once with the number of updates made, when all is as the newest checkpoint has it; what it
            changes is changed again by a run that is killed before it saves.
        on_step: Called with the number of updates made after each one, and before a checkpoint of it is saved, so what
            it changes in the objective is kept.

    Raises:
        Interrupted: A signal asked to stop; all is saved.
        ProjectError: No checkpoint is whole, or the newest is of another run.
        ResourceError: The disk is full, or memory runs out with one image at a time.
        ConfigError: The loss stays infinite or undefined.
    """
    clock, started = Stopwatch(), time.perf_counter()
    end = steps if until is None else min(until, steps)
    objective.to(device, memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
    updater = Updater(
        objective,
        optimizer,
        steps=steps,
        seed=seed,
        device=device,
        precision=precision,
        clip=clip,
        accumulate=accumulate,
        warn=progress.warn,
    )
    metrics = MetricsLog(metrics_path, log_every)
    run = _Run(name, seed, updater, metrics, checkpoints)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        first = step = run.resume(steps, end, progress, announce=announce)
        metrics.cut(step)
        if on_start is not None:
            on_start(step)
        images, saved, saved_at = 0, step, time.monotonic()
        clock.lap("checkpoints")
        with (
            progress.task(name, steps, unit="steps", done=step) as task,
            closing(prefetch(batches, step, end, workers=workers)) as ahead,
        ):
            for batch in ahead:
                clock.lap("data")
                rate = learning_rate(step)
                outcome = updater.make(batch, step, rate, clock)
                step += 1
                images += len(batch)
                metrics.add(outcome, len(batch))
                speed = metrics.images_per_second
                if metrics.is_due(step, end):
                    metrics.write(step, rate, updater.accumulate)
                if on_step is not None:
                    on_step(step)
                shown = {"loss": outcome.values["loss"]} if outcome.is_applied else {}
                task.advance(1, **shown, images_per_second=speed)
                signal = progress.stop_requested()
                is_late = time.monotonic() - saved_at >= checkpoint_every
                clock.lap("other")
                if step == end or signal is not None or is_late or progress.save_requested():
                    run.save(step)
                    saved, saved_at = step, time.monotonic()
                    clock.lap("checkpoints")
                if signal is not None and step < end:
                    raise Interrupted(
                        f"{name} stopped at step {step} of {steps}; everything up to here is saved",
                        signal=signal,
                        hints=("run the same command again to go on",),
                    )
    clock.lap("other")
    seconds = time.perf_counter() - started
    assert saved == step, "the last step is always saved"
    return FitResult(
        step=step,
        seconds=seconds,
        images_per_second=images / seconds if step > first else 0.0,
        breakdown={part: clock.seconds[part] for part in ("data", "network", "optimizer", "checkpoints", "other")},
        accumulate=updater.accumulate,
    )


class _Run:
    """What a checkpoint holds: all that the next update depends on and that its number does not give."""

    def __init__(self, name: str, seed: int, updater: Updater, metrics: MetricsLog, checkpoints: CheckpointFolder):
        self.name = name
        self.seed = seed
        self.updater = updater
        self.metrics = metrics
        self.checkpoints = checkpoints

    def save(self, step: int) -> None:
        self.metrics.sync()  # first the lines, then the checkpoint that promises they are there
        state = {
            "name": self.name,
            "seed": self.seed,
            "objective": self.updater.objective.state_dict(),
            "optimizer": self.updater.optimizer.state_dict(),
            "scaler": self.updater.scaler.state_dict(),
            "accumulate": self.updater.accumulate,
            "skipped_in_row": self.updater.skipped_in_row,
            "metrics": self.metrics.state,
        }
        self.checkpoints.save(step, state)

    def resume(self, steps: int, end: int, progress: Progress, *, announce: bool) -> int:
        """Put everything as the newest checkpoint has it; the number of updates made."""
        found = self.checkpoints.load_newest(self.updater.device, warn=progress.warn)
        if found is None:
            return 0
        step, state = found
        self._check(step, end, state)
        try:
            self.updater.objective.load_state_dict(state["objective"])
            self.updater.optimizer.load_state_dict(state["optimizer"])
            self.updater.scaler.load_state_dict(state["scaler"])
            self.updater.accumulate = state["accumulate"]
            self.updater.skipped_in_row = state["skipped_in_row"]
            self.metrics.state = state["metrics"]
        except (RuntimeError, ValueError, KeyError) as error:
            raise self._refuse(f"does not fit this network: {str(error).splitlines()[0]}") from error
        if announce:
            progress.say(f"{self.name} goes on at step {step} of {steps}")
        return step

    def _check(self, step: int, end: int, state: dict[str, Any]) -> None:
        if state.get("name") != self.name:
            raise self._refuse(f"is of `{state.get('name')}`, not of `{self.name}`")
        if state.get("seed") != self.seed:
            raise self._refuse(f"is of seed {state.get('seed')}, not of seed {self.seed}")
        if step > end:
            raise self._refuse(f"is of step {step}, past the {end} that are asked for")

    def _refuse(self, reason: str) -> ProjectError:
        return ProjectError(
            f"the newest checkpoint in `{self.checkpoints.path}` {reason}",
            hints=("use the settings it was made with, or start over with `--fresh`",),
        )
