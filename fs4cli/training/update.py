"""One optimizer update: forward, backward, clip, step; and what to do when a loss is no number or memory runs out.

In: an objective, a batch and a step. Out: the loss terms as numbers. All randomness of an update comes from (seed,
step), so an update done again is the same update.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fs4cli.data.batches import Batch
from fs4cli.errors import ConfigError, ResourceError
from fs4cli.model.device import Precision, autocast, is_out_of_memory
from fs4cli.training.schedule import set_learning_rate

PATIENCE = 20
"""Updates without a finite loss or gradient, in a row, that end a run. fp16 needs up to 16 to find its loss scale."""


@dataclass(frozen=True)
class LossTerms:
    """What an objective makes of a batch.

    Args:
        total: What is minimized; a mean over the batch, so that parts of a batch add up to the whole.
        terms: Its parts, by name, for the log; not named `loss`. A term may be absent from a batch.
    """

    total: Float[Tensor, ""]
    terms: dict[str, Tensor]


@dataclass(frozen=True)
class Outcome:
    """What an update came to.

    Args:
        values: `loss`, each of its terms, and `gradient_norm` before clipping.
        is_applied: False if a loss or gradient was not finite, and nothing was changed.
    """

    values: dict[str, float]
    is_applied: bool


class Stopwatch:
    """Where the time goes: each lap adds the time since the last one to a part."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)
        self._since = time.perf_counter()

    def lap(self, part: str) -> None:
        now = time.perf_counter()
        self.seconds[part] += now - self._since
        self._since = now


class Updater:
    """Makes one update after another.

    Args:
        objective: `objective(batch, step) -> LossTerms`. What it keeps between updates are parameters and buffers,
            changed in place: an update that fails half way puts the buffers back. `objective.after_step(step, steps)`
            is called after each update that was applied, if there is such a method.
        optimizer: Over the objective's parameters.
        steps: Of the whole run.
        seed: Of everything random.
        device: Where the objective lies.
        precision: Of the forward pass; fp16 scales its loss.
        clip: Largest norm of the whole gradient; None for no limit.
        accumulate: Parts that a batch is cut into, to save memory. Doubled when memory runs out.
        warn: Told when that happens.
    """

    def __init__(
        self,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        steps: int,
        seed: int,
        device: torch.device,
        precision: Precision,
        clip: float | None,
        accumulate: int,
        warn: Callable[[str], None],
    ):
        self.objective = objective
        self.optimizer = optimizer
        self.steps = steps
        self.seed = seed
        self.device = device
        self.precision: Precision = precision
        self.clip = clip
        self.accumulate = accumulate
        self.warn = warn
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self.skipped_in_row = 0

    def make(self, batch: Batch, step: int, learning_rate: float, clock: Stopwatch) -> Outcome:
        """Make update `step`, counted from 0.

        Raises:
            ResourceError: Memory runs out with one image at a time.
            ConfigError: `PATIENCE` updates in a row had no finite loss or gradient.
        """
        set_learning_rate(self.optimizer, learning_rate)
        batch = batch.to(self.device)
        buffers = [buffer.clone() for buffer in self.objective.buffers()]
        while (values := self._try_backward(batch, step)) is None:
            self._put_back(buffers)
            self._cut_smaller(len(batch), step)
        self.scaler.unscale_(self.optimizer)
        values["gradient_norm"] = self._clip()
        clock.lap("network")
        is_finite = math.isfinite(values["loss"]) and math.isfinite(values["gradient_norm"])
        if is_finite:
            self.scaler.step(self.optimizer)
        else:
            self._put_back(buffers)  # running statistics would keep a NaN for good
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.skipped_in_row = 0 if is_finite else self.skipped_in_row + 1
        if self.skipped_in_row >= PATIENCE:
            raise ConfigError(
                f"the loss or its gradient was not finite for {PATIENCE} updates in a row, up to step {step + 1}",
                details=tuple(f"{name}: {value}" for name, value in values.items()),
                hints=("lower the learning rate, or use precision fp32, and start over with `--fresh`",),
            )
        after_step = getattr(self.objective, "after_step", None)
        if is_finite and after_step is not None:
            after_step(step, self.steps)
        clock.lap("optimizer")
        return Outcome(values, is_finite)

    def _try_backward(self, batch: Batch, step: int) -> dict[str, float] | None:
        """Gradients of the whole batch and the loss terms; None if memory ran out."""
        try:
            return self._run_backward(_key_randomness(batch, self.seed, step), step)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None  # from here on nothing holds the frames, nor what they had allocated

    def _run_backward(self, batch: Batch, step: int) -> dict[str, float]:
        names: list[tuple[str, float]] = []
        values: list[Tensor] = []
        for part in batch.split(self.accumulate):
            share = len(part) / len(batch)
            with autocast(self.device, self.precision):
                loss = self.objective(part, step)
            self.scaler.scale(loss.total * share).backward()
            for name, value in [("loss", loss.total), *loss.terms.items()]:
                names.append((name, share))
                values.append(value.detach().float())
        return _average(names, torch.stack(values).tolist())

    def _clip(self) -> float:
        """Shorten the gradient if it is too long; its norm before."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        length = float(norm)
        if self.clip is not None and self.clip < length < math.inf:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.clip, norm)
        return length

    @torch.no_grad()
    def _put_back(self, buffers: list[Tensor]) -> None:
        for buffer, old in zip(self.objective.buffers(), buffers, strict=True):
            buffer.copy_(old)

    def _cut_smaller(self, size: int, step: int) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.accumulate >= size:
            raise ResourceError(
                f"out of memory on {self.device} with one image at a time, at step {step + 1}",
                hints=("use smaller views or a smaller network", "end other programs, or use another device"),
            )
        self.accumulate = min(2 * self.accumulate, size)
        self.warn(f"out of memory at step {step + 1}: each batch of {size} now goes through in {self.accumulate} parts")


def _key_randomness(batch: Batch, seed: int, step: int) -> Batch:
    views, layers = np.random.SeedSequence([seed, step]).generate_state(2).tolist()
    torch.manual_seed(layers)  # dropout and the like draw from the global generator
    return replace(batch, generator=torch.Generator().manual_seed(views))


def _average(names: list[tuple[str, float]], values: list[float]) -> dict[str, float]:
    """Mean of each name's values, weighted by share."""
    sums: dict[str, float] = defaultdict(float)
    shares: dict[str, float] = defaultdict(float)
    for (name, share), value in zip(names, values, strict=True):
        sums[name] += share * value
        shares[name] += share
    return {name: total / shares[name] for name, total in sums.items()}
