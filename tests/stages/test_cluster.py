"""Pretrained network to pyramid pseudo-labels."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_project import Stopping, choose_tiny, draw_folder

from fs4cli.config import Settings
from fs4cli.data.cache import ImageCache
from fs4cli.data.chosen import draw_positions
from fs4cli.data.label_maps import LabelMaps
from fs4cli.errors import Interrupted, ProjectError
from fs4cli.model.extraction import extract_maps
from fs4cli.model.network import load_network
from fs4cli.progress import SilentProgress
from fs4cli.project.plan import read_plan
from fs4cli.project.project import Project
from fs4cli.project.record import read_record
from fs4cli.stages import cluster
from fs4cli.stages.cluster import ClusterResult, run_cluster
from fs4cli.stages.ingest import run_ingest
from fs4cli.stages.pretrain import run_pretrain
from fs4cli.stages.train.stage import run_train
from fs4cli.training import class_count
from fs4cli.training.assigning import measure_assigning

IMAGES = 12


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Path:
    folder = draw_folder(tmp_path_factory.mktemp("toy"), count=IMAGES)
    project = Project(folder / "project")
    run_ingest(project, choose_tiny(), images=[str(folder / "images")], progress=SilentProgress())
    run_pretrain(project, choose_tiny(pretrain__steps=2), progress=SilentProgress())
    return project.root


@pytest.fixture
def project(pretrained, tmp_path) -> Project:
    return Project(shutil.copytree(pretrained, tmp_path / "project"))


def _cluster(project: Project, settings: Settings | None = None, **options) -> ClusterResult:
    settings = settings or choose_tiny()
    return run_cluster(project, settings, progress=options.pop("progress", SilentProgress()), **options)


def _labels(project: Project, grid: int) -> np.ndarray:
    return np.load(project.stage("cluster") / f"level-{grid}" / "labels.npy")


def _count_extracted(monkeypatch) -> list[int]:
    extracted: list[int] = []

    def watched(*args, **options):
        for maps in extract_maps(*args, **options):
            extracted.append(maps.position)
            yield maps

    monkeypatch.setattr(cluster, "extract_maps", watched)
    return extracted


def test_every_cell_of_every_image_has_a_soft_label(project):
    result = _cluster(project, choose_tiny(cluster__clusters=(2, 4, 6)))
    assert result.images == IMAGES and result.is_new
    assert [(level["grid"], level["clusters"]) for level in result.levels] == [(1, 2), (2, 4), (4, 6)]
    for grid, clusters in ((1, 2), (2, 4), (4, 6)):
        labels = _labels(project, grid)
        assert labels.shape == (IMAGES, grid**2, clusters)
        assert np.allclose(labels.sum(2), 1, atol=1e-5)


def test_features_are_the_means_over_the_cells(project):
    _cluster(project)
    network = load_network(project.pretrained, "test_resnet", 16)
    [maps] = extract_maps(
        network, ImageCache.open(project.cache), [5], short_side=64, device=torch.device("cpu"), precision="fp32"
    )
    assert maps.features.shape[:2] == (16, 16)
    stored = [np.load(project.stage("cluster") / f"level-{grid}" / "features.npy")[5] for grid in (1, 2)]
    assert np.allclose(stored[0][0], maps.features.mean((0, 1)), atol=1e-4)
    assert np.allclose(stored[1][1], maps.features[:8, 8:].mean((0, 1)), atol=1e-4)


def test_of_some_images_only_those_have_labels_and_train_learns_from_them_alone(project):
    settings = choose_tiny(cluster__images=5, train__rounds=1, train__steps=2)
    progress = SilentProgress()
    assert _cluster(project, settings, progress=progress).images == 5
    assert f"cluster: 5 of {IMAGES} images, drawn at random; the plan says why" in progress.said
    positions = draw_positions(IMAGES, 5, seed=0)
    features = np.load(project.stage("cluster") / "level-1" / "features.npy")
    network, cache = load_network(project.pretrained, "test_resnet", 16), ImageCache.open(project.cache)
    looks = {"short_side": 64, "device": torch.device("cpu"), "precision": "fp32"}
    own = [maps.features.mean((0, 1)) for maps in extract_maps(network, cache, positions.tolist(), **looks)]
    assert np.allclose(features[:, 0], np.stack(own), atol=1e-4)

    run_train(project, settings, progress=SilentProgress())
    record = read_record(project, "train")
    assert record is not None and record.summary["images"] == 5
    assert len(LabelMaps(project.stage("train") / "round-1")) == 5


def test_more_images_than_there_are_is_all_of_them(project):
    assert _cluster(project, choose_tiny(cluster__images=IMAGES + 1)).images == IMAGES


def test_other_images_need_new_features(project, monkeypatch):
    _cluster(project, choose_tiny(cluster__images=5))
    extracted = _count_extracted(monkeypatch)
    _cluster(project, choose_tiny(cluster__images=5, seed=1), fresh=True)
    assert extracted == list(range(5))


def test_a_short_budget_looks_at_a_part_of_the_images_and_says_so(project, monkeypatch):
    monkeypatch.setattr("fs4cli.planning.budget.LEAST_IMAGES", 7)
    monkeypatch.setattr(cluster, "measure_assigning", lambda *_, **__: 9.0)
    progress = SilentProgress()
    assert _cluster(project, choose_tiny(budget="1m"), progress=progress).images == 7
    assert f"cluster: 7 of {IMAGES} images, drawn at random; the plan says why" in progress.said


def test_a_long_budget_times_a_few_images_and_looks_at_all_of_them(project, monkeypatch):
    seconds: list[float] = []

    def watched(*args, **options) -> float:
        seconds.append(measure_assigning(*args, **options))
        return seconds[-1]

    monkeypatch.setattr("fs4cli.planning.budget.LEAST_IMAGES", 1)
    monkeypatch.setattr(cluster, "measure_assigning", watched)
    assert _cluster(project, choose_tiny(budget="1h")).images == IMAGES
    assert len(seconds) == 1 and 0 < seconds[0] < 10  # 64 x 64 pixels


def test_a_project_of_before_images_were_chosen_learns_from_all_of_them(project):
    _cluster(project)
    path = project.record("cluster")
    record = json.loads(path.read_text())
    del record["settings"]["cluster.images"], record["planned"]["cluster.images"]
    path.write_text(json.dumps(record))
    run_train(project, choose_tiny(train__rounds=1, train__steps=2), progress=SilentProgress())
    trained = read_record(project, "train")
    assert trained is not None and trained.summary["images"] == IMAGES


def test_what_is_done_is_not_done_again(project, monkeypatch):
    first = _cluster(project)
    extracted = _count_extracted(monkeypatch)
    again = _cluster(project)
    assert not again.is_new and again.levels == first.levels
    assert extracted == []


def test_another_number_of_clusters_needs_no_new_features(project, monkeypatch):
    _cluster(project)
    extracted = _count_extracted(monkeypatch)
    _cluster(project, choose_tiny(cluster__clusters=(3, 3, 3)), fresh=True)
    assert extracted == []
    assert _labels(project, 4).shape[2] == 3


def test_another_network_needs_new_features(project, monkeypatch):
    _cluster(project)
    before = _labels(project, 1)
    run_pretrain(project, choose_tiny(pretrain__steps=2, seed=9), progress=SilentProgress(), fresh=True)
    extracted = _count_extracted(monkeypatch)
    with pytest.raises(ProjectError) as caught:
        _cluster(project)
    assert caught.value.details == ("the result of pretrain changed",)
    _cluster(project, fresh=True)
    assert extracted == list(range(IMAGES))
    assert not np.array_equal(_labels(project, 1), before)


def test_a_stopped_run_goes_on_with_the_next_image(project, pretrained, tmp_path, monkeypatch):
    with pytest.raises(Interrupted, match=f"stopped after 5 of {IMAGES} images"):
        _cluster(project, progress=Stopping("cluster", 5))
    extracted = _count_extracted(monkeypatch)
    _cluster(project)
    assert extracted == list(range(5, IMAGES))

    other = Project(shutil.copytree(pretrained, tmp_path / "other"))
    _cluster(other)
    for grid in (1, 2, 4):
        assert np.array_equal(_labels(project, grid), _labels(other, grid))


def test_other_levels_may_be_chosen(project):
    result = _cluster(project, choose_tiny(cluster__grids=(1, 3)))
    assert [level["grid"] for level in result.levels] == [1, 3]
    assert _labels(project, 3).shape[:2] == (IMAGES, 9)


def test_pretrained_weights_are_needed(project):
    project.record("pretrain").unlink()
    with pytest.raises(ProjectError, match="cluster needs the result of pretrain") as caught:
        _cluster(project)
    assert "fs4 pretrain" in caught.value.hints[0]


def test_the_number_of_classes_can_be_found_out_and_train_takes_it_over(project, monkeypatch):
    monkeypatch.setattr(class_count, "COUNTS", (3, 6))
    progress = SilentProgress()
    _cluster(project, choose_tiny(classes="auto"), progress=progress)
    assert [line for line in progress.said if line.startswith("cluster: 3 classes, ")]  # green, red, blue
    plan = read_plan(project)
    assert plan["values"]["classes"]["value"] == 3 and "(3: " in plan["values"]["classes"]["reason"]
    assert plan["facts"]["classes"] == 3
    monkeypatch.setattr(class_count, "count_classes", None)  # it is not asked again
    assert not _cluster(project, choose_tiny(classes="auto")).is_new
    trained = run_train(project, choose_tiny(classes="auto", train__steps=2, train__rounds=1), progress=progress)
    assert trained.classes == 3
    with pytest.raises(ProjectError, match="other settings") as caught:
        _cluster(project, choose_tiny(classes=3))
    assert "classes changed auto -> 3" in str(caught.value.details)


def test_counting_classes_that_was_stopped_leaves_nothing_behind(project, monkeypatch):
    monkeypatch.setattr(class_count, "COUNTS", (3, 4))
    with pytest.raises(Interrupted):
        _cluster(project, choose_tiny(classes="auto"), progress=Stopping("count classes", 1))
    assert read_record(project, "cluster") is None
    assert _cluster(project, choose_tiny(classes="auto")).is_new
