"""How stages open and close: done, resumed, stale; values given once; the budget."""

import json
import re
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fs4cli.config import Settings
from fs4cli.data.batches import BatchSource
from fs4cli.duration import parse_duration
from fs4cli.errors import ConfigError, ProjectError, ResourceError
from fs4cli.planning.budget import measure_steps, plan_budget, plan_images
from fs4cli.planning.facts import read_facts
from fs4cli.planning.stage import OpenedStage, close_stage, find_stage_changes, open_stage, remove_stage, whole
from fs4cli.progress import SilentProgress
from fs4cli.project.plan import Planned
from fs4cli.project.project import Project
from fs4cli.project.record import read_record, recorded_value, write_record
from fs4cli.stages.ingest import run_ingest
from fs4cli.training.update import LossTerms


@pytest.fixture(scope="module")
def ingested(tmp_path_factory) -> Path:
    """A project of five photographs, ingested once."""
    folder = tmp_path_factory.mktemp("ingested")
    random = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for number in range(5):
        pixels = random.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.png")
    project = Project(folder / "project")
    run_ingest(project, _settings(workers=1), images=[str(folder / "photos")], progress=SilentProgress())
    return project.root


@pytest.fixture
def project(ingested, tmp_path) -> Project:
    shutil.copytree(ingested, tmp_path / "project")
    return Project(tmp_path / "project")


def _settings(**values) -> Settings:
    return Settings.model_validate({"preset": "tiny", **values})


def _open(project: Project, stage: str = "pretrain", *, fresh: bool = False, **values) -> OpenedStage:
    return open_stage(project, stage, _settings(**values), progress=SilentProgress(), fresh=fresh)


def _finish(project: Project, stage: str = "pretrain", output: str = "a", **values) -> None:
    close_stage(project, _open(project, stage, **values), outputs={"result": output}, summary={"steps": 3})


def test_a_stage_that_starts_is_on_disk_with_nothing_left_to_plan(project):
    opened = _open(project)
    assert not opened.is_done and not opened.is_resumed
    assert opened.settings.model.backbone == "resnet10t"
    assert whole(opened.settings.pretrain.steps) == 40
    assert read_record(project, "pretrain") == opened.record
    assert opened.record.state == "running"
    assert opened.record.settings["pretrain.steps"] == "auto"
    assert opened.record.planned["pretrain.steps"] == 40
    reason = json.loads(project.plan_path.read_text())["values"]["pretrain.steps"]["reason"]
    assert "tiny" in reason


def test_a_stage_without_the_one_before_names_the_command(tmp_path):
    with pytest.raises(ProjectError, match="pretrain needs the result of ingest") as caught:
        _open(Project(tmp_path))
    assert "fs4 ingest" in caught.value.hints[0]


def test_a_stage_that_was_stopped_goes_on_as_planned(project):
    first = _open(project)
    progress = SilentProgress()
    again = open_stage(project, "pretrain", _settings(), progress=progress)
    assert again.is_resumed and not again.is_done
    assert again.settings == first.settings
    assert progress.said == ["pretrain: going on where it stopped"]


def test_a_stage_that_is_done_is_done(project):
    _finish(project)
    opened = _open(project)
    assert opened.is_done and not opened.is_resumed
    assert opened.record.summary == {"steps": 3}
    assert opened.record.finished


@pytest.mark.parametrize("finish", [True, False])
def test_a_stale_stage_is_refused_with_what_changed(project, finish):
    if finish:
        _finish(project)
    else:
        _open(project)
        project.checkpoints("pretrain").mkdir()
    with pytest.raises(ProjectError, match="pretrain finished with" if finish else "pretrain stopped with") as caught:
        _open(project, pretrain={"learning_rate": 0.01})
    assert caught.value.details == ("pretrain.learning_rate changed 0.001 -> 0.01",)
    assert "--fresh" in caught.value.hints[0]


def test_a_stage_is_stale_when_what_it_read_changed(project):
    _finish(project)
    record = read_record(project, "ingest")
    assert record is not None
    write_record(project, replace(record, fingerprint="other images"))
    with pytest.raises(ProjectError) as caught:
        _open(project)
    assert caught.value.details == ("the result of ingest changed",)


def test_a_stage_that_was_refused_before_it_made_anything_starts_with_other_settings(project):
    _open(project, model={"backbone": "resnet1800"})  # a slip of the pen: it is on record, and no network was built
    opened = _open(project, model={"backbone": "resnet10t"})
    assert not opened.is_resumed
    assert opened.record.settings["model.backbone"] == "resnet10t"
    (project.checkpoints("pretrain")).mkdir()  # from here on there is something to lose
    with pytest.raises(ProjectError, match="pretrain stopped with other settings"):
        _open(project, model={"backbone": "resnet18"})


def test_a_stage_that_ends_removes_what_killed_runs_left_half_written_and_nothing_else(project):
    opened = _open(project)
    folder = project.stage("pretrain")
    half, own = folder / "level-1" / ".labels.npy.4242-0123abcd.tmp", folder / ".mine.tmp"
    half.parent.mkdir()
    plan, other = project.root / ".plan.json.4242-0123abcd.tmp", project.root / "mine" / ".a.4242-0123abcd.tmp"
    other.parent.mkdir()
    for path in (half, own, plan, other):
        path.touch()
    close_stage(project, opened, outputs={"result": "a"}, summary={})
    assert not half.exists() and not plan.exists()
    assert own.exists() and other.exists()


def test_fresh_starts_over_and_removes_what_was_made(project):
    _finish(project)
    (project.stage("pretrain") / "checkpoints").mkdir()
    project.pretrained.write_bytes(b"weights")
    opened = _open(project, fresh=True, pretrain={"learning_rate": 0.01})
    assert not opened.is_done and not opened.is_resumed
    assert [path.name for path in project.stage("pretrain").iterdir()] == ["record.json"]


def test_fresh_removes_nothing_if_it_cannot_start(project):
    _finish(project)
    project.pretrained.write_bytes(b"weights")
    with pytest.raises(ResourceError):
        _open(project, fresh=True, device="cuda:99")
    with pytest.raises(ConfigError):
        _open(project, fresh=True, pretrain={"crop": 90})
    assert project.pretrained.exists()
    assert _open(project).is_done


def test_pooled_features_outlive_a_fresh_start(project):
    level = project.stage("cluster") / "level-1"
    level.mkdir(parents=True)
    for name in ("features.npy", "features.json", "labels.npy"):
        (level / name).write_bytes(b"x")
    remove_stage(project, "cluster")
    assert sorted(path.name for path in level.iterdir()) == ["features.json", "features.npy"]


def test_values_given_once_stay_until_another_is_given(project):
    _open(project, pretrain={"learning_rate": 0.01}, seed=5)
    opened = _open(project)  # the same command without the options
    assert opened.is_resumed
    assert opened.settings.pretrain.learning_rate == 0.01
    assert opened.settings.seed == 5
    project.checkpoints("pretrain").mkdir()
    with pytest.raises(ProjectError) as caught:
        _open(project, seed=6)
    assert caught.value.details == ("seed changed 5 -> 6",)


def test_a_record_that_names_a_chosen_setting_but_not_its_value_is_read(project):
    open_stage(project, "pretrain", Settings(seed=3), progress=SilentProgress())
    record = read_record(project, "pretrain")
    assert record is not None and record.explicit == ["seed"]
    write_record(project, replace(record, settings={}))
    assert find_stage_changes(project, "pretrain", Settings()) is None
    assert open_stage(project, "pretrain", Settings(), progress=SilentProgress()).is_resumed


def test_settings_that_only_change_the_run_make_nothing_stale(project):
    _open(project)
    opened = _open(project, device="cpu", workers=3, budget="20m", pretrain={"checkpoint_every": 1.0})
    assert opened.is_resumed
    assert opened.settings.pretrain.checkpoint_every == 1.0


def test_what_changed_is_found_without_opening(project):
    assert find_stage_changes(project, "pretrain", _settings()) is None
    _open(project)
    assert find_stage_changes(project, "pretrain", _settings()) is None
    _finish(project)
    assert find_stage_changes(project, "pretrain", _settings()) == []
    assert find_stage_changes(project, "pretrain", _settings(seed=2)) == ["seed changed 0 -> 2"]
    shutil.rmtree(project.stage("ingest"))
    assert find_stage_changes(project, "pretrain", _settings()) == [
        "pretrain needs the result of ingest, which has not been run"
    ]


def test_later_stages_build_the_network_that_pretrain_trained(project):
    _finish(project)
    opened = _open(project, "cluster", preset="base")
    assert opened.settings.model.backbone == "resnet10t"
    assert recorded_value(project, "cluster", "model.backbone") == "resnet10t"
    assert json.loads(project.plan_path.read_text())["values"]["model.backbone"]["reason"] == "as in pretrain"


def test_a_value_is_recorded_as_planned_or_as_chosen(project):
    with pytest.raises(ProjectError, match="pretrain has not been run"):
        recorded_value(project, "pretrain", "pretrain.steps")
    _open(project, pretrain={"learning_rate": 0.01})
    assert recorded_value(project, "pretrain", "pretrain.steps") == 40
    assert recorded_value(project, "pretrain", "pretrain.learning_rate") == 0.01


def test_clusters_are_planned_for_the_levels_there_are(project):
    _finish(project)
    opened = _open(project, "cluster", cluster={"grids": [1, 8]})
    assert opened.settings.cluster.clusters == (2, 32)  # 5 and 320 cells, at least ten a cluster


def test_single_levels_may_be_left_to_the_plan(project):
    _finish(project)
    opened = _open(project, "cluster", cluster={"clusters": [3, "auto", 9]})
    assert opened.settings.cluster.clusters == (3, 2, 9)


@pytest.mark.parametrize(
    "cluster",
    [
        {"clusters": [3, 4]},
        {"grids": [1, 2], "clusters": [3, 4, 5]},
        {"grids": [1, 1]},
        {"grids": [0]},
        {"grids": [4, 1]},
    ],
)
def test_levels_that_contradict_each_other_are_refused(project, cluster):
    _finish(project)
    with pytest.raises(ConfigError, match="cluster.(clusters|grids)"):
        _open(project, "cluster", cluster=cluster)


@pytest.mark.parametrize("stage", ["pretrain", "train"])
def test_a_crop_off_the_grid_of_labels_is_refused_before_anything_is_spent(project, stage):
    with pytest.raises(ConfigError, match=rf"{stage}.crop 90 is no multiple of 4") as caught:
        _open(project, "pretrain", **{stage: {"crop": 90}})
    assert caught.value.hints == ("write 92",)


def _plan(project: Project, opened: OpenedStage, budget: str | None, cost: float = 0.5) -> OpenedStage:
    return plan_budget(project, opened, budget=budget, seconds_per_step=lambda: cost)


def _refuse() -> float:
    raise AssertionError("measured again")


def test_a_budget_sets_the_steps(project):
    planned = _plan(project, _open(project, budget="20m"), "20m", cost=0.5)
    assert planned.settings.pretrain.steps == 1160  # half of 1200 s less 40 at half a second
    assert recorded_value(project, "pretrain", "pretrain.steps") == 1160
    reason = json.loads(project.plan_path.read_text())["values"]["pretrain.steps"]["reason"]
    assert reason == "580 s of the budget of 20m at 0.500 s a step, measured"


@pytest.mark.parametrize(("budget", "seconds"), [("3m", 70), ("90s", 25), ("50s", 10)])
def test_what_is_done_beside_updates_is_taken_off_a_short_budget(project, budget, seconds):
    planned = _plan(project, _open(project, budget=budget), budget, cost=0.1)
    assert planned.settings.pretrain.steps == 10 * seconds  # a fifth of the shortest


def _plan_images(project: Project, opened: OpenedStage, budget: str | None, cost: float = 1.0) -> int:
    planned = plan_images(project, opened, budget=budget, seconds_per_image=lambda: cost)
    return whole(planned.settings.cluster.images)


def _open_cluster(project: Project, **values) -> OpenedStage:
    _finish(project)
    return _open(project, "cluster", **values)


@pytest.mark.parametrize(("cost", "images"), [(1.0, 3), (0.7, 4), (0.5, 5), (0.001, 5), (100.0, 2)])
def test_as_many_images_are_assigned_as_a_part_of_the_budget_is_enough_for(project, monkeypatch, cost, images):
    monkeypatch.setattr("fs4cli.planning.budget.LEAST_IMAGES", 2)
    assert _plan_images(project, _open_cluster(project, budget="20s"), "20s", cost) == images  # 3 of 20 s
    assert recorded_value(project, "cluster", "cluster.images") == images
    reason = json.loads(project.plan_path.read_text())["values"]["cluster.images"]["reason"]
    assert reason == (
        "all of them"
        if images == 5
        else f"as many as 15% of the budget of 20s is enough for, at {cost:.3f} s each, measured"
    )


def test_sixty_images_are_assigned_whatever_the_budget(project, monkeypatch):
    many = replace(read_facts(project, _settings()), images=1000)
    monkeypatch.setattr("fs4cli.planning.budget.read_facts", lambda *_: many)
    assert _plan_images(project, _open_cluster(project, budget="1s"), "1s", 9.0) == 60


def test_a_resumed_run_keeps_its_images(project):
    _plan_images(project, _open_cluster(project, budget="20s"), "20s")
    for budget in ("1s", None):
        again = _open(project, "cluster", budget=budget)
        assert plan_images(project, again, budget=budget, seconds_per_image=_refuse) is again


def test_a_number_of_images_that_somebody_chose_wins_over_the_budget(project):
    opened = _open_cluster(project, budget="20s", cluster={"images": 4})
    assert plan_images(project, opened, budget="20s", seconds_per_image=_refuse) is opened


def test_without_a_budget_the_number_of_images_is_planned_and_not_measured(project):
    opened = _open_cluster(project)
    assert opened.settings.cluster.images == 5
    assert plan_images(project, opened, budget=None, seconds_per_image=_refuse) is opened


def test_a_run_stopped_before_it_could_measure_images_may_go_on_without_a_budget(project):
    _open_cluster(project, budget="20s")
    again = plan_images(project, _open(project, "cluster"), budget=None, seconds_per_image=_refuse)
    assert again.settings.cluster.images == 5


def _finish_after(project: Project, stage: str, seconds: int) -> None:
    _finish(project, stage)
    record = read_record(project, stage)
    assert record is not None
    started = datetime.now(UTC) - timedelta(seconds=seconds)
    write_record(project, replace(record, started=started.isoformat(timespec="seconds")))


@pytest.mark.parametrize(
    ("pretrain", "cluster", "left"),
    [
        (500, 28, 412),  # 94 % of 1000 s, less what the two took
        (100, 28, 812),  # what pretraining did not need is train's
        (0, 0, 940),
        (90_000, 28, 150),  # a night without a budget leaves three twentieths all the same
    ],
)
def test_train_has_what_the_stages_before_left_of_the_budget(project, pretrain, cluster, left):
    _finish_after(project, "pretrain", pretrain)
    _finish_after(project, "cluster", cluster)
    planned = _plan(project, _open(project, "train", budget="1000s"), "1000s", cost=0.1)
    assert whole(planned.settings.train.steps) == pytest.approx(10 * left, abs=20)  # records count whole seconds


def test_the_first_grouping_is_part_of_the_budget(project):
    _finish(project)
    _finish(project, "cluster")
    opened = _open(project, "train", budget="1000s")
    began = datetime.now(UTC) - timedelta(seconds=240)
    opened = replace(opened, record=replace(opened.record, started=began.isoformat(timespec="seconds")))
    assert whole(_plan(project, opened, "1000s", cost=0.1).settings.train.steps) == pytest.approx(7000, abs=30)


@pytest.mark.parametrize(("after", "steps", "warnings"), [(20.0, 4000, 0), (80.0, 3500, 0), (900.0, 1500, 1)])
def test_where_assigning_anew_takes_long_training_has_less_or_a_warning_says_so(project, after, steps, warnings):
    _finish_after(project, "pretrain", 500)
    _finish_after(project, "cluster", 40)
    warned: list[str] = []
    planned = plan_budget(
        project,
        _open(project, "train", budget="1000s"),
        budget="1000s",
        seconds_per_step=lambda: 0.1,
        seconds_after=lambda: after,
        warn=warned.append,
    )

    assert whole(planned.settings.train.steps) == pytest.approx(steps, abs=30)
    assert len(warned) == warnings
    said = "9 min are gone, training takes 2 min more, and assigning all images anew 15 min"
    assert all(said in line for line in warned)


def test_a_short_budget_that_will_not_be_held_is_told_in_seconds(project):
    _finish_after(project, "pretrain", 60)
    _finish_after(project, "cluster", 40)
    warned: list[str] = []
    plan_budget(
        project,
        _open(project, "train", budget="100s"),
        budget="100s",
        seconds_per_step=lambda: 0.5,
        seconds_after=lambda: 10.0,
        warn=warned.append,
    )

    # three twentieths of the budget are for training, however late it is
    [said] = warned
    # by the clock: a busy machine adds some
    told = re.search(r"(\d+) s are gone, training takes 15 s more, and assigning all images anew 10 s", said)
    assert told is not None and 100 <= int(told[1]) < 119
    assert "larger `--budget`" in said


def test_counting_the_classes_is_part_of_the_budget(project, monkeypatch):
    _finish(project)

    def count(*_) -> Planned:
        time.sleep(1.2)
        return Planned(3, "three")

    monkeypatch.setattr("fs4cli.planning.stage.plan_classes", count)
    opened = _open(project, "cluster", classes="auto")
    assert datetime.now(UTC) - datetime.fromisoformat(opened.record.started) > timedelta(seconds=1)


def test_where_only_pretraining_learns_the_budget_is_for_that(project):
    opened = _open(project, budget="1000s", train={"method": "kmeans"})
    assert _plan(project, opened, "1000s", cost=0.5).settings.pretrain.steps == 1880


@pytest.mark.parametrize("edited", ["yesterday", "2026-01-01T00:00:00"])
def test_an_edited_clock_time_in_a_record_counts_as_no_time(project, edited):
    _finish(project)
    _finish(project, "cluster")
    path = project.record("pretrain")
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "started": edited}))
    opened = _open(project, "train", budget="1000s")
    assert whole(_plan(project, opened, "1000s", cost=0.1).settings.train.steps) == pytest.approx(9400, abs=20)


def test_a_resumed_run_keeps_the_steps_of_its_budget(project):
    _plan(project, _open(project, budget="20m"), "20m")
    for budget in ("20m", "8h", None):
        again = _open(project, budget=budget)
        assert plan_budget(project, again, budget=budget, seconds_per_step=_refuse) is again
        assert again.settings.pretrain.steps == 1160


def test_a_run_stopped_before_it_could_measure_measures_when_it_goes_on(project):
    _open(project, budget="20m")
    again = _open(project, budget="20m")
    assert again.is_resumed
    assert _plan(project, again, "20m").settings.pretrain.steps == 1160


def test_a_run_stopped_before_it_could_measure_may_go_on_without_a_budget(project):
    _open(project, budget="20m")
    assert plan_budget(project, _open(project), budget=None, seconds_per_step=_refuse).settings.pretrain.steps == 40


def test_a_run_without_a_budget_keeps_its_steps_when_one_is_given_later(project):
    _open(project)
    again = _open(project, budget="20m")
    assert plan_budget(project, again, budget="20m", seconds_per_step=_refuse).settings.pretrain.steps == 40


def test_steps_that_somebody_chose_win_over_the_budget(project):
    opened = _open(project, budget="20m", pretrain={"steps": 7})
    assert plan_budget(project, opened, budget="20m", seconds_per_step=_refuse).settings.pretrain.steps == 7


def test_the_shortest_budget_buys_twenty_steps(project):
    assert _plan(project, _open(project, budget="1s"), "1s", cost=9.0).settings.pretrain.steps == 20


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("20m", 1200), ("8h", 28800), ("1h30m", 5400), ("1.5h", 5400), ("45", 45), (" 2M ", 120)],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0s", "5d", "-3m", "20 m", "m", "1m1h", "1e9s", "nan"])
def test_other_words_are_no_durations(text):
    with pytest.raises(ConfigError, match="budget"):
        parse_duration(text)


def test_a_setting_that_was_not_planned_is_no_number():
    with pytest.raises(ValueError, match="'auto' has not been planned"):
        whole("auto")


def test_measuring_a_step_leaves_no_trace():
    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.BatchNorm2d(3)
            self.calls = 0

        def forward(self, batch, step):
            self.calls += 1
            loss = self.layer(batch.images.float()).square().mean() + torch.rand(())
            return LossTerms(loss, {})

    objective = Slow()
    source = BatchSource([np.zeros((8, 8, 3), np.uint8)], batch_size=2, window=(8, 8), seed=0)
    torch.manual_seed(0)
    before = torch.rand(1)
    torch.manual_seed(0)
    seconds = measure_steps(objective, source, device=torch.device("cpu"), precision="fp32")
    assert 0 < seconds < 1
    assert torch.equal(torch.rand(1), before)
    assert objective.calls == 0
    assert objective.layer.num_batches_tracked == 0
    assert objective.layer.weight.grad is None


def test_where_memory_is_short_an_update_is_measured_in_parts():
    sizes = []

    class Large(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, batch, step):
            sizes.append(len(batch))
            if len(batch) > 1:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
            return LossTerms(self.weight.sum(), {})

    source = BatchSource([np.zeros((8, 8, 3), np.uint8)], batch_size=4, window=(8, 8), seed=0)
    assert measure_steps(Large(), source, device=torch.device("cpu"), precision="fp32", rounds=1) > 0
    assert sizes == [4, 2] + 2 * [1, 1, 1, 1]
