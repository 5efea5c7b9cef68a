import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fs4cli.config import PretrainSettings, Settings, TrainSettings, with_values
from fs4cli.demo.materials import MATERIALS
from fs4cli.demo.overview import GAP, HEAD, LINE
from fs4cli.demo.run import BUDGET, fill_settings, match_values, run_demo
from fs4cli.errors import ProjectError
from fs4cli.progress import SilentProgress
from fs4cli.project.project import Project
from fs4cli.project.record import read_record
from fs4cli.settings_file import load_settings


def test_classes_and_budget_are_the_demos_own_where_nobody_chose():
    filled = fill_settings(Settings(seed=4))

    assert (filled.classes, filled.budget, filled.seed) == (len(MATERIALS), BUDGET, 4)


def test_what_somebody_chose_stays():
    filled = fill_settings(Settings(classes=9, budget=None))

    assert (filled.classes, filled.budget) == (9, None)


def test_the_matching_of_a_report_is_turned_into_values():
    matched = match_values({"0": "grass", "2": None, "1": "sky"})

    assert matched.tolist() == [MATERIALS.index("grass"), MATERIALS.index("sky"), -1]


def test_clusters_that_a_report_does_not_name_have_no_class():
    assert match_values({"2": "sky"}).tolist() == [-1, -1, 0]
    assert match_values({}).tolist() == []


def test_a_folder_of_somebody_else_is_refused_before_anything_is_drawn(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"mine")

    with pytest.raises(ProjectError, match="is no demo of fs4"):
        run_demo(tmp_path, settings=Settings(), progress=SilentProgress())
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


TINY = Settings(preset="tiny", budget=None, pretrain=PretrainSettings(steps=20), train=TrainSettings(steps=20))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here") / "demo"
    return run_demo(folder, settings=TINY, progress=SilentProgress(), train=12, test=3)


@pytest.mark.slow
class TestWholeJob:
    def test_every_stage_is_done_and_the_scores_are_those_of_the_report(self, made):
        project = Project(made.project)
        report = json.loads((project.stage("evaluate") / "report.json").read_text())

        for stage in ("ingest", "pretrain", "cluster", "train", "evaluate"):
            record = read_record(project, stage)
            assert record is not None and record.state == "done"
        assert report["metrics"]["all"]["accuracy"] == made.accuracy
        assert report["metrics"]["all"]["miou"] == made.miou
        assert report["counted"]["images"] == 3

    def test_training_saw_only_the_images_that_are_for_it(self, made):
        rows = [json.loads(line) for line in Project(made.project).index.read_text().splitlines()]

        assert len(rows) == 12
        assert {row["root"] for row in rows} == {str(made.images.resolve())}

    def test_the_picture_has_a_row_for_each_held_out_scene(self, made):
        with Image.open(made.picture) as picture:
            assert picture.size == (GAP + 4 * (256 + GAP), HEAD + 3 * (192 + GAP) + LINE + GAP)

    def test_the_project_can_be_moved_with_its_images(self, made):
        text = (made.project / "fs4.yaml").read_text()
        settings = load_settings(made.project / "fs4.yaml", environment={}).settings

        assert '["../images/train"]' in text
        assert [Path(image) for image in settings.images] == [made.images]
        assert settings.classes == len(MATERIALS)

    def test_run_again_it_keeps_the_masks_and_says_the_same(self, made):
        masks = {path: path.stat().st_mtime_ns for path in made.masks.rglob("*.png")}
        folder = made.picture.parent
        again = run_demo(folder, settings=TINY, progress=SilentProgress(), train=12, test=3)

        assert len(masks) == 3
        assert {path: path.stat().st_mtime_ns for path in made.masks.rglob("*.png")} == masks
        assert np.isclose(again.accuracy, made.accuracy)

    def test_other_settings_are_refused_with_a_remedy_and_nothing_is_lost(self, made):
        model = (made.project / "train").rglob("*.safetensors")
        before = {path: path.stat().st_mtime_ns for path in model}
        other = with_values(TINY, {"seed": 8})

        with pytest.raises(ProjectError, match="with other settings") as error:
            run_demo(made.picture.parent, settings=other, progress=SilentProgress(), train=12, test=3)
        assert error.value.hints[0] == "choose a new folder, for example `fs4 demo ./try`"
        assert before and {path: path.stat().st_mtime_ns for path in before} == before
