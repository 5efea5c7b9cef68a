"""How near training is to the speed of its network: a step of each objective against bare forward and backward.

Run: `python benchmarks/speed.py` (a minute or two; nothing is read from disk). Prints medians of interleaved pairs, as
single times say little on a shared machine.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fs4cli.data.augment import choose_scale
from fs4cli.data.batches import BatchSource
from fs4cli.model.cues import COLOUR_CUES, TEXTURE_CUES
from fs4cli.model.device import autocast, choose_device, choose_precision
from fs4cli.model.network import DenseNetwork, build_network
from fs4cli.model.segmenter import Segmenter
from fs4cli.training.assignment import guide, write_assignment
from fs4cli.training.pretext import Pretext, PretextOptions
from fs4cli.training.segmentation import Segmentation, SegmentationOptions


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--crop", type=int, default=96)
    parser.add_argument("--context", action="store_true", help="with CAE")
    options = parser.parse_args()
    device = choose_device("auto")
    precision = choose_precision("auto", device)
    random = np.random.default_rng(0)
    images = [random.integers(0, 255, (256, 340, 3), dtype=np.uint8) for _ in range(64)]
    source = BatchSource(images, batch_size=options.batch, window=(256, 256), seed=0)
    scale = choose_scale(options.window, options.crop)
    torch.manual_seed(0)

    def network() -> DenseNetwork:
        return build_network("resnet18", 128, mean=[0.5] * 3, std=[0.25] * 3)

    pretext = Pretext(network(), PretextOptions(options.window, options.crop, scale), channels=128)
    clusters = 11
    pyramid = [(grid, random.dirichlet(np.ones(20), (64, grid**2)).astype(np.float32)) for grid in (1, 2, 4)]
    soft = (random.dirichlet(np.ones(clusters), (32, 42)).astype(np.float32) for _ in images)
    with tempfile.TemporaryDirectory() as folder:
        assignment = write_assignment(Path(folder), soft, pyramid, clusters)
        cues = COLOUR_CUES + TEXTURE_CUES
        segmenter = Segmenter(
            network(),
            channels=128,
            classes=clusters,
            context=options.context,
            cue_mean=[0.0] * cues,
            cue_std=[1.0] * cues,
        )
        segmentation = Segmentation(
            segmenter,
            SegmentationOptions(options.window, options.crop, scale),
            channels=128,
            pyramid_labels=(20, 20, 20),
        )
        segmentation.set_round(
            assignment.label_maps,
            torch.from_numpy(assignment.shares).float(),
            torch.from_numpy(assignment.sureness).float(),
            guide(assignment, pyramid),
        )
        bare = network().to(device, memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
        views = torch.rand(2 * options.batch, 3, options.crop, options.crop, device=device)

        def forward_backward(with_teacher: bool) -> None:
            with autocast(device, precision):
                if with_teacher:
                    with torch.no_grad():
                        bare(views)
                loss = bare(views).float().square().mean()
            loss.backward()

        for name, objective in (("pretrain", pretext), ("train", segmentation)):
            objective.to(device, memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]

            def step(number: int, objective=objective) -> None:
                batch = source.batch(number).to(device)
                with autocast(device, precision):
                    loss = objective(batch, number)
                loss.total.backward()

            pairs = [(_time(step, n), _time(lambda _: forward_backward(False), n)) for n in range(options.pairs + 1)][
                1:
            ]
            whole, base = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            print(f"{name:9} step {whole:.3f} s   bare {base:.3f} s   ratio {ratio:.2f}")
            if name == "pretrain":
                pairs = [(_time(step, n), _time(lambda _: forward_backward(True), n)) for n in range(options.pairs)]
                print(
                    f"{name:9} against bare with the teacher's forward: ratio "
                    f"{statistics.median(a / b for a, b in pairs):.2f}"
                )


def _time(work: Callable[[int], None], number: int) -> float:
    started = time.perf_counter()
    work(number)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
