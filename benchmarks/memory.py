"""Does memory grow with the number of images? The peak of each stage on a small and on a large folder.

Run: `python benchmarks/memory.py` (some minutes). Draws folders of small images, runs the stages on them with a few
steps, each in a process of its own, and prints the largest memory that was neither a file's nor shared (RssAnon) of the
stage and its workers, sampled twenty times a second. Linux only.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

STAGES = ("ingest", "pretrain", "cluster", "train", "predict")
FEW = ("--set", "preset=tiny", "--set", "pretrain.steps=20", "--set", "train.steps=20", "--set", "workers=1")


def main() -> None:
    """Draw, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs=2, default=(1_000, 10_000), metavar=("FEW", "MANY"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peaks = [_measure(Path(folder) / str(count), count) for count in options.images]
    print(f"{'stage':10}  " + "  ".join(f"{count:>9,} images" for count in options.images) + "   ratio")
    for stage, few, many in zip(STAGES, *peaks, strict=True):
        print(f"{stage:10}  {few / 1e6:>13,.0f} MB  {many / 1e6:>13,.0f} MB   {many / few:.3f}")


def _measure(folder: Path, count: int) -> list[int]:
    (folder / "images").mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((96, 72), Image.Resampling.BICUBIC).save(folder / "images" / f"{number:05}.png")
    project = ("-C", str(folder / "project"), "--progress", "none", "-q")
    options = {
        "ingest": ("--images", str(folder / "images"), *FEW),
        "pretrain": FEW,
        "cluster": ("--classes", "5", *FEW),
        "train": ("--classes", "5", *FEW),
        "predict": (str(folder / "images"), "-o", str(folder / "masks")),
    }
    subprocess.run((sys.executable, "-m", "fs4cli", "init", str(folder / "project"), "-q"), check=True)
    return [_run((sys.executable, "-m", "fs4cli", stage, *options[stage], *project)) for stage in STAGES]


def _run(command: tuple[str, ...]) -> int:
    """The largest sum of anonymous memory, in bytes, of a command and the processes it starts."""
    largest = 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            largest = max(largest, sum(map(_read_anonymous, _find_family(process.pid))))
            time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"`{' '.join(command)}` ended with {process.returncode}")
    return largest


def _find_family(root: int) -> list[int]:
    family, parents = [root], {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:  # it has ended meanwhile
            continue
    for process in family:
        family += [child for child, parent in parents.items() if parent == process]
    return family


def _read_anonymous(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


if __name__ == "__main__":
    main()
