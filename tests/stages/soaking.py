"""Kills without end: the stages of a tiny project die by SIGKILL again and again, and must end as if left alone.

Half of the kills strike just before the run opens or renames a file, so also within the write of a checkpoint and
between a checkpoint and its log; half at a moment of time. Both are drawn from a seed.
"""

import json
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from launcher import Launcher
from toy_project import CLASSES, draw_folder

from fs4cli.files import read_json, read_json_lines
from fs4cli.project.project import Project
from fs4cli.project.verify import verify_project

STAGES = ("pretrain", "cluster", "train", "predict")
STEPS = 8
_SETTINGS = f"""\
classes: {CLASSES}
preset: tiny
device: cpu
model: {{backbone: test_efficientnet, channels: 8}}
ingest: {{cache_size: 32}}
pretrain: {{steps: {STEPS}, batch_size: 2, checkpoint_every: 0.001}}
train: {{steps: {STEPS}, batch_size: 2, checkpoint_every: 0.001}}
predict: {{size: 32}}
"""
# what differs from run to run though the result is the same
_TIMES = {"started", "finished", "seconds", "images_per_second", "breakdown"}
_APART = {"logs", ".fs4", "checkpoints", "events.txt", "predictions.jsonl"}


@dataclass
class Soaked:
    """What came of it.

    Args:
        kills: Survived, by stage and by how they struck.
        undisturbed: Runs that ended before their kill.
        projects: That were taken through all stages.
        files: That were compared, byte for byte.
        bytes: Of these.
        lost: Bytes of files that are missing, or not those of the undisturbed run.
        differing: The names of these files, and what `fs4 verify` has to say.
    """

    kills: Counter[str] = field(default_factory=Counter)
    undisturbed: int = 0
    projects: int = 0
    files: int = 0
    bytes: int = 0
    lost: int = 0
    differing: list[str] = field(default_factory=list)


def soak(
    folder: Path, launcher: Launcher, *, kills: int, workers: int, seed: int, say: Callable[[str], None] | None = None
) -> Soaked:
    """Kill until so many kills are survived.

    Args:
        folder: An empty one, for everything.
        launcher: Of the runs.
        kills: At least so many.
        workers: Processes that read images, and threads that make batches.
        seed: Of when each kill strikes.
        say: Told after each project.

    Raises:
        AssertionError: A run failed that was not killed.
    """
    random, done = Random(f"{seed} {workers}"), Soaked()
    base = draw_folder(folder / "base", count=6)
    project = Project(base / "project")
    project.root.mkdir()
    project.settings_path.write_text(f"{_SETTINGS}workers: {workers}\nimages: {base / 'images'}\n")
    _finish(launcher, base, ["ingest", "-C", "project"])
    whole = shutil.copytree(base, folder / "whole")
    seconds, events = {}, {}
    for stage in STAGES:
        began = time.monotonic()
        _finish(launcher, whole, _command(stage, base))
        seconds[stage] = time.monotonic() - began
        events[stage] = int((whole / "events.txt").read_text())
    while sum(done.kills.values()) < kills:
        tried = shutil.copytree(base, folder / f"try-{done.projects}")
        for stage in STAGES:
            for _ in range(random.randint(1, 4)):
                # the work that is left gets less, so early moments are the more likely ones
                if random.random() < 0.5:
                    kind, place = "file", 1 + int(random.random() ** 2 * events[stage])
                    code = launcher.run(tried, _command(stage, base), die_at=place)
                else:
                    kind, end = "moment", time.monotonic() + random.random() ** 2 * seconds[stage]
                    code = launcher.run(tried, _command(stage, base), until=lambda end=end: time.monotonic() >= end)
                if code == 0:
                    done.undisturbed += 1
                    break
                assert code == -signal.SIGKILL, f"{stage} ended with {code}: {(tried / 'output.txt').read_text()}"
                done.kills[f"{stage}, {kind}"] += 1
            _finish(launcher, tried, _command(stage, base))
        done.projects += 1
        _compare(Project(whole / "project"), Project(tried / "project"), done)
        if say is not None:
            say(f"{workers} workers: {sum(done.kills.values())} kills, {done.lost} bytes lost")
        shutil.rmtree(tried)
    return done


def _command(stage: str, base: Path) -> list[str]:
    more = [str(base / "images"), "--overlay", "--confidence"] if stage == "predict" else []
    return [stage, *more, "-C", "project"]


def _finish(launcher: Launcher, folder: Path, command: list[str]) -> None:
    code = launcher.run(folder, command)
    assert code == 0, f"{command[0]} ended with {code}: {(folder / 'output.txt').read_text()}"


def _compare(whole: Project, tried: Project, done: Soaked) -> None:
    names = {path.relative_to(one.root) for one in (whole, tried) for path in one.root.rglob("*") if path.is_file()}
    for name in sorted(name for name in names if not _APART & set(name.parts)):
        before, after = whole.root / name, tried.root / name
        done.files += 1
        size = before.stat().st_size if before.exists() else 0
        done.bytes += size
        if not (before.exists() and after.exists() and _content(before) == _content(after)):
            done.lost += max(1, size)
            done.differing.append(str(name))
    logs = [read_json_lines(one.stage("predict") / "predictions.jsonl") for one in (whole, tried)]
    if len({json.dumps(_timeless({row["input"]: row for row in log}), sort_keys=True) for log in logs}) > 1:
        done.lost += 1
        done.differing.append("predictions.jsonl")
    for stage in ("pretrain", "train"):
        steps = [row["step"] for row in read_json_lines(tried.metrics(stage))]
        if steps != sorted(set(steps)) or steps[-1] != STEPS:
            done.lost += 1
            done.differing.append(f"{stage}: steps {steps}")
    done.differing += [f"{damage.path}: {damage.problem}" for damage in verify_project(tried).damages]


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return _timeless(read_json(path))
    if path.suffix == ".jsonl":
        return [_timeless(row) for row in read_json_lines(path)]
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in _TIMES}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value
