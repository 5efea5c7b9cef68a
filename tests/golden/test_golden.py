"""Projects of earlier days are read by the fs4 of today: one of each format is kept, as the fs4 of its day left it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fs4cli.cli.status import status_lines, status_of
from fs4cli.config import Settings
from fs4cli.data.cache import ImageCache
from fs4cli.data.index import read_index
from fs4cli.data.label_maps import LabelMaps
from fs4cli.data.masks import read_mask
from fs4cli.errors import ProjectError
from fs4cli.model.model_file import read_card
from fs4cli.planning.stage import open_stage
from fs4cli.progress import SilentProgress
from fs4cli.project.project import STAGES, Project
from fs4cli.project.record import read_record
from fs4cli.project.verify import verify_project
from fs4cli.settings_file import load_settings
from fs4cli.stages.predict import run_predict
from fs4cli.training.checkpoint import CheckpointFolder

GOLDEN = sorted(Path(__file__).parent.glob("format-*"))


@pytest.fixture(params=GOLDEN, ids=lambda folder: folder.name)
def golden(request, tmp_path) -> Path:
    """A copy: reading an old project may never depend on writing in it, but a stage that goes on writes."""
    return Path(shutil.copytree(request.param, tmp_path / "golden"))


@pytest.fixture
def project(golden) -> Project:
    return Project(golden / "done")


def _settings(project: Project) -> Settings:
    return load_settings(project.settings_path, environment={}).settings


def test_there_is_one_of_each_format():
    assert [folder.name for folder in GOLDEN] == ["format-1"]


def test_every_stage_is_still_done_and_nothing_is_stale_or_damaged(project):
    found = status_of(project, _settings(project))
    assert [(stage.stage, stage.state, stage.reasons) for stage in found.stages] == [
        (one, "done", ()) for one in STAGES
    ]
    assert any(line.startswith("train     done") for line in status_lines(found))
    assert verify_project(project).damages == ()


def test_a_stage_that_was_done_is_not_done_again(project):
    for stage in ("pretrain", "cluster", "train"):
        opened = open_stage(project, stage, _settings(project), progress=SilentProgress())
        assert opened.is_done
        assert opened.record == read_record(project, stage)


def test_its_images_cached_pixels_and_labels_are_read(project):
    entries = [entry for entry in read_index(project.index) if entry.state == "ok"]
    cache = ImageCache.open(project.cache)
    assert cache.image_ids == [entry.image_id for entry in entries]
    assert [pixels.shape for pixels in cache] == [(32, 32, 3)] * 4
    maps = LabelMaps(project.stage("train") / "round-1")
    assert len(maps) == 4 and maps[0].max() < 3


def test_its_model_makes_the_masks_that_it_made_then(golden, project, tmp_path):
    run_predict(
        [str(golden / "images")],
        out=tmp_path / "masks",
        project=None,
        model=project.model,
        settings=Settings.model_validate({"predict": {"size": 32}, "precision": "fp32", "device": "cpu"}),
        progress=SilentProgress(),
    )
    for path in sorted((tmp_path / "masks").glob("*.png")):
        before = read_mask(project.stage("predict") / "masks" / path.name)
        now = read_mask(path)
        assert now.shape == before.shape
        # another machine rounds in another way, and probabilities are sharpened along finer edges since
        assert np.mean(now == before) > 0.95
    assert len(list((tmp_path / "masks").glob("*.png"))) == 4


def test_its_checkpoint_is_gone_on_from(golden):
    step, state = CheckpointFolder(golden / "checkpoints").load_newest() or (0, {})
    assert step == 3
    assert torch.equal(state["objective"]["weight"], torch.arange(6.0).reshape(2, 3))


def _set_format(path: Path, number: int) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": number}))


@pytest.mark.parametrize(("number", "age"), [(999, "a newer fs4"), (0, "an older fs4")])
def test_a_record_or_cache_of_another_format_is_refused_in_words(project, number, age):
    _set_format(project.record("cluster"), number)
    with pytest.raises(ProjectError, match=f"written by {age}: it is of format {number}, and") as caught:
        read_record(project, "cluster")
    assert "fs4" in caught.value.hints[0]
    # status and verify say so, and go on with the rest
    stages = {stage.stage: stage for stage in status_of(project, Settings()).stages}
    assert stages["cluster"].state == "damaged" and age in stages["cluster"].reasons[0]
    assert stages["ingest"].state != "damaged"
    assert any(age in damage.problem for damage in verify_project(project).damages)

    _set_format(project.cache / "cache.json", number)
    with pytest.raises(ProjectError, match=f"written by {age}: it is of format {number}"):
        ImageCache.open(project.cache)


def test_checkpoints_and_models_of_a_newer_format_are_refused_in_words(golden, project):
    _set_format(golden / "checkpoints" / "manifest.json", 999)
    with pytest.raises(ProjectError, match="is of format 999, and this fs4 reads up to"):
        CheckpointFolder(golden / "checkpoints").load_newest()

    data = project.model.read_bytes()
    place = data.index(b'\\"format\\": 1')
    project.model.write_bytes(data[:place] + b'\\"format\\": 9' + data[place + len(b'\\"format\\": 1') :])
    with pytest.raises(ProjectError, match=r"written by a newer fs4 \(format 9\)"):
        read_card(project.model)
