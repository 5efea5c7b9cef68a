"""How many kills and hostile inputs does fs4 survive? `make soak` runs it; docs/reliability.md has the figures.

A tiny project goes through pretrain, cluster, train and predict under SIGKILL at seeded moments, with 0 and with 2
workers, and its files are compared with those of an undisturbed run. Then the fuzz tests run with many inputs each.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "stages"))

from launcher import Launcher  # noqa: E402
from soaking import soak  # noqa: E402

# one for each fuzz test; the same input may go to further readers
READERS = ("image", "image file", "mask", "fs4.yaml", "--set", "environment", "class table", "record", "index")
READERS += ("predictions", "cache", "model card", "checkpoint", "plan", "run note")


def main() -> int:
    """Kill, feed, and print the figures as JSON on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="in all, half of them with 0 workers, half with 2")
    parser.add_argument("--inputs", type=int, default=5000, help="hostile inputs of each fuzz test; 0 for none")
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    options = parser.parse_args()
    figures = {"seed": options.seed, **_kill(options.kills, options.seed)}
    if options.inputs:
        figures |= _feed(options.inputs)
    print(json.dumps(figures, indent=2))
    return 1 if figures["bytes_lost"] or figures["differing"] or figures.get("fuzz_failed") else 0


def _kill(kills: int, seed: int) -> dict:
    began, by_kind, found = time.monotonic(), Counter(), []
    if kills:
        launcher = Launcher()
        for workers in (0, 2):
            with tempfile.TemporaryDirectory(prefix="fs4-soak-") as folder:
                found.append(soak(Path(folder), launcher, kills=kills // 2, workers=workers, seed=seed, say=_say))
                by_kind.update(found[-1].kills)
        launcher.close()
    return {
        "kills_survived": sum(by_kind.values()),
        "kills": dict(sorted(by_kind.items())),
        "runs_that_ended_before_their_kill": sum(one.undisturbed for one in found),
        "projects": sum(one.projects for one in found),
        "files_compared": sum(one.files for one in found),
        "bytes_compared": sum(one.bytes for one in found),
        "bytes_lost": sum(one.lost for one in found),
        "differing": [name for one in found for name in one.differing],
        "kill_seconds": round(time.monotonic() - began),
    }


def _feed(inputs: int) -> dict:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fs4-soak-") as folder:
        report = Path(folder) / "tried.json"
        environment = {**os.environ, "FS4_FUZZ_EXAMPLES": str(inputs), "FS4_FUZZ_REPORT": str(report)}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:warnings", "--timeout=0", "tests/fuzz"]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr)
        tried = json.loads(report.read_text())
    return {
        "inputs_tried": sum(count for name, count in tried.items() if name in READERS),
        "inputs_refused": sum(count for name, count in tried.items() if name.removesuffix(": refused") in READERS)
        - sum(count for name, count in tried.items() if name in READERS),
        "reads": tried,
        "fuzz_failed": done.returncode != 0,
        "fuzz_seconds": round(time.monotonic() - began),
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
