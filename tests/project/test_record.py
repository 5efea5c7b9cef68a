import json

import pytest

from fs4cli.errors import ProjectError
from fs4cli.project.project import Project
from fs4cli.project.record import find_changes, finish_record, read_inputs, read_record, start_record, write_record


def record_of(stage="train", *, explicit=(), **settings):
    return start_record(stage, settings=settings, explicit=explicit, inputs={"pretrain": "abc"}, seed=3)


def changes(record, *, explicit=(), inputs=None, **settings):
    return find_changes(record, settings=settings, explicit=explicit, inputs=inputs or {"pretrain": "abc"})


def test_a_record_reads_back_as_it_was_written(tmp_path):
    project = Project(tmp_path)
    record = finish_record(record_of(steps=5), outputs={"a": 1}, summary={"images": 7})
    write_record(project, record)

    assert read_record(project, "train") == record
    assert read_record(project, "ingest") is None


def test_equal_settings_and_inputs_are_no_change():
    assert changes(record_of(steps=5, grids=(1, 2)), steps=5, grids=[1, 2]) == []


def test_a_changed_setting_and_a_changed_input_are_named():
    found = changes(record_of(steps=5), steps=6, explicit=["steps"], inputs={"pretrain": "def"})

    assert found == ["steps changed 5 -> 6", "the result of pretrain changed"]


def test_what_was_chosen_once_stays_when_nobody_chooses_now():
    record = record_of(steps=5, explicit=["steps"])

    assert changes(record, steps="auto") == []
    assert changes(record, steps=6, explicit=["steps"]) == ["steps changed 5 -> 6"]


def test_a_default_that_is_another_since_is_no_change():
    assert changes(record_of(steps=5), steps=6) == []


def test_a_setting_that_the_older_fs4_did_not_have_is_no_change():
    assert changes(record_of(steps=5), steps=5, newer=True) == []


def test_the_fingerprint_depends_on_what_was_made_alone():
    first = finish_record(record_of(steps=5), outputs={"a": 1, "b": 2}, summary={"seconds": 1})
    second = finish_record(record_of(steps=6), outputs={"b": 2, "a": 1}, summary={"seconds": 9})

    assert first.fingerprint == second.fingerprint != finish_record(record_of(), outputs={}, summary={}).fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is damaged"),
        ('{"format": 2}', "written by a newer fs4: it is of format 2, and this fs4 reads format 1"),
        ('{"format": 0}', "written by an older fs4: it is of format 0, and this fs4 reads format 1"),
        ('{"format": "2"}', "is not a record"),
        ("[]", "is not a record"),
        ('{"format": 1, "stage": "train", "state": "gone"}', "is not a record: `state` is not as fs4 writes it"),
        (json.dumps({"format": 1, "who": 1}), "is not a record"),
    ],
)
def test_a_record_that_cannot_be_read_is_a_project_error(tmp_path, text, message):
    project = Project(tmp_path)
    project.stage("train").mkdir()
    project.record("train").write_text(text)
    with pytest.raises(ProjectError, match=message):
        read_record(project, "train")


def test_a_missing_or_unfinished_stage_names_the_command_to_run(tmp_path):
    project = Project(tmp_path)
    with pytest.raises(ProjectError, match="pretrain needs the result of ingest, which has not been run") as caught:
        read_inputs(project, "pretrain")
    assert caught.value.hints == ("run `fs4 ingest` first",)

    project.stage("ingest").mkdir()
    write_record(project, record_of("ingest"))
    with pytest.raises(ProjectError, match="which has not finished"):
        read_inputs(project, "pretrain")
