import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fs4cli.data.batches import Batch, BatchSource
from fs4cli.errors import ConfigError, Interrupted, ProjectError, ResourceError
from fs4cli.progress import SilentProgress
from fs4cli.training.checkpoint import CheckpointFolder
from fs4cli.training.fit import FitResult, LossTerms, fit
from fs4cli.training.schedule import build_optimizer, learning_rate_at

CPU = torch.device("cpu")


class Colours(nn.Module):
    """Tells each image's mean colour: convolution, batch norm, dropout, a noisy view and a teacher, in small."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3))
        self.head = nn.Linear(4, 3)
        self.register_buffer("average", torch.zeros(3))

    def forward(self, batch: Batch, step: int) -> LossTerms:
        images = batch.images.float() / 255 * self.gain(step)
        noise = torch.randn(images.shape, generator=batch.generator)
        guess = self.head(self.layers(images + 0.1 * noise).float().mean((2, 3)))
        near = (guess - images.mean((2, 3))).square().mean()
        steady = (guess.mean(0) - self.average).square().mean()
        return LossTerms(near + 0.1 * steady, {"near": near, "steady": steady} if step % 3 else {"near": near})

    def gain(self, step: int) -> float:
        return 1.0

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        self.average.lerp_(self.head.bias, 0.1)


class Mean(nn.Module):
    """The mean over images of a convex loss: no statistics, nothing random, so parts must add up to the whole."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, batch: Batch, step: int) -> LossTerms:
        colours = batch.images.float().mean((2, 3)) / 255
        loss = (self.layer(colours) - 2 * colours).square().mean()
        return LossTerms(loss, {"square": loss})


class Asking(SilentProgress):
    """Stops or saves after so many steps."""

    def __init__(self, *, stop_after: int = -1, signal_number: int = 2, save_after: int = -1):
        super().__init__()
        self.asked = 0
        self.stop_after, self.signal_number, self.save_after = stop_after, signal_number, save_after

    def stop_requested(self) -> int | None:
        self.asked += 1
        return self.signal_number if self.asked == self.stop_after else None

    def save_requested(self) -> bool:
        return self.asked == self.save_after


@dataclass
class Result:
    fit: FitResult
    objective: nn.Module
    weights: dict[str, Tensor]
    metrics: list[dict]


def make_images(count: int = 5) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [random.integers(0, 256, (12, 14, 3), dtype=np.uint8) for _ in range(count)]


def train(
    folder: Path,
    *,
    objective: Callable[[], nn.Module] = Colours,
    steps: int = 20,
    seed: int = 7,
    progress: SilentProgress | None = None,
    **options,
) -> Result:
    torch.manual_seed(0)
    module = objective()
    result = fit(
        module,
        build_optimizer(module, learning_rate=1e-2, weight_decay=0.05),
        batches=options.pop("batches", BatchSource(make_images(), batch_size=4, window=(8, 8), seed=seed)),
        steps=steps,
        learning_rate=lambda step: learning_rate_at(step, steps, 1e-2, 0.2),
        device=CPU,
        precision=options.pop("precision", "fp32"),
        checkpoints=CheckpointFolder(folder / "checkpoints"),
        checkpoint_every=options.pop("checkpoint_every", 1e9),
        metrics_path=folder / "metrics.jsonl",
        progress=progress or SilentProgress(),
        name=options.pop("name", "pretrain"),
        seed=seed,
        log_every=options.pop("log_every", 4),
        **options,
    )
    return Result(result, module, module.state_dict(), read_metrics(folder))


def read_metrics(folder: Path) -> list[dict]:
    """The lines without what depends on the clock."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        assert row.pop("images_per_second") > 0
    return rows


def newest_bytes(folder: Path) -> bytes:
    return max((folder / "checkpoints").glob("step-*.pt")).read_bytes()


# ---- killed and resumed -------------------------------------------------------------------------------------------


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def train_and_die(folder: Path, moment: str, workers: int) -> None:
    """Train with a checkpoint at each third step, and die at `moment` near step 9."""
    torch.set_num_threads(1)
    save = CheckpointFolder.save
    write_manifest = CheckpointFolder._write_manifest

    def save_or_die(self: CheckpointFolder, step: int, state: dict) -> None:
        if moment == "before the checkpoint" and step == 12:
            die()
        save(self, step, state)
        if moment == "after the checkpoint" and step == 9:
            die()

    def write_manifest_or_die(self: CheckpointFolder, entries: list[dict]) -> None:
        if moment == "before the manifest" and entries and entries[-1]["step"] == 9:
            die()
        write_manifest(self, entries)
        if moment == "before the old ones go" and entries and entries[-1]["step"] == 9:
            die()

    def on_step(step: int) -> None:
        if moment == "in a line of metrics" and step == 11:
            with (folder / "metrics.jsonl").open("a") as file:
                file.write('{"step": 12, "lo')
            die()

    CheckpointFolder.save = save_or_die
    CheckpointFolder._write_manifest = write_manifest_or_die
    train(folder, progress=SavingEveryThird(), on_step=on_step, workers=workers)


class SavingEveryThird(Asking):
    def save_requested(self) -> bool:
        return self.asked % 3 == 0


def train_one_thread(folder: Path, workers: int) -> None:
    torch.set_num_threads(1)
    train(folder, workers=workers)


def train_slowly(folder: Path) -> None:
    torch.set_num_threads(1)
    train(folder, checkpoint_every=0.0, log_every=1, on_step=lambda step: time.sleep(0.02))


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fs4cli.training.fit", "torch._dynamo"])
    return context


def run_process(processes, function, *arguments) -> int:
    process = processes.Process(target=function, args=arguments)
    process.start()
    process.join(60)
    assert process.exitcode is not None, "the run hangs"
    return process.exitcode


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, processes) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert run_process(processes, train_one_thread, folder, 1) == 0
    return folder


@pytest.mark.parametrize(
    ("moment", "workers", "resumes_at"),
    [
        ("before the checkpoint", 0, 9),  # its line of metrics, of step 12, is written: it must be cut
        ("before the checkpoint", 2, 9),
        ("after the checkpoint", 2, 9),
        ("before the manifest", 1, 6),
        ("before the old ones go", 1, 9),
        ("in a line of metrics", 1, 9),
    ],
)
def test_a_killed_run_ends_as_one_left_alone(tmp_path, processes, uninterrupted, moment, workers, resumes_at):
    killed = run_process(processes, train_and_die, tmp_path, moment, workers)
    found = CheckpointFolder(tmp_path / "checkpoints").load_newest()
    resumed = run_process(processes, train_one_thread, tmp_path, workers)

    assert killed == -signal.SIGKILL
    assert found is not None and found[0] == resumes_at
    assert resumed == 0
    assert newest_bytes(tmp_path) == newest_bytes(uninterrupted)
    assert read_metrics(tmp_path) == read_metrics(uninterrupted)
    assert [row["step"] for row in read_metrics(tmp_path)] == [4, 8, 12, 16, 20]
    assert list((tmp_path / "checkpoints").glob(".*")) == []


def test_a_run_killed_from_outside_at_any_moment_ends_the_same(tmp_path, processes):
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    assert run_process(processes, train_slowly, alone) == 0
    for lines in (2, 9):
        process = processes.Process(target=train_slowly, args=(killed,))
        process.start()
        metrics = killed / "metrics.jsonl"
        while not metrics.exists() or metrics.read_bytes().count(b"\n") < lines:
            assert process.is_alive()
            time.sleep(0.003)
        process.kill()
        process.join()
    assert run_process(processes, train_slowly, killed) == 0

    assert newest_bytes(killed) == newest_bytes(alone)
    assert read_metrics(killed) == read_metrics(alone)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_stopped_run_of_low_precision_goes_on_as_one_left_alone(tmp_path, precision):
    whole = train(tmp_path / "whole", precision=precision)
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", precision=precision, progress=Asking(stop_after=9))
    train(tmp_path / "parts", precision=precision)

    assert newest_bytes(tmp_path / "parts") == newest_bytes(tmp_path / "whole")
    assert read_metrics(tmp_path / "parts") == whole.metrics


def test_a_damaged_newest_checkpoint_costs_only_the_steps_since_the_older_one(tmp_path):
    whole = train(tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", progress=Asking(stop_after=9, save_after=5))
    newest = tmp_path / "parts/checkpoints/step-0000009.pt"
    newest.write_bytes(newest.read_bytes()[:-100])
    progress = SilentProgress()
    parts = train(tmp_path / "parts", progress=progress)

    assert "step-0000009.pt" in progress.warned[0]
    assert progress.said == ["pretrain goes on at step 5 of 20"]
    assert parts.metrics == whole.metrics
    assert newest_bytes(tmp_path / "parts") == newest_bytes(tmp_path / "whole")


def test_a_finished_run_is_not_done_again(tmp_path):
    first = train(tmp_path)
    second = train(tmp_path)

    assert (second.fit.step, second.fit.images_per_second) == (20, 0.0)
    assert second.metrics == first.metrics
    assert all(torch.equal(second.weights[name], value) for name, value in first.weights.items())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seed": 8}, "is of seed 7, not of seed 8"),
        ({"name": "train"}, "is of `pretrain`, not of `train`"),
        ({"steps": 5}, "is of step 9, past the 5 that are asked for"),
        ({"objective": Mean}, "does not fit this network"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, reason):
    with pytest.raises(Interrupted):
        train(tmp_path, progress=Asking(stop_after=9))
    with pytest.raises(ProjectError, match=reason) as raised:
        train(tmp_path, **change)

    assert "--fresh" in raised.value.hints[0]


# ---- stopping, saving, logging ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_at_its_step_and_stops(tmp_path, number, exit_code):
    with pytest.raises(Interrupted, match="pretrain stopped at step 3 of 20") as raised:
        train(tmp_path, progress=Asking(stop_after=3, signal_number=number))

    found = CheckpointFolder(tmp_path / "checkpoints").load_newest()
    assert found is not None and found[0] == 3
    assert raised.value.exit_code == exit_code
    assert raised.value.hints == ("run the same command again to go on",)


def test_a_signal_at_the_last_step_comes_too_late_to_stop(tmp_path):
    assert train(tmp_path, progress=Asking(stop_after=20)).fit.step == 20


def test_a_checkpoint_is_saved_when_asked_for_when_due_and_at_the_end(tmp_path, monkeypatch):
    saved = []
    save = CheckpointFolder.save
    monkeypatch.setattr(
        CheckpointFolder, "save", lambda self, step, state: (saved.append(step), save(self, step, state))
    )
    train(tmp_path / "asked", steps=6, progress=Asking(save_after=2))
    train(tmp_path / "due", steps=3, checkpoint_every=0.0)

    assert saved == [2, 6] + [1, 2, 3]


def test_a_line_of_metrics_holds_means_since_the_line_before(tmp_path):
    each = train(tmp_path / "each", steps=6, log_every=1).metrics
    lines = train(tmp_path / "pairs", steps=6, log_every=4).metrics

    assert [line["step"] for line in lines] == [4, 6]
    assert lines[0]["near"] == pytest.approx(np.mean([row["near"] for row in each[:4]]))
    assert lines[0]["steady"] == pytest.approx((each[1]["steady"] + each[2]["steady"]) / 2)  # absent at steps 0 and 3
    assert lines[1]["gradient_norm"] == pytest.approx((each[4]["gradient_norm"] + each[5]["gradient_norm"]) / 2)
    assert lines[1]["learning_rate"] == learning_rate_at(5, 6, 1e-2, 0.2)


def test_what_on_step_changes_is_in_the_checkpoint_of_that_step(tmp_path):
    module = Mean()
    module.register_buffer("centroids", torch.zeros(2))
    with pytest.raises(Interrupted):
        train(
            tmp_path,
            objective=lambda: module,
            progress=Asking(stop_after=3),
            on_step=lambda step: module.centroids.fill_(step),
        )

    found = CheckpointFolder(tmp_path / "checkpoints").load_newest()
    assert found is not None and found[1]["objective"]["centroids"].tolist() == [3, 3]


def test_training_leaves_the_callers_random_numbers_alone(tmp_path):
    torch.manual_seed(0)
    Colours()
    expected = torch.rand(1)
    train(tmp_path, steps=2)

    assert torch.rand(1) == expected


def test_training_learns(tmp_path):
    metrics = train(tmp_path, objective=Mean, steps=60, log_every=20).metrics

    assert metrics[-1]["loss"] < metrics[0]["loss"] / 4


# ---- gradients and memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [2, 3, 4, 9])  # 3 parts of 4 images are uneven, 9 are more than there are
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(tmp_path, accumulate):
    whole = train(tmp_path / "whole", objective=Mean)
    parts = train(tmp_path / "parts", objective=Mean, accumulate=accumulate)

    for name, value in whole.weights.items():
        torch.testing.assert_close(parts.weights[name], value, rtol=1e-4, atol=1e-6)
    assert [row["loss"] for row in parts.metrics] == pytest.approx([row["loss"] for row in whole.metrics], rel=1e-4)


class Hungry(Mean):
    """Runs out of memory with more than so many images at a time."""

    limit = 1

    def forward(self, batch: Batch, step: int) -> LossTerms:
        if len(batch) > self.limit:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 TB")
        return super().forward(batch, step)


class Starving(Hungry):
    limit = 0


def test_running_out_of_memory_halves_the_parts_until_they_fit(tmp_path):
    progress = SilentProgress()
    whole = train(tmp_path / "whole", objective=Mean)
    halved = train(tmp_path / "halved", objective=Hungry, progress=progress)

    assert halved.fit.accumulate == 4
    assert [warning.split(":")[0] for warning in progress.warned] == ["out of memory at step 1"] * 2
    assert halved.metrics[0]["accumulate"] == 4
    for name, value in whole.weights.items():
        torch.testing.assert_close(halved.weights[name], value, rtol=1e-4, atol=1e-6)


class Counting(Mean):
    """Counts its forward passes, and runs out of memory with more than two images, but only after it has counted."""

    def __init__(self):
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, batch: Batch, step: int) -> LossTerms:
        self.passes += 1
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(batch, step)


def test_an_update_that_ran_out_of_memory_leaves_no_trace_in_the_buffers(tmp_path):
    assert train(tmp_path, objective=Counting, steps=1).weights["passes"] == 2


def test_the_parts_found_before_are_kept_by_a_resumed_run(tmp_path):
    progress = SilentProgress()
    with pytest.raises(Interrupted):
        train(tmp_path, objective=Hungry, progress=Asking(stop_after=3))
    resumed = train(tmp_path, objective=Hungry, progress=progress)

    assert resumed.fit.accumulate == 4
    assert progress.warned == []


def test_one_image_that_does_not_fit_is_an_error_with_advice(tmp_path):
    with pytest.raises(ResourceError, match="out of memory on cpu with one image at a time, at step 1"):
        train(tmp_path, objective=Starving)


def test_an_error_that_is_not_about_memory_is_not_swallowed(tmp_path):
    class Broken(Mean):
        def forward(self, batch: Batch, step: int) -> LossTerms:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train(tmp_path, objective=Broken)


class Stumbling(Colours):
    """Sees no numbers at some steps; its running statistics take them in."""

    bad: tuple[int, ...] = (2, 3)

    def gain(self, step: int) -> float:
        return float("nan") if step in self.bad else 1.0


class Falling(Stumbling):
    bad = tuple(range(100))


def test_an_update_without_a_finite_loss_changes_nothing_and_is_counted(tmp_path):
    before = {}

    def keep(step: int) -> None:
        before[step] = {name: value.clone() for name, value in module.state_dict().items()}

    torch.manual_seed(0)
    module = Stumbling()
    result = train(tmp_path, objective=lambda: module, steps=8, on_step=keep)

    assert all(torch.equal(before[2][name], before[4][name]) for name in before[2])
    assert not torch.equal(before[4]["head.weight"], before[5]["head.weight"])
    assert [row["skipped"] for row in result.metrics] == [2, 0]
    assert all(np.isfinite(row["loss"]) for row in result.metrics)


def test_a_loss_that_stays_undefined_ends_the_run_with_advice(tmp_path):
    with pytest.raises(ConfigError, match="not finite for 20 updates in a row, up to step 20") as raised:
        train(tmp_path, objective=Falling, steps=50)

    assert "lower the learning rate" in raised.value.hints[0]


def test_a_gradient_is_clipped_to_its_norm(tmp_path):
    class Steep(Mean):
        def forward(self, batch: Batch, step: int) -> LossTerms:
            loss = super().forward(batch, step)
            return LossTerms(loss.total * 1e6, loss.terms)

    norms = []

    class Recording(torch.optim.SGD):
        def step(self, closure=None):
            norms.append(torch.nn.utils.get_total_norm([p.grad for p in self.param_groups[0]["params"]]).item())

    torch.manual_seed(0)
    module = Steep()
    fit(
        module,
        Recording(module.parameters()),
        batches=BatchSource(make_images(), batch_size=4, window=(8, 8), seed=0),
        steps=3,
        learning_rate=lambda step: 0.1,
        device=CPU,
        precision="fp32",
        checkpoints=CheckpointFolder(tmp_path / "checkpoints"),
        checkpoint_every=1e9,
        metrics_path=tmp_path / "metrics.jsonl",
        progress=SilentProgress(),
        name="pretrain",
        seed=0,
        clip=2.0,
    )

    assert norms == pytest.approx([2.0] * 3, rel=1e-4)
    assert read_metrics(tmp_path)[0]["gradient_norm"] > 1e3


# ---- where the time goes ------------------------------------------------------------------------------------------


def test_batches_are_made_while_the_network_works(tmp_path):
    source = BatchSource(make_images(), batch_size=4, window=(8, 8), seed=0)

    def make(step: int) -> Batch:
        time.sleep(0.01)
        return source.batch(step)

    class Slow(Mean):
        def forward(self, batch: Batch, step: int) -> LossTerms:
            time.sleep(0.03)
            return super().forward(batch, step)

    alone = train(tmp_path / "alone", objective=Slow, batches=make, workers=0).fit
    ahead = train(tmp_path / "ahead", objective=Slow, batches=make, workers=1).fit

    assert alone.breakdown["data"] > 0.15  # 20 batches of 10 ms
    assert ahead.breakdown["data"] < alone.breakdown["data"] / 2
    assert sum(ahead.breakdown.values()) == pytest.approx(ahead.seconds, rel=0.02)


def test_a_source_that_fails_ends_the_run_with_its_own_error(tmp_path):
    source = BatchSource(make_images(), batch_size=4, window=(8, 8), seed=0)

    def make(step: int) -> Batch:
        if step == 3:
            raise OSError("the disk went away")
        return source.batch(step)

    with pytest.raises(OSError, match="the disk went away"):
        train(tmp_path, batches=make, workers=2)
