"""Which settings and inputs make which stages stale: those that shape their result, and no others."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from fs4cli.config import Settings, stage_settings, with_values
from fs4cli.planning.stage import find_stage_changes
from fs4cli.project.project import Project
from fs4cli.project.record import finish_record, read_inputs, read_record, start_record, write_record

STAGES = ("ingest", "pretrain", "cluster", "train", "predict", "evaluate")

# by setting or section: the stages whose own result it shapes
SHAPES = {
    "images": {"ingest"},
    "classes": {"cluster", "train"},
    "preset": {"pretrain", "cluster", "train"},
    "seed": {"pretrain", "cluster", "train"},
    "precision": {"pretrain", "train", "predict"},
    "budget": set(),
    "device": set(),
    "workers": set(),
    "ingest": {"ingest"},
    "model": {"pretrain", "cluster", "train"},
    "pretrain": {"pretrain"},
    "cluster": {"cluster"},
    "train": {"train"},
    "predict": {"predict", "evaluate"},
    "evaluate": {"evaluate"},
}
# within these sections: what changes only how fast or how loudly the stage runs
RUNS_ONLY = {
    "ingest.decode_seconds",
    "pretrain.checkpoint_every",
    "train.checkpoint_every",
    "predict.batch_size",
}


def _leaves(settings: BaseModel, prefix: str = "") -> dict[str, Any]:
    leaves = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        leaves |= _leaves(value, f"{prefix}{name}.") if isinstance(value, BaseModel) else {prefix + name: value}
    return leaves


def _another(key: str, value: Any) -> Any:
    """A valid value that is not `value`."""
    special = {
        "images": ("/elsewhere",),
        "preset": "base",
        "precision": "fp16",
        "budget": "3h",
        "device": "cpu",
        "model.backbone": "resnet50",
        "cluster.grids": (1, 3, 5),
        "cluster.clusters": (7, 8, 9),
        "ingest.pattern": "*.png",
        "pretrain.weights": "weights.safetensors",
        "train.grouping": "cues",
        "train.method": "mdc",
    }
    if key in special:
        return special[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value / 2
    return 64 if value == "auto" else value + 1


@pytest.fixture
def project(tmp_path) -> Project:
    """All stages done, with the default settings."""
    project = Project(tmp_path)
    for stage in STAGES:
        values, explicit = stage_settings(Settings(), stage)
        record = start_record(stage, settings=values, explicit=explicit, inputs=read_inputs(project, stage), seed=0)
        write_record(project, finish_record(record, outputs={"result of": stage}, summary={}))
    return project


def _stale(project: Project, settings: Settings) -> set[str]:
    return {stage for stage in STAGES if find_stage_changes(project, stage, settings) != []}


def test_nothing_changed_is_nothing_stale(project):
    assert _stale(project, Settings()) == set()


@pytest.mark.parametrize("key", sorted(_leaves(Settings())))
def test_a_changed_setting_makes_exactly_the_stages_stale_that_it_shapes(project, key):
    changed = with_values(Settings(), {key: _another(key, _leaves(Settings())[key])})
    assert _leaves(changed)[key] != _leaves(Settings())[key]
    expected = set() if key in RUNS_ONLY else SHAPES[key.split(".")[0]]

    assert _stale(project, changed) == expected
    for stage in expected:
        [reason] = find_stage_changes(project, stage, changed) or []
        assert reason.startswith(f"{key} changed ")


@pytest.mark.parametrize(
    ("stage", "stale"),
    [
        ("ingest", {"pretrain", "cluster", "train"}),
        ("pretrain", {"cluster", "train"}),
        ("cluster", {"train"}),
        ("train", {"predict", "evaluate"}),
    ],
)
def test_another_result_makes_all_stages_stale_that_read_it(project, stage, stale):
    record = read_record(project, stage)
    assert record is not None
    write_record(project, replace(record, fingerprint="of another run"))
    assert _stale(project, Settings()) == stale
    for later in stale:
        assert find_stage_changes(project, later, Settings()) == [f"the result of {stage} changed"]


def test_the_same_result_made_again_leaves_later_stages_alone(project):
    before = read_record(project, "pretrain")
    assert before is not None
    again = start_record(
        "pretrain", settings=before.settings, explicit=before.explicit, inputs=before.inputs, seed=before.seed
    )
    write_record(project, finish_record(again, outputs={"result of": "pretrain"}, summary={"seconds": 9}))
    assert _stale(project, Settings()) == set()


def test_a_stage_that_runs_again_makes_later_ones_wait(project):
    record = read_record(project, "pretrain")
    assert record is not None
    write_record(project, replace(record, state="running"))
    assert find_stage_changes(project, "pretrain", Settings()) is None
    assert find_stage_changes(project, "cluster", Settings()) == [
        "cluster needs the result of pretrain, which has not finished"
    ]


def test_a_value_that_was_chosen_once_is_not_changed_by_leaving_it_out(project):
    chosen = with_values(Settings(), {"train.learning_rate": 0.01, "classes": 5})
    for stage in ("cluster", "train"):
        values, explicit = stage_settings(chosen, stage)
        record = read_record(project, stage)
        assert record is not None
        write_record(project, replace(record, settings=values, explicit=sorted(explicit)))
    assert _stale(project, Settings()) == set()
    assert _stale(project, with_values(Settings(), {"classes": 5})) == set()
    assert _stale(project, with_values(Settings(), {"classes": 6})) == {"cluster", "train"}
