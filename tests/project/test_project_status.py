import json
from dataclasses import replace
from pathlib import Path

import pytest

from fs4cli.config import Settings, stage_settings, with_values
from fs4cli.project.lock import lock_project
from fs4cli.project.project import NEEDS, STAGES, Project
from fs4cli.project.record import Record, finish_record, start_record, write_record
from fs4cli.project.status import ProjectStatus, StageStatus, read_status, why_start_over

JOB = ("ingest", "pretrain", "cluster", "train")


def begin(project: Project, stage: str, settings: Settings, inputs: dict[str, str]) -> Record:
    values, explicit = stage_settings(settings, stage)
    record = start_record(stage, settings=values, explicit=explicit, inputs=inputs, seed=0)
    project.stage(stage).mkdir(exist_ok=True)
    write_record(project, record)
    return record


def finish(project: Project, *stages: str, settings: Settings | None = None) -> dict[str, str]:
    """Run stages one after another, as far as records can tell."""
    made: dict[str, str] = {}
    for stage in stages:
        record = begin(project, stage, settings or Settings(), {name: made[name] for name in NEEDS[stage]})
        record = finish_record(record, outputs={"of": stage}, summary={"seconds": 130.0})
        write_record(project, record)
        made[stage] = record.fingerprint
    return made


def look(project: Project, settings: Settings | None = None, **more: bool) -> ProjectStatus:
    settings = settings or Settings()
    return read_status(project, {stage: stage_settings(settings, stage) for stage in STAGES}, **more)


def states(status: ProjectStatus) -> list[str]:
    return [stage.state for stage in status.stages if stage.stage in JOB]


def stage_of(status: ProjectStatus, name: str) -> StageStatus:
    return next(stage for stage in status.stages if stage.stage == name)


def add_checkpoints(project: Project, stage: str, *steps: int) -> Path:
    folder = project.checkpoints(stage)
    folder.mkdir(parents=True)
    rows = []
    for step in steps:
        path = folder / f"step-{step:07d}.pt"
        path.write_bytes(b"x" * 10)
        rows.append({"file": path.name, "step": step, "sha256": "", "bytes": 10})
    (folder / "manifest.json").write_text(json.dumps({"checkpoints": rows}))
    return folder


def test_an_empty_project_has_every_stage_missing_and_wants_images(tmp_path):
    status = look(Project(tmp_path))

    assert states(status) == ["missing"] * 4
    assert status.next_command == "fs4 train --images DIR"
    assert look(Project(tmp_path), has_images=True).next_command == "fs4 train"


def test_a_finished_project_is_done_and_predicts_next(tmp_path):
    finish(Project(tmp_path), *JOB)
    status = look(Project(tmp_path))

    assert states(status) == ["done"] * 4
    assert stage_of(status, "train").seconds == 130.0
    assert status.next_command == "fs4 predict IMAGE -o mask.png"
    assert status.stale == ()


def test_a_changed_setting_makes_its_stage_stale_and_what_stands_on_it_wait(tmp_path):
    finish(Project(tmp_path), *JOB)
    status = look(Project(tmp_path), with_values(Settings(), {"cluster.grids": (1, 2)}))

    assert states(status) == ["done", "done", "stale", "stale"]
    assert stage_of(status, "cluster").reasons == ("cluster.grids changed [1, 2, 4] -> [1, 2]",)
    assert stage_of(status, "train").reasons == ()
    assert stage_of(status, "train").waits_for == ("cluster",)
    assert status.stale == ("cluster", "train")
    assert status.next_command == "fs4 train --fresh"


@pytest.mark.parametrize(
    ("key", "value", "stale"),
    [
        ("ingest.cache_size", 128, 4),
        ("model.channels", 64, 3),
        ("pretrain.steps", 7, 3),
        ("classes", 5, 2),
        ("train.steps", 7, 1),
        ("predict.flip", False, 0),
        ("device", "cpu", 0),
        ("train.checkpoint_every", 5.0, 0),
        ("ingest.decode_seconds", 5.0, 0),
    ],
)
def test_a_setting_makes_exactly_the_stages_stale_that_depend_on_it(tmp_path, key, value, stale):
    finish(Project(tmp_path), *JOB)

    assert states(look(Project(tmp_path), with_values(Settings(), {key: value}))) == (
        ["done"] * (4 - stale) + ["stale"] * stale
    )


def test_a_value_given_once_on_the_command_line_stays_until_another_is_given(tmp_path):
    finish(Project(tmp_path), *JOB, settings=with_values(Settings(), {"classes": 5}))

    assert states(look(Project(tmp_path))) == ["done"] * 4
    assert states(look(Project(tmp_path), with_values(Settings(), {"classes": 6})))[2:] == ["stale", "stale"]


def test_another_result_of_an_earlier_stage_is_named(tmp_path):
    project = Project(tmp_path)
    finish(project, *JOB)
    record = begin(project, "pretrain", Settings(), {"ingest": finish(project, "ingest")["ingest"]})
    write_record(project, finish_record(record, outputs={"of": "another run"}, summary={}))
    status = look(project)

    assert states(status) == ["done", "done", "stale", "stale"]
    assert stage_of(status, "cluster").reasons == ("the result of pretrain changed",)
    assert stage_of(status, "train").reasons == ("the result of pretrain changed",)


def test_a_stopped_stage_says_from_which_step_it_goes_on(tmp_path):
    project = Project(tmp_path)
    made = finish(project, "ingest")
    record = begin(project, "pretrain", Settings(), made)
    write_record(project, replace(record, planned={"pretrain.steps": 5000}))
    add_checkpoints(project, "pretrain", 600, 1200)
    status = look(project)

    assert states(status) == ["done", "stopped", "missing", "missing"]
    assert (stage_of(status, "pretrain").step, stage_of(status, "pretrain").steps) == (1200, 5000)
    assert status.next_command == "fs4 train"


def test_a_checkpoint_that_was_cut_short_does_not_count(tmp_path):
    project = Project(tmp_path)
    begin(project, "pretrain", Settings(), finish(project, "ingest"))
    folder = add_checkpoints(project, "pretrain", 600, 1200)
    (folder / "step-0001200.pt").write_bytes(b"x")

    assert stage_of(look(project), "pretrain").step == 600


@pytest.mark.parametrize("text", ["", "[]", '{"checkpoints": [{"step": 3}]}', '{"checkpoints": 3}'])
def test_a_damaged_manifest_is_as_none(tmp_path, text):
    project = Project(tmp_path)
    begin(project, "pretrain", Settings(), finish(project, "ingest"))
    folder = add_checkpoints(project, "pretrain", 600)
    (folder / "manifest.json").write_text(text)

    assert stage_of(look(project), "pretrain").step is None


def test_a_run_that_failed_in_a_stage_is_told_until_the_next_run(tmp_path):
    project = Project(tmp_path)
    begin(project, "pretrain", Settings(), finish(project, "ingest"))
    with pytest.raises(MemoryError), lock_project(project, command=("fs4", "train")) as note:
        note.stage = "pretrain"
        raise MemoryError("no room")
    assert stage_of(look(project), "pretrain").state == "failed"
    assert stage_of(look(project), "pretrain").reasons == ("MemoryError: no room",)

    with lock_project(project, command=("fs4", "train")):
        pass
    assert stage_of(look(project), "pretrain").state == "stopped"


def test_a_stage_is_running_while_its_writer_holds_the_lock(tmp_path):
    project = Project(tmp_path)
    begin(project, "pretrain", Settings(), finish(project, "ingest"))
    with lock_project(project, command=("fs4", "pretrain")):
        status = look(project)

    assert stage_of(status, "pretrain").state == "running"
    assert status.is_running and status.run is not None and status.run.command == "fs4 pretrain"


def test_a_damaged_record_is_named_and_spares_the_other_stages(tmp_path):
    project = Project(tmp_path)
    finish(project, *JOB)
    project.record("cluster").write_text("{")
    status = look(project)

    assert states(status) == ["done", "done", "damaged", "stale"]
    assert str(project.record("cluster")) in stage_of(status, "cluster").reasons[0]
    assert status.next_command == "fs4 cluster --fresh"


@pytest.mark.parametrize(
    ("key", "value", "reasons"),
    [
        ("train.steps", 7, ("train.steps changed auto -> 7",)),
        ("pretrain.steps", 7, ("pretrain: pretrain.steps changed auto -> 7",)),
        ("predict.flip", False, ()),
        ("ingest.pattern", "*.png", ()),
    ],
)
def test_why_train_must_start_over_names_its_own_change_or_the_earlier_stages(tmp_path, key, value, reasons):
    finish(Project(tmp_path), *JOB)
    status = look(Project(tmp_path), with_values(Settings(), {key: value}))

    assert why_start_over("train", {stage.stage: stage for stage in status.stages}) == reasons


def test_images_that_are_to_be_read_again_may_be_the_same(tmp_path):
    finish(Project(tmp_path), *JOB)
    status = look(Project(tmp_path), with_values(Settings(), {"images": ("/moved",)}))

    assert states(status)[0] == "stale"
    assert status.next_command == "fs4 train"


def test_a_stage_stopped_half_way_with_other_settings_can_only_start_over(tmp_path):
    project = Project(tmp_path)
    begin(project, "pretrain", Settings(), finish(project, "ingest"))
    status = look(project, with_values(Settings(), {"pretrain.steps": 7}))

    assert status.next_command == "fs4 train --fresh"


def test_a_stopped_earlier_stage_alone_is_no_reason_to_start_over(tmp_path):
    project = Project(tmp_path)
    finish(project, *JOB)
    begin(project, "ingest", Settings(), {})
    status = look(project)

    assert states(status)[0] == "stopped"
    assert why_start_over("train", {stage.stage: stage for stage in status.stages}) == ()


def test_reading_the_status_writes_nothing(tmp_path):
    project = Project(tmp_path)
    finish(project, *JOB)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    look(project)

    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
