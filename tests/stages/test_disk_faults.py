"""Every write of every stage meets a full, read-only, forbidden or vanished disk: named, nothing lost, it goes on."""

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from disk_faults import CODES, Fault, disk_fault, shorten
from toy_project import choose_tiny, draw_folder

from fs4cli.errors import ResourceError
from fs4cli.files import hash_file
from fs4cli.progress import SilentProgress
from fs4cli.project.project import STAGES, Project
from fs4cli.project.record import read_record
from fs4cli.project.verify import verify_project
from fs4cli.stages.cluster import run_cluster
from fs4cli.stages.evaluate import run_evaluate
from fs4cli.stages.ingest import run_ingest
from fs4cli.stages.predict import run_predict
from fs4cli.stages.pretrain import run_pretrain
from fs4cli.stages.train.stage import run_train

SETTINGS = choose_tiny(
    model__backbone="test_efficientnet",
    model__channels=8,
    pretrain__steps=1,
    pretrain__batch_size=2,
    train__steps=1,
    train__rounds=1,
    train__batch_size=2,
    train__grouping="features",  # what is written is the same, and found in a third of the time
    ingest__cache_size=32,
    predict__size=32,
    workers=1,
)

# what each stage writes; a write that is added must be added here, and is then tested
WRITES = {
    "ingest": {
        *("record.json", "journal.jsonl", "index.jsonl", "quarantine.csv", "near_duplicates.csv"),
        *("cache/shard-N.bin", "cache/shard-N.json", "cache/table-HASH.npy", "cache/cache.json"),
    },
    "pretrain": {
        *("record.json", "metrics.jsonl", "network.safetensors", "../plan.json"),
        *("checkpoints/manifest.json", "checkpoints/step-N.pt"),
    },
    "cluster": {
        *("record.json", "../plan.json", "level-N/features.npy", "level-N/features.json"),
        *("level-N/labels.npy", "level-N/centroids.npy"),
    },
    "train": {
        *("record.json", "metrics.jsonl", "model.safetensors", "model.json", "../plan.json"),
        *("checkpoints/manifest.json", "checkpoints/step-N.pt"),
        *("round-N/labels.bin", "round-N/confidence.bin", "round-N/table.npy", "round-N/expected.npz"),
        *("round-N/round.json", "round-N/grouping.json", "exposure.json"),
    },
    "predict": {"record.json", "classes.json", "predictions.jsonl", "predictions.csv", "masks/N.png"},
    "evaluate": {"record.json", "report.json", "confusion.npy"},
}


def _run(stage: str, project: Project) -> None:
    images, progress = [str(project.root.parent / "images")], SilentProgress()
    runs: dict[str, Callable[[], object]] = {
        "ingest": lambda: run_ingest(project, SETTINGS, images=images, progress=progress),
        "pretrain": lambda: run_pretrain(project, SETTINGS, progress=progress),
        "cluster": lambda: run_cluster(project, SETTINGS, progress=progress),
        "train": lambda: run_train(project, SETTINGS, progress=progress),
        "predict": lambda: run_predict(
            images, out=None, project=project, model=None, settings=SETTINGS, progress=progress
        ),
        "evaluate": lambda: run_evaluate(
            SETTINGS,
            labels=project.root.parent / "labels",
            images=project.root.parent / "images",
            project=project,
            progress=progress,
        ),
    }
    runs[stage]()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, tuple[Path, str, list[tuple[str, str]]]]:
    """By stage: a folder with the project as it was before, the fingerprint it comes to, and what it writes."""
    folder = draw_folder(tmp_path_factory.mktemp("undisturbed"), count=3)
    project, made = Project(folder / "project"), {}
    project.root.mkdir()
    for stage in STAGES:
        before = shutil.copytree(folder, folder.parent / f"before-{stage}-{folder.name}")
        with disk_fault(Fault(project.root)) as listing:
            _run(stage, project)
        record = read_record(project, stage)
        assert record is not None and record.state == "done"
        made[stage] = before, record.fingerprint, listing.seen
    return made


def _places(stage: str, seen: list[tuple[str, str]]) -> set[str]:
    return {place.removeprefix(f"{stage}/") if place.startswith(f"{stage}/") else f"../{place}" for _, place in seen}


def _hashes(project: Project, stage: str) -> dict[Path, str]:
    """Of every file of the other stages; `plan.json` is shared."""
    own = project.stage(stage)
    files = [path for path in project.root.rglob("*") if path.is_file() and own not in path.parents]
    return {path: hash_file(path) for path in files if path != project.plan_path}


def _strike(stage: str, before: Path, expected: str, fault: Fault) -> list[str]:
    """What went wrong with this fault: nothing, one hopes."""
    project = Project(before / "project")
    others = _hashes(project, stage)
    problems = []
    try:
        with disk_fault(fault):
            _run(stage, project)
        problems.append("was not told")
    except ResourceError as error:
        place = project.root / fault.place
        named = [shorten(os.path.relpath(word, project.root)) for word in re.findall(r"`([^`]+)`", error.message)]
        if not {fault.place, str(Path(fault.place).parent)} & set(named):  # the file, or the folder it lies in
            problems.append(f"did not name `{place}`: {error.message}")
        if not error.hints:
            problems.append("had no remedy")
    except Exception as error:
        problems.append(f"was {type(error).__name__}: {error}")
    if not fault.struck:
        problems.append("never happened")
    if _hashes(project, stage) != others:
        problems.append("changed another stage")
    problems += [f"left {damage.path.name}: {damage.problem}" for damage in verify_project(project).damages]
    _run(stage, project)  # the same again, with a disk that works
    record = read_record(project, stage)
    # a report names the folders it was made from, and every try has a folder of its own
    if record is None or record.state != "done" or (stage != "evaluate" and record.fingerprint != expected):
        problems.append("came to another result")
    problems += [f"kept {damage.path.name}: {damage.problem}" for damage in verify_project(project).damages]
    problems += [f"forgot {path.name}" for path in project.root.rglob("*.tmp")]
    return problems


def _strike_all(stage: str, undisturbed, tmp_path: Path, strikes: Iterable[tuple[str, str, int]]) -> list[str]:
    before, expected, _ = undisturbed[stage]
    problems = []
    for number, (kind, place, code) in enumerate(strikes):
        copied = shutil.copytree(before, tmp_path / str(number))
        fault = Fault(copied / "project", kind, place, code)
        found = _strike(stage, copied, expected, fault)
        problems += [f"{errno.errorcode[code]} at {kind} of {place}: {problem}" for problem in found]
        shutil.rmtree(copied)
    return problems


@pytest.mark.parametrize("stage", STAGES)
def test_all_that_a_stage_writes_is_known(undisturbed, stage):
    assert _places(stage, undisturbed[stage][2]) == WRITES[stage]


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_gives_out_at_any_file_is_named_nothing_is_lost_and_the_same_command_goes_on(
    undisturbed, stage, tmp_path
):
    # each place once, by turns when it is opened, by each of the four, and when it is written; all of all are below
    kinds: dict[str, list[str]] = {}
    for kind, place in undisturbed[stage][2]:
        kinds.setdefault(place, []).extend([kind] if kind != "rename" else [])
    strikes = []
    for turn, (place, possible) in enumerate(kinds.items()):
        kind = possible[turn % len(possible)]
        strikes.append((kind, place, errno.ENOSPC if kind == "write" else CODES[turn // 2 % 4]))
    assert strikes and _strike_all(stage, undisturbed, tmp_path, strikes) == []


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_each_kind_of_failure_at_each_step_of_each_file(undisturbed, stage, tmp_path):
    strikes = [(kind, place, code) for kind, place in undisturbed[stage][2] for code in CODES]
    assert _strike_all(stage, undisturbed, tmp_path, strikes) == []
