"""A project folder that somebody tampered with: every file is read or refused by name, and nothing else is touched."""

import json
import shutil
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile import PATHS, WORDS, attempt, fuzz, harmed, json_files, tampered
from hypothesis import given
from hypothesis import strategies as st

from fs4cli.cli.report import as_plain, show_lines
from fs4cli.cli.status import status_lines, status_of
from fs4cli.config import Settings, stage_settings
from fs4cli.data.cache import ImageCache, is_untouched
from fs4cli.data.index import ImageEntry, entry_line, read_index
from fs4cli.data.journal import read_known
from fs4cli.data.output_tree import place_in_tree
from fs4cli.data.predictions import Prediction, PredictionLog
from fs4cli.data.shards import ShardWriter
from fs4cli.data.sources import FoundFile
from fs4cli.errors import ProjectError
from fs4cli.model.model_file import ModelCard, read_card
from fs4cli.planning.stage import open_stage
from fs4cli.progress import SilentProgress
from fs4cli.project.lock import read_run
from fs4cli.project.plan import read_plan
from fs4cli.project.project import NEEDS, STAGES, Project
from fs4cli.project.record import finish_record, read_record, start_record, write_record
from fs4cli.project.verify import verify_project
from fs4cli.training.checkpoint import CheckpointFolder

ENTRY = ImageEntry("0" * 16, "/photos", "a/b.jpg", 30, 40, 999, 123456789, "ab" * 32, "f" * 16, "ok", False, "JPEG")
PREDICTION = Prediction("/photos/a.jpg", "a", "written", "", ("overlay",), 99, 12345, "ab" * 32, "key", 30, 40)


def _finish(project: Project, stage: str) -> dict[str, Any]:
    values, explicit = stage_settings(Settings(), stage)
    inputs = {needed: read_record(project, needed).fingerprint for needed in NEEDS[stage]}  # type: ignore[union-attr]
    record = start_record(stage, settings=values, explicit=["classes", *explicit], inputs=inputs, seed=0)
    summary = {"seconds": 1.5, "images": 3, "bad": 1, "steps": 20}
    record = finish_record(record, outputs={"a": "b"}, summary=summary)
    write_record(project, record)
    return asdict(record)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Project:
    """Records of every stage, a cache, an index, a checkpoint."""
    project = Project(tmp_path_factory.mktemp("project"))
    for stage in STAGES:
        _finish(project, stage)
    shards = ShardWriter(project.cache, short_side=32, rules=1)
    shards.add(ENTRY.sha256, np.zeros((32, 40, 3), np.uint8))
    shards.publish([(ENTRY.image_id, ENTRY.sha256)])
    project.index.write_bytes(entry_line(ENTRY))
    CheckpointFolder(project.checkpoints("train")).save(3, {"a": torch.zeros(2)})
    project.plan_path.write_text(json.dumps({"schema": "fs4.plan/1", "facts": {}, "values": {}}))
    project.lock_path.parent.mkdir()
    return project


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy for one test; each input replaces one file of it."""
    return Project(shutil.copytree(finished.root, tmp_path / "project"))


RECORD = {
    "stage": "train",
    "state": "done",
    "settings": {"train.steps": 20, "classes": 5},
    "explicit": ["classes"],
    "inputs": {"ingest": "x"},
    "seed": 0,
    "planned": {"train.steps": 20},
    "outputs": {"model": "ab"},
    "fingerprint": "c",
    "summary": {"seconds": 3.5, "steps": 20, "images": 3},
    "versions": {"fs4cli": "0"},
    "started": "2026-01-01T00:00:00+00:00",
    "finished": "2026-01-01T00:01:00+00:00",
    "format": 1,
}


@fuzz
@given(data=json_files(RECORD), stage=st.sampled_from(("train", "cluster", "pretrain")))
def test_any_record_is_read_or_refused_by_status_and_by_the_stage(finished, data, stage):
    path = finished.record(stage)
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        attempt("record", finished.root / "nothing", lambda: read_record(finished, stage))
        attempt("status", finished.root / "nothing", lambda: _show_status(finished))
        attempt("verify", finished.root / "nothing", lambda: verify_project(finished))
        if read_or_none(finished, stage) is not None:  # without one the stage would begin
            attempt("stage", finished.root, lambda: _open(finished, stage))
    finally:
        path.write_bytes(before)


def read_or_none(project: Project, stage: str) -> object:
    try:
        return read_record(project, stage) or None
    except ProjectError as error:
        return error


def _open(project: Project, stage: str) -> None:
    record = read_record(project, stage)
    if record is not None and record.state == "running":
        (project.stage(stage) / "made").touch()  # a stage that made nothing would begin anew
    open_stage(project, stage, Settings(), progress=SilentProgress())


def _show_status(project: Project) -> None:
    found = status_of(project, Settings())
    json.dumps(as_plain(found), allow_nan=False)
    show_lines("\n".join(status_lines(found)))


@fuzz
@given(st.lists(st.one_of(tampered(json.loads(entry_line(ENTRY))).map(json.dumps), WORDS), max_size=3), st.booleans())
def test_any_index_is_read_or_refused(home, lines, is_cut):
    path = home / "index.jsonl"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass") + (b"" if is_cut else b"\n"))
    attempt("index", home / "nothing", lambda: [entry.place for entry in read_index(path)])
    attempt("known images", home / "nothing", lambda: read_known(path, home / "none", lambda text: None))


@fuzz
@given(st.lists(tampered(asdict(PREDICTION)), min_size=1, max_size=3))
def test_any_list_of_predictions_is_read_or_refused_and_leads_nowhere_else(home, rows):
    home = home / "masks"
    home.mkdir(exist_ok=True)
    (home / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = FoundFile("/photos", "a.jpg", 99, 12345)

    def read() -> None:
        log = PredictionLog(home)
        for job in place_in_tree([file], ["overlay"], home, home, log):
            for path in job.paths.values():
                assert path.resolve().is_relative_to(home.resolve()), path
        log.write_table()

    attempt("predictions", home, read)


@pytest.mark.parametrize("name", [name for name in PATHS if "\\" not in name and name not in ("", ".", "~root")])
def test_a_list_of_predictions_that_names_a_mask_elsewhere_is_refused(tmp_path, name):
    if name == "..":
        name = "../mask"
    (tmp_path / "predictions.jsonl").write_text(json.dumps({**asdict(PREDICTION), "output": name}) + "\n")
    with pytest.raises(ProjectError, match="outside its folder"):
        PredictionLog(tmp_path)


@fuzz
@given(st.data())
def test_any_cache_is_read_or_refused(finished, data):
    name = data.draw(st.sampled_from(("cache.json", "shard-000000.json")))
    path = finished.cache / name
    before = path.read_bytes()
    path.write_bytes(data.draw(json_files(json.loads(before))))
    copied = finished.root / "adopted"
    try:
        attempt("cache", finished.root / "nothing", lambda: _read_cache(finished.cache))
        shutil.copytree(finished.cache, copied)
        attempt("shards", finished.root, lambda: _adopt(copied))
    finally:
        path.write_bytes(before)
        shutil.rmtree(copied, ignore_errors=True)


def _read_cache(folder: Path) -> None:
    is_untouched(folder)
    cache = ImageCache.open(folder)
    assert len(cache.image_ids) == len(cache.sizes)


def _adopt(folder: Path) -> None:
    shards = ShardWriter(folder, short_side=32, rules=1)
    for sha256 in shards.places:
        assert shards.pixels(sha256).ndim == 3


CARD = ModelCard("resnet10t", 8, ("sky", "sea"), ((0, 0, 0), (9, 9, 9)), 64, versions={"fs4cli": "0"})


@fuzz
@given(st.one_of(tampered(asdict(CARD)).map(json.dumps), harmed([json.dumps(asdict(CARD)).encode()])), st.booleans())
def test_any_model_file_has_a_card_or_is_refused(home, card, is_harmed):
    text = card if isinstance(card, str) else card.decode("latin-1")
    header = json.dumps({"__metadata__": {"fs4_card": text}}).encode()
    data = struct.pack("<Q", len(header)) + header
    path = home / "model.safetensors"
    path.write_bytes(data[: len(data) // 2] if is_harmed else data)
    attempt("model card", home / "nothing", lambda: read_card(path))


@fuzz
@given(st.sampled_from(("manifest.json", "step-0000003.pt")), st.data())
def test_any_checkpoint_is_read_or_refused(finished, name, data):
    path = finished.checkpoints("train") / name
    kept = {each: each.read_bytes() for each in path.parent.iterdir()}
    value = json_files(json.loads(kept[path])) if name.endswith("json") else harmed([kept[path]])
    path.write_bytes(data.draw(value))
    try:
        attempt("checkpoint", path.parent, lambda: CheckpointFolder(path.parent).load_newest())
        attempt("verify", finished.root / "nothing", lambda: verify_project(finished))
    finally:
        for each, content in kept.items():
            each.write_bytes(content)


@fuzz
@given(data=json_files({"schema": "fs4.plan/1", "facts": {}, "values": {"a": {"value": 1, "reason": "b"}}}))
def test_any_plan_is_read_or_refused(finished, data):
    before = finished.plan_path.read_bytes()
    finished.plan_path.write_bytes(data)
    try:
        attempt("plan", finished.root / "nothing", lambda: read_plan(finished)["values"].items())
        attempt("verify", finished.root / "nothing", lambda: verify_project(finished))
    finally:
        finished.plan_path.write_bytes(before)


_RUN = {
    **{"pid": 1, "host": "here", "since": "2026-01-01T00:00:00+00:00", "command": "fs4 train", "ended": ""},
    **{"outcome": "failed", "stage": "train", "message": "disk full"},
}


@fuzz
@given(data=json_files(_RUN))
def test_any_note_of_the_last_run_is_shown_or_passed_over(finished, data):
    note = finished.lock_path.with_name("run.json")
    note.write_bytes(data)
    attempt("run note", finished.root / "nothing", lambda: read_run(finished))
    attempt("status", finished.root / "nothing", lambda: _show_status(finished))
    note.unlink()
