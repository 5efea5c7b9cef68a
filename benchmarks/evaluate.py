"""How long `fs4 eval` takes to score ready masks: 5,000 of 640x480 are to take less than 90 seconds on 2 cores.

Run: `python benchmarks/evaluate.py [--images 5000] [--protocol honest] [--hard]`. Draws labels and masks into a
temporary folder: regions of 27 classes with wavy borders; with `--hard` a tenth of the masks' pixels is noise, which
takes far longer to unpack. Prints seconds, images a second, processor time and the most memory that was held.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH, CLASSES = 480, 640, 27
_KINDS = 64  # different pictures; each is written many times under other names


def main() -> None:
    """Draw, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--protocol", default="honest")
    parser.add_argument("--hard", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fs4-benchmark-") as place:
        folder = Path(place)
        for name in ("labels", "masks"):
            (folder / name).mkdir()
        with ProcessPoolExecutor() as pool:
            kinds = list(pool.map(partial(_draw, hard=options.hard), range(_KINDS)))
        for number in range(options.images):
            label, mask = kinds[number % _KINDS]
            (folder / "labels" / f"{number:06}.png").write_bytes(label)
            (folder / "masks" / f"{number:06}.png").write_bytes(mask)
        command = ["eval", "--labels", folder / "labels", "--predictions", folder / "masks"]
        drawn = resource.getrusage(resource.RUSAGE_CHILDREN)
        before = drawn.ru_utime + drawn.ru_stime
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "fs4cli", *command, "--protocol", options.protocol, "-o", folder / "out", "-q"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{options.images} masks of {WIDTH}x{HEIGHT}, protocol {options.protocol}{', hard' * options.hard}:")
    print(f"{seconds:.1f} s, {options.images / seconds:.0f} a second, on a machine with load {os.getloadavg()[0]:.1f}")
    print(
        f"{usage.ru_utime + usage.ru_stime - before:.1f} s of processor time, {usage.ru_maxrss / 1024:.0f} MB at most"
    )


def _draw(seed: int, *, hard: bool) -> tuple[bytes, bytes]:
    """A label and a mask of it with shifted borders, both as PNG."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    for _ in range(3):  # bends every border
        length, phase = random.uniform(15, 60), random.uniform(0, 6)
        rows, columns = rows + 4 * np.sin(columns / length + phase), columns + 4 * np.sin(rows / length + phase)
    seeds = random.uniform(0, 1, (14, 2)) * (HEIGHT, WIDTH)
    distances = np.stack([(rows - down) ** 2 + (columns - right) ** 2 for down, right in seeds])
    classes = random.integers(0, CLASSES, len(seeds))
    label = classes[distances.argmin(0)].astype(np.uint8)
    mask = (np.roll(label, (3, 4), (0, 1)).astype(int) * 10 % CLASSES).astype(np.uint8)
    if hard:
        noise = random.random(mask.shape) < 0.1
        mask[noise] = random.integers(0, CLASSES, int(noise.sum()))
    label[distances.min(0) < 300] = 255
    return _pack(label), _pack(mask)


def _pack(ids: np.ndarray) -> bytes:
    from io import BytesIO

    file = BytesIO()
    Image.fromarray(ids).save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    main()
