"""How near `fs4 predict` is to what bounds it: bare decoding and the bare network, on the same images.

Run: `python benchmarks/predict.py MODEL FOLDER` with a model file and a folder of photos. Prints images a second of
decoding alone, of the network alone (with the mirrored image, as predict looks twice), and of predict with its masks on
disk; rounds are interleaved, as single times say little on a shared machine.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from fs4cli.config import Settings, with_values
from fs4cli.data.images import read_image
from fs4cli.data.output_tree import place_in_tree
from fs4cli.data.predictions import PredictionLog
from fs4cli.data.sources import find_images
from fs4cli.model.device import autocast, choose_device, choose_precision, usable_cores
from fs4cli.prediction.flow import make_masks
from fs4cli.prediction.predictor import load_predictor
from fs4cli.progress import SilentProgress


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-flip", action="store_true")
    parser.add_argument("--no-refine", action="store_true")
    options = parser.parse_args()
    settings = with_values(Settings(), {"predict.batch_size": options.batch})
    device = choose_device("auto")
    precision = choose_precision("auto", device)
    predictor = load_predictor(
        options.model,
        device=device,
        short_side=None,
        flip=not options.no_flip,
        refine=not options.no_refine,
        precision=precision,
    )
    files = list(find_images([str(options.folder.resolve())]))[: options.images]
    paths = [Path(file.place) for file in files]
    looks = 1 if options.no_flip else 2
    prepared = [predictor.prepare(read_image(path).pixels) for path in paths]

    def decode() -> None:
        with ThreadPoolExecutor(usable_cores()) as threads:
            list(threads.map(read_image, paths))

    @torch.inference_mode()
    def forward() -> None:
        for start in range(0, len(prepared), options.batch):
            group = prepared[start : start + options.batch]
            images = torch.cat([image for image in group if image.shape == group[0].shape]).to(device)
            images = images.contiguous(memory_format=torch.channels_last)
            for _ in range(looks):
                with autocast(device, precision):
                    predictor.segmenter(images).sum().item()

    def predict() -> None:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            jobs = place_in_tree(files, [], place, place, PredictionLog(place))
            outcomes = make_masks(
                jobs,
                predictor,
                max_pixels=settings.ingest.max_pixels,
                seconds=settings.ingest.decode_seconds,
                batch=options.batch,
                known={},
                progress=SilentProgress(),
            )
            assert not [outcome.reason for outcome in outcomes if outcome.reason]

    works = {"decode": decode, "forward": forward, "predict": predict}
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(options.rounds + 1):
        for name, work in works.items():
            seconds = _time(work)
            if number:  # the first round warms up
                times[name].append(seconds)
    for name, seconds in times.items():
        print(f"{name:8} {len(paths) / statistics.median(seconds):8.1f} images/s")
    shares = [
        max(bare, network) / whole
        for bare, network, whole in zip(times["decode"], times["forward"], times["predict"], strict=True)
    ]
    print(f"predict at {statistics.median(shares):.2f} of the slower of both ({len(paths)} images, {precision})")


def _time(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
