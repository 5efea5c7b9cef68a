"""Staleness as a property: whatever changes, exactly the stages that depend on it are stale, and each says why."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fs4cli.config import Settings, stage_settings, with_values
from fs4cli.errors import ProjectError
from fs4cli.planning.stage import find_stage_changes, open_stage
from fs4cli.progress import SilentProgress
from fs4cli.project.project import STAGES, Project
from fs4cli.project.record import finish_record, read_inputs, read_record, start_record, write_record
from fs4cli.project.status import read_status

# What each stage depends on, written down a second time: a mistake in the program's own table shows here.
OWN = {
    "ingest": "images ingest.pattern ingest.cache_size ingest.max_pixels ingest.max_bad_share"
    " ingest.near_duplicate_distance",
    "pretrain": "preset seed precision model.backbone model.channels pretrain.weights pretrain.steps"
    " pretrain.batch_size pretrain.window pretrain.crop pretrain.learning_rate",
    "cluster": "classes preset seed model.backbone model.channels cluster.images"
    " cluster.grids cluster.clusters cluster.balanced",
    "train": "classes preset seed precision model.backbone model.channels train.steps train.batch_size train.window"
    " train.crop train.learning_rate train.method train.pyramid train.context train.grouping"
    " train.exposure train.refine train.prior train.rounds",
    "predict": "precision predict.size predict.flip predict.refine",
    "evaluate": "predict.size predict.flip predict.refine evaluate.void",
}
READS = {
    "ingest": (),
    "pretrain": ("ingest",),
    "cluster": ("ingest", "pretrain"),
    "train": ("ingest", "pretrain", "cluster"),
    "predict": ("train",),
    "evaluate": ("train",),
}
# changes how fast or how loudly something runs, not what it makes
NOBODYS = (
    "budget device workers ingest.decode_seconds pretrain.checkpoint_every train.checkpoint_every predict.batch_size"
).split()

_COUNT = st.one_of(st.just("auto"), st.integers(1, 10_000))
_RATE = st.floats(1e-6, 1.0)
_SIDE = st.one_of(st.just("auto"), st.integers(32, 2048))
_WORD = st.text("abcdefghij_0123456789", min_size=1, max_size=12)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "images": st.lists(_WORD.map("/data/{}".format), max_size=3).map(tuple),
    "classes": st.one_of(st.just("auto"), st.integers(2, 1000)),
    "preset": st.sampled_from(["auto", "tiny", "small", "base", "large"]),
    "budget": st.sampled_from([None, "90s", "20m", "1h30m"]),
    "seed": st.integers(0, 2**31 - 1),
    "device": st.sampled_from(["auto", "cpu", "cuda:1"]),
    "precision": st.sampled_from(["auto", "fp32", "bf16", "fp16"]),
    "workers": st.one_of(st.just("auto"), st.integers(0, 64)),
    "ingest.pattern": st.sampled_from(["*", "*.png", "a?.jpg"]),
    "ingest.cache_size": st.integers(32, 4096),
    "ingest.max_pixels": st.integers(1, 10**9),
    "ingest.max_bad_share": st.floats(0, 1),
    "ingest.near_duplicate_distance": st.integers(0, 64),
    "ingest.decode_seconds": st.floats(0.1, 1e3),
    "model.backbone": _WORD,
    "model.channels": st.integers(8, 1024),
    "pretrain.weights": st.one_of(st.none(), _WORD.map("/weights/{}".format)),
    "pretrain.steps": _COUNT,
    "pretrain.batch_size": _COUNT,
    "pretrain.window": _SIDE,
    "pretrain.crop": _SIDE,
    "pretrain.learning_rate": _RATE,
    "pretrain.checkpoint_every": st.floats(0.001, 1e4),
    "cluster.images": _COUNT,
    "cluster.grids": st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True).map(tuple),
    "cluster.clusters": st.one_of(st.just("auto"), st.lists(_COUNT, min_size=1, max_size=4).map(tuple)),
    "cluster.balanced": st.booleans(),
    "train.steps": _COUNT,
    "train.batch_size": _COUNT,
    "train.window": _SIDE,
    "train.crop": _SIDE,
    "train.learning_rate": _RATE,
    "train.pyramid": st.booleans(),
    "train.context": st.booleans(),
    "train.method": st.sampled_from(["fs4", "picie", "picie-as-released", "mdc", "kmeans"]),
    "train.grouping": st.sampled_from(["auto", "cues", "features"]),
    "train.refine": st.booleans(),
    "train.exposure": st.booleans(),
    "train.prior": st.booleans(),
    "train.rounds": st.integers(1, 20),
    "train.checkpoint_every": st.floats(0.001, 1e4),
    "predict.size": _SIDE,
    "predict.batch_size": _COUNT,
    "predict.flip": st.booleans(),
    "predict.refine": st.booleans(),
    "evaluate.void": st.integers(0, 65535),
}


@st.composite
def _choices(draw: st.DrawFn, most: int = 8) -> dict[str, Any]:
    """Some settings that somebody chose."""
    keys = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=most, unique=True))
    return {key: draw(VALUES[key]) for key in keys}


def _read(chosen: Settings, key: str) -> Any:
    value: Any = chosen
    for part in key.split("."):
        value = getattr(value, part)
    return value


@contextmanager
def _finished(chosen: Settings) -> Iterator[Project]:
    """A project in which every stage is done with these settings."""
    folder = Path(tempfile.mkdtemp())
    project = Project(folder)
    try:
        for stage in STAGES:
            values, explicit = stage_settings(chosen, stage)
            record = start_record(stage, settings=values, explicit=explicit, inputs=read_inputs(project, stage), seed=0)
            write_record(project, finish_record(record, outputs={"result of": stage}, summary={}))
        yield project
    finally:
        shutil.rmtree(folder)


def _expect(stage: str, before: dict[str, Any], now: dict[str, Any], results: set[str]) -> set[str]:
    """What the message is to name: settings, and earlier stages whose result is another one."""
    names = set()
    for key in OWN[stage].split():
        default = _read(Settings(), key)
        old = before.get(key, default)
        new = now.get(key, old)  # a value that was given once stays until another one is given
        if old != new:
            names.add(key)
    return names | {f"the result of {earlier}" for earlier in READS[stage] if earlier in results}


def _named(reasons: Any) -> set[str]:
    return {re.sub(r" changed.*$", "", reason, flags=re.DOTALL) for reason in reasons}


def test_every_setting_is_tried():
    assert set(VALUES) == {key for keys in OWN.values() for key in keys.split()} | set(NOBODYS)
    known = {key for stage in STAGES for key in stage_settings(Settings(), stage)[0]}
    assert known | set(NOBODYS) == set(VALUES), "a setting was added: say above which stages depend on it"


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(before=_choices(), now=_choices(), results=st.sets(st.sampled_from(STAGES)))
def test_a_change_marks_exactly_the_stages_that_depend_on_it_and_the_message_names_it(before, now, results):
    with _finished(with_values(Settings(), before)) as project:
        for stage in results:
            record = read_record(project, stage)
            assert record is not None
            write_record(project, replace(record, fingerprint=f"another {stage}"))
        chosen = with_values(Settings(), now)
        status = {
            one.stage: one for one in read_status(project, {one: stage_settings(chosen, one) for one in STAGES}).stages
        }
        for stage in STAGES:
            expected = _expect(stage, before, now, results)
            reasons = find_stage_changes(project, stage, chosen)
            assert reasons is not None and _named(reasons) == expected, stage
            assert len(reasons) == len(expected), "each is named once"
            assert _named(status[stage].reasons) == expected
            # later stages wait for those that will be made again, whether their own settings changed or not
            waits = {earlier for earlier in READS[stage] if status[earlier].state == "stale"}
            assert set(status[stage].waits_for) == waits
            assert status[stage].state == ("stale" if expected or waits else "done")
            if stage in ("pretrain", "cluster", "train"):
                _check_refusal(project, stage, chosen, reasons)


def _check_refusal(project: Project, stage: str, chosen: Settings, reasons: list[str]) -> None:
    """The command itself says the same, and removes nothing."""
    record = read_record(project, stage)
    if not reasons:
        assert open_stage(project, stage, chosen, progress=SilentProgress()).is_done
        return
    with pytest.raises(ProjectError) as caught:
        open_stage(project, stage, chosen, progress=SilentProgress())
    assert caught.value.details == tuple(reasons)
    assert f"fs4 {stage} --fresh" in caught.value.hints[0]
    assert read_record(project, stage) == record
