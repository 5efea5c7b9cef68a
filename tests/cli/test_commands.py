import json
import subprocess
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from PIL import Image

from fs4cli.config import Settings, stage_settings, with_values
from fs4cli.project.project import NEEDS, Project
from fs4cli.project.record import finish_record, start_record, write_record

JOB = ("ingest", "pretrain", "cluster", "train")
_OF_EVERY_RUN = (".fs4", "lock", "run.json", "logs", "fs4.log")


def finish_job(folder: Path, **settings) -> Project:
    """A project whose stages all have run, as far as records can tell."""
    project, made = Project(folder), {}
    chosen = with_values(Settings(), {key.replace("__", "."): value for key, value in settings.items()})
    for stage in JOB:
        values, explicit = stage_settings(chosen, stage)
        inputs = {name: made[name] for name in NEEDS[stage]}
        record = start_record(stage, settings=values, explicit=explicit, inputs=inputs, seed=0)
        summary = {"images": 8412, "bad": 11, "duplicates": 36} if stage == "ingest" else {"seconds": 130.0}
        record = finish_record(record, outputs={"of": stage}, summary=summary)
        write_record(project, record)
        made[stage] = record.fingerprint
    return project


@pytest.fixture
def stages(monkeypatch):
    """Replace the heavy modules by functions that note what they were called with."""
    calls: dict[str, SimpleNamespace] = {}

    def replace(module: str, function: str, result=None):
        def noted(*values, **named):
            calls[function] = SimpleNamespace(values=values, **named)
            return result(*values, **named) if callable(result) else result

        fake = types.ModuleType(module)
        setattr(fake, function, noted)
        monkeypatch.setitem(sys.modules, module, fake)

    replace("fs4cli.pipeline", "train_from_images", {"model": "m"})
    replace("fs4cli.stages.ingest", "run_ingest", {"images": 3})
    replace("fs4cli.stages.pretrain", "run_pretrain", {})
    replace("fs4cli.stages.cluster", "run_cluster", {})
    return SimpleNamespace(calls=calls, replace=replace)


class TestInit:
    def test_it_makes_a_folder_with_a_short_settings_file(self, fs4, tmp_path):
        outcome = fs4("init", "new/deep")

        assert outcome.code == 0
        assert outcome.out == "new/deep\n"
        assert [path.name for path in (tmp_path / "new/deep").iterdir()] == ["fs4.yaml"]
        assert len((tmp_path / "new/deep/fs4.yaml").read_text().splitlines()) <= 40
        assert "next: fs4 train --images DIR -C new/deep" in outcome.err

    def test_every_given_setting_is_written(self, fs4, tmp_path, monkeypatch):
        (tmp_path / "photos").mkdir()
        monkeypatch.setenv("FS4__TRAIN__STEPS", "9")  # of this shell, not of the project
        words = ["--seed", "3", "--device", "cpu", "--set", "images=photos", "--set", "cluster.grids=1,3"]
        outcome = fs4("init", "p", *words, "--set", "budget=20m")
        monkeypatch.delenv("FS4__TRAIN__STEPS")
        shown = json.loads(fs4("config", "show", "--json").out)["result"]
        written = {key: one["value"] for key, one in shown.items() if one["origin"] != "default"}

        assert written == {
            "images": [str(tmp_path / "photos")],
            "budget": "20m",
            "seed": 3,
            "device": "cpu",
            "cluster.grids": [1, 3],
        }
        assert "next: fs4 train -C p\n" in outcome.err

    def test_a_home_that_the_shell_did_not_spell_out_is_found(self, fs4, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        (tmp_path / "home" / "photos").mkdir(parents=True)
        fs4("init", "p", "--images=~/photos")
        shown = json.loads(fs4("config", "show", "--json", "-C", "p").out)["result"]

        assert shown["images"]["value"] == [str(tmp_path / "home" / "photos")]

    def test_given_images_and_classes_are_in_the_file(self, fs4, tmp_path):
        (tmp_path / "photos").mkdir()
        fs4("init", "p", "--images", "photos", "--classes", "5")
        shown = json.loads(fs4("config", "show", "--json").out)["result"]

        assert shown["images"] == {"value": [str(tmp_path / "photos")], "origin": "fs4.yaml line 3", "planned": None}
        assert shown["classes"]["value"] == 5

    @pytest.mark.parametrize("name", ["file.txt", ".hidden"])
    def test_a_folder_that_holds_something_else_is_refused_and_left_alone(self, fs4, tmp_path, name):
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / name).write_text("mine")
        outcome = fs4("init", "full")

        assert outcome.code == 5
        assert "`full` is not empty, and is not a project" in outcome.err
        assert [path.name for path in (tmp_path / "full").iterdir()] == [name]

    def test_an_empty_folder_is_welcome_and_a_file_is_not(self, fs4, tmp_path):
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").touch()

        assert fs4("init", "empty").code == 0
        assert fs4("init", "file").code == 5

    @pytest.mark.parametrize("words", [["--classes", "5"], ["--seed", "3"], ["--set", "classes=5"]])
    def test_a_project_is_left_as_it_is(self, fs4, project, words):
        (project / "fs4.yaml").write_text("classes: 9\n")
        outcome = fs4("init", "p", *words)

        assert outcome.code == 0
        assert "warning: `p/fs4.yaml` is left as it is" in outcome.err
        assert (project / "fs4.yaml").read_text() == "classes: 9\n"

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (["--classes", "1"], 3),
            (["--classes", "many"], 3),
            (["--images", "nowhere"], 4),
            (["--set", "nonsense=1"], 3),
            (["--set", "train.steps"], 2),
            (["--seed", "-1"], 3),
        ],
    )
    def test_a_mistake_leaves_no_folder_behind(self, fs4, tmp_path, words, code):
        assert fs4("init", "p", *words).code == code
        assert not (tmp_path / "p").exists()


class TestTrain:
    def test_images_and_no_project_anywhere_make_one_and_say_so(self, fs4, tmp_path, stages):
        (tmp_path / "photos").mkdir()
        outcome = fs4("train", "--images", "photos", "--classes", "5", "--budget", "20m")
        called = stages.calls["train_from_images"]
        root = tmp_path / "fs4-project"

        assert outcome.code == 0
        assert "no project here: making `./fs4-project`" in outcome.err
        assert called.values[0].root == root
        assert called.images == called.values[1].images == (str(tmp_path / "photos"),)
        assert (called.values[1].classes, called.values[1].budget) == (5, "20m")
        assert outcome.out == f"{root / 'train' / 'model.safetensors'}\n"
        assert "classes: 5" in (root / "fs4.yaml").read_text()
        assert '["../photos"]' in (root / "fs4.yaml").read_text()

    def test_the_project_is_found_the_second_time(self, fs4, tmp_path, stages):
        (tmp_path / "photos").mkdir()
        fs4("train", "--images", "photos")
        outcome = fs4("train")

        assert outcome.code == 0
        assert "the only one below the current folder" in outcome.err
        assert stages.calls["train_from_images"].images == (str(tmp_path / "photos"),)

    def test_no_images_and_no_project_is_an_error_that_lists_the_ways(self, fs4, tmp_path):
        outcome = fs4("train")

        assert outcome.code == 5
        assert "hint: `fs4 init myproject` makes a project\n" in outcome.err
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (["--classes", "1"], 3),
            (["--set", "a=1"], 3),
            (["--budget", "20mins"], 3),
            (["--images", "nowhere"], 4),
        ],
    )
    def test_a_mistake_makes_no_project(self, fs4, tmp_path, words, code):
        (tmp_path / "photos").mkdir()

        assert fs4("train", "--images", "photos", *words).code == code
        assert not (tmp_path / "fs4-project").exists()

    def test_a_folder_of_that_name_that_is_no_project_is_not_touched(self, fs4, tmp_path):
        (tmp_path / "photos").mkdir()
        (tmp_path / "fs4-project").mkdir()
        (tmp_path / "fs4-project" / "mine").touch()

        assert fs4("train", "--images", "photos").code == 5

    def test_hints_name_the_project_that_was_named(self, fs4, project):
        outcome = fs4("pretrain", "-C", "p")

        assert outcome.code == 5
        assert "hint: run `fs4 ingest -C p` first" in outcome.err

    def test_a_dry_run_says_which_stages_run_and_why_and_writes_nothing(self, fs4, project):
        finish_job(project)
        before = sorted(project.rglob("*"))
        outcome = fs4("train", "--dry-run", "--set", "cluster.grids=1,2")

        assert outcome.code == 0
        assert outcome.out.splitlines()[0].startswith("ingest    kept ")
        assert outcome.out.splitlines()[1:] == [
            "pretrain  kept           2m 10s",
            "cluster   runs           cluster.grids changed [1, 2, 4] -> [1, 2]",
            "train     needs --fresh  waits for cluster",
        ]
        assert sorted(project.rglob("*")) == before

    def test_a_dry_run_with_fresh_runs_train_alone(self, fs4, project):
        finish_job(project)
        plan = json.loads(fs4("train", "--dry-run", "--fresh", "--json").out)["result"]["stages"]

        assert [row["runs"] for row in plan] == [False, False, False, True]
        assert plan[3] == {"stage": "train", "runs": True, "needs_fresh": False, "why": "--fresh"}

    def test_a_dry_run_without_a_project_makes_none(self, fs4, tmp_path):
        (tmp_path / "photos").mkdir()
        outcome = fs4("train", "--dry-run", "--images", "photos")

        assert outcome.code == 0
        assert outcome.out.count("never ran") == 4
        assert not (tmp_path / "fs4-project").exists()

    def test_a_stale_result_is_refused_before_anything_runs(self, fs4, project):
        finish_job(project)
        before = sorted(project.rglob("*"))
        outcome = fs4("train", "--set", "pretrain.steps=7")

        assert outcome.code == 5
        assert "error: train finished with other settings or inputs\n  pretrain: pretrain.steps changed" in outcome.err
        removed = ", ".join(f"`{project / stage}`" for stage in JOB[1:])
        assert f"hint: `fs4 train --fresh` starts over and removes {removed}" in outcome.err
        assert [path for path in sorted(project.rglob("*")) if path.name not in _OF_EVERY_RUN] == before

    def test_fresh_names_what_goes_and_needs_yes_where_nobody_can_be_asked(self, fs4, project, stages, monkeypatch):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
        finish_job(project)
        refused = fs4("train", "--fresh")
        assert refused.code == 2 and stages.calls == {}
        assert f"removes `{project / 'train'}` (1 file, 0.0 MB)" in refused.err
        assert "hint: add `--yes` if they may go" in refused.err

        assert fs4("train", "--fresh", "--yes").code == 0
        assert stages.calls["train_from_images"].fresh is True

    def test_fresh_needs_no_yes_where_nothing_would_go(self, fs4, project, stages):
        assert fs4("train", "--fresh").code == 0

    @pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 2)])
    def test_fresh_asks_on_a_terminal(self, fs4, project, stages, monkeypatch, answer, code):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
        monkeypatch.setattr("typer.confirm", lambda *values, **named: answer)
        finish_job(project)

        assert fs4("train", "--fresh").code == code
        assert ("train_from_images" in stages.calls) is answer

    def test_ctrl_c_at_the_question_removes_nothing_and_is_exit_130(self, fs4, project, stages, monkeypatch):
        def interrupt(*values, **named):
            raise typer.Abort

        monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
        monkeypatch.setattr("typer.confirm", interrupt)
        finish_job(project)
        outcome = fs4("train", "--fresh", "--json")

        assert outcome.code == json.loads(outcome.out)["error"]["code"] == 130
        assert stages.calls == {}


@pytest.mark.parametrize(
    ("words", "function", "key", "value"),
    [
        (["pretrain", "--steps", "7"], "run_pretrain", "pretrain.steps", 7),
        (["pretrain", "--backbone", "resnet34"], "run_pretrain", "model.backbone", "resnet34"),
        (["cluster", "--classes", "7"], "run_cluster", "classes", 7),
        (["cluster", "--classes", "auto"], "run_cluster", "classes", "auto"),
        (["ingest", "--pattern", "*.png"], "run_ingest", "ingest.pattern", "*.png"),
        (["train", "--steps", "auto"], "train_from_images", "train.steps", "auto"),
        (["train", "--preset", "tiny"], "train_from_images", "preset", "tiny"),
        (["--seed", "4", "pretrain"], "run_pretrain", "seed", 4),
        (["pretrain", "--device", "cpu"], "run_pretrain", "device", "cpu"),
    ],
)
def test_an_option_reaches_the_stage_as_a_chosen_setting(fs4, project, stages, words, function, key, value):
    assert fs4(*words).code == 0
    settings = stages.calls[function].values[1]
    owner = settings
    for part in key.split(".")[:-1]:
        owner = getattr(owner, part)

    assert getattr(owner, key.split(".")[-1]) == value
    assert key.split(".")[-1] in owner.model_fields_set


class TestPredict:
    @pytest.fixture
    def predict(self, stages):
        def run(sources, *, out, **named):
            for source in sources:
                place = out if out is not None and out.suffix else (out or Path(".")) / f"{Path(source).stem}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(b"mask")
            return SimpleResult(written=list(sources), skipped=[], failed=[])

        stages.replace("fs4cli.stages.predict", "run_predict", run)
        return stages

    def test_one_image_goes_to_one_file_whose_path_is_printed(self, fs4, project, predict):
        outcome = fs4("predict", "a.jpg", "-o", "mask.png", "--overlay")
        called = predict.calls["run_predict"]

        assert (outcome.code, outcome.out) == (0, "mask.png\n")
        assert (called.values, called.out) == ((["a.jpg"],), Path("mask.png"))
        assert (called.overlay, called.confidence, called.probabilities) == (True, False, False)
        assert called.project.root == project

    def test_masks_that_go_elsewhere_leave_the_project_alone(self, fs4, project, predict):
        before = sorted(project.rglob("*"))
        fs4("predict", "a.jpg", "-o", "mask.png")

        assert sorted(project.rglob("*")) == before

    def test_a_dash_writes_the_mask_itself_to_stdout(self, project, tmp_path):
        code = (
            "import sys, types, pathlib\n"
            "stage = types.ModuleType('fs4cli.stages.predict')\n"
            "def run_predict(sources, *, out, **named):\n"
            "    out.write_bytes(b'\\x89PNG\\xff')\n"
            "    return types.SimpleNamespace(written=[out], skipped=[], failed=[])\n"
            "stage.run_predict = run_predict\n"
            "sys.modules['fs4cli.stages.predict'] = stage\n"
            "from fs4cli.cli.app import main\n"
            "main(['predict', 'a.jpg', '-o', '-'])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=tmp_path)

        assert (done.returncode, done.stdout) == (0, b"\x89PNG\xff")

    @pytest.mark.parametrize("words", [["a.jpg", "b.jpg"], ["."], ["a.jpg", "--overlay"], ["a.jpg", "--json"]])
    def test_a_dash_is_for_one_mask_of_one_image(self, fs4, project, predict, words):
        assert fs4("predict", *words, "-o", "-").code == 2

    def test_a_model_file_needs_no_project_but_a_place(self, fs4, predict, tmp_path):
        outcome = fs4("predict", "a.jpg", "--model", "m.safetensors", "-o", "out")
        called = predict.calls["run_predict"]

        assert outcome.code == 0
        assert (called.project, called.model) == (None, Path("m.safetensors"))
        assert fs4("predict", "a.jpg", "--model", "m.safetensors").code == 2

    def test_some_failed_images_are_exit_8_with_the_result_in_the_object(self, fs4, project, stages):
        result = SimpleResult(written=["a.png"], skipped=[], failed=[("b", "truncated")])
        stages.replace("fs4cli.stages.predict", "run_predict", result)
        value = json.loads(fs4("predict", "a", "b", "-o", "out", "--json").out)

        assert value["error"]["code"] == 8
        assert value["error"]["message"] == "1 of 2 images has no mask"
        assert value["error"]["details"] == ["`b`: truncated"]
        assert value["result"]["failed"] == [["b", "truncated"]]

    @pytest.mark.parametrize("out", ["out", "-"])
    def test_no_readable_image_at_all_is_exit_4(self, fs4, project, stages, out):
        failed = [(f"{number}.jpg", "truncated") for number in range(7)]
        result = SimpleResult(written=[], skipped=[], failed=failed)
        stages.replace("fs4cli.stages.predict", "run_predict", result)
        outcome = fs4("predict", "a", "-o", out)

        assert outcome.code == 4
        assert "error: no image could be read\n  `0.jpg`: truncated\n" in outcome.err
        assert "  and 2 more\n" in outcome.err


class SimpleResult(dict):
    """A result as a mapping whose values are attributes too."""

    __getattr__ = dict.__getitem__


class TestEvaluate:
    @pytest.fixture
    def masks(self, tmp_path):
        """Two classes; a quarter of the pixels is wrong: accuracy 3/4, IoU 2/3 and 1/2."""
        for folder, rows in (("labels", [[0, 0], [1, 1]]), ("masks", [[0, 0], [0, 1]])):
            (tmp_path / folder).mkdir()
            Image.fromarray(np.array(rows, np.uint8)).save(tmp_path / folder / "a.png")
        return ["--predictions", "masks", "--labels", "labels"]

    def test_ready_masks_are_scored_without_a_project(self, fs4, masks, tmp_path):
        outcome = fs4("evaluate", *masks, "-o", "report.json")
        metrics = json.loads((tmp_path / "report.json").read_text())["metrics"]["all"]

        assert (outcome.code, outcome.out) == (0, "report.json\n")
        assert metrics["accuracy"] == pytest.approx(0.75)
        assert metrics["miou"] == pytest.approx((2 / 3 + 1 / 2) / 2)
        assert "mIoU             58.33\n" in outcome.err
        assert "pixel accuracy   75.00\n" in outcome.err

    @pytest.mark.parametrize(("least", "code"), [("0.58", 0), ("0.59", 9)])
    def test_a_score_below_the_least_one_is_exit_9(self, fs4, masks, least, code):
        outcome = fs4("eval", *masks, "--min-miou", least, "--json", "-o", "r.json")
        value = json.loads(outcome.out)

        assert outcome.code == code and value["command"] == "evaluate"
        assert value["result"]["metrics"]["all"]["miou"] == pytest.approx(0.58333, abs=1e-4)
        if code:
            assert value["error"]["message"] == "mIoU 0.5833 is below `--min-miou 0.59`"


class TestStatus:
    def test_a_finished_project(self, fs4, project):
        finish_job(project)
        lines = fs4("status").out.splitlines()

        assert lines[0] == "project p   images 8,412 (11 quarantined, 36 duplicates)"
        assert lines[2] == "pretrain  done      2m 10s"
        assert lines[-1] == "next: fs4 predict IMAGE -o mask.png"

    def test_how_the_finished_model_divides_the_images_is_a_line_of_its_own(self, fs4, project):
        job = finish_job(project)
        record = json.loads(job.record("train").read_text())
        record["summary"]["health"] = {"effective_clusters": 2.93, "largest_share": 0.412, "view_agreement": 0.968}
        job.record("train").write_text(json.dumps(record))
        lines = fs4("status").out.splitlines()

        assert lines[5].strip() == (
            "2.9 classes in effective use, 41% of the pixels in the largest, 97% alike in another view"
        )

    def test_a_changed_setting_is_named_in_the_line_of_its_stage(self, fs4, project):
        finish_job(project)
        (project / "fs4.yaml").write_text("classes: 5\n")
        lines = fs4("status", "-C", "p").out.splitlines()

        assert lines[3] == "cluster   stale     classes changed 27 -> 5"
        assert lines[4] == "train     stale     classes changed 27 -> 5"
        assert lines[-1] == "next: fs4 train --fresh -C p"

    def test_a_stopped_stage_says_where_it_goes_on(self, fs4, project):
        job = finish_job(project)
        for stage in ("cluster", "train"):
            job.record(stage).unlink()
        record = json.loads(job.record("pretrain").read_text())
        record.update(state="running", fingerprint="", planned={"pretrain.steps": 5000})
        job.record("pretrain").write_text(json.dumps(record))
        job.checkpoints("pretrain").mkdir()
        (job.checkpoints("pretrain") / "step-0001200.pt").write_bytes(b"123")
        rows = [{"file": "step-0001200.pt", "step": 1200, "sha256": "", "bytes": 3}]
        (job.checkpoints("pretrain") / "manifest.json").write_text(json.dumps({"checkpoints": rows}))

        assert "pretrain  stopped   step 1,200/5,000, goes on from there" in fs4("status").out

    @pytest.mark.parametrize(("settings", "code"), [("", 0), ("classes: 5\n", 9)])
    def test_check_is_exit_9_for_a_stale_stage(self, fs4, project, settings, code):
        finish_job(project)
        (project / "fs4.yaml").write_text(settings)
        outcome = fs4("status", "--check", "--json")

        assert outcome.code == code
        assert [stage["state"] for stage in json.loads(outcome.out)["result"]["stages"]][:2] == ["done", "done"]


class TestConfigShow:
    def test_planned_values_stand_beside_auto_with_their_reason(self, fs4, project):
        values = {"train.crop": {"value": 96, "reason": "three quarters of the window"}}
        (project / "plan.json").write_text(json.dumps({"schema": "fs4.plan/1", "facts": {}, "values": values}))
        lines = {line.split(":")[0]: line for line in fs4("config", "show", "--origin").out.splitlines()}

        assert lines["train.crop"].startswith("train.crop: auto -> 96 ")
        assert lines["train.crop"].endswith("# default; plan.json: three quarters of the window")
        assert lines["train.steps"].startswith("train.steps: auto ")

    def test_a_chosen_value_hides_the_plan(self, fs4, project):
        values = {"train.crop": {"value": 96, "reason": "why"}}
        (project / "plan.json").write_text(json.dumps({"schema": "fs4.plan/1", "facts": {}, "values": values}))

        assert "train.crop: 64\n" in fs4("config", "show", "--set", "train.crop=64").out

    def test_verbose_says_what_was_chosen_and_where(self, fs4, project):
        outcome = fs4("status", "-v", "--set", "classes=5")

        assert "classes: 5 (--set)\n" in outcome.err
