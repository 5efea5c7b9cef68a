"""Index to pretrained weights."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from toy_project import Stopping, choose_tiny, draw_folder

from fs4cli.config import Settings
from fs4cli.data.cache import ImageCache
from fs4cli.errors import InputError, Interrupted, ProjectError
from fs4cli.files import read_json_lines
from fs4cli.model.backbone import build_backbone
from fs4cli.model.network import load_network
from fs4cli.progress import SilentProgress
from fs4cli.project.project import Project
from fs4cli.project.record import read_record
from fs4cli.stages.ingest import run_ingest
from fs4cli.stages.pretrain import PretrainResult, measure_pixels, run_pretrain


@pytest.fixture(scope="module")
def ingested(tmp_path_factory) -> Path:
    folder = draw_folder(tmp_path_factory.mktemp("toy"), count=8)
    run_ingest(Project(folder / "project"), choose_tiny(), images=[str(folder / "images")], progress=SilentProgress())
    return folder / "project"


@pytest.fixture
def project(ingested, tmp_path) -> Project:
    return Project(shutil.copytree(ingested, tmp_path / "project"))


def _pretrain(project: Project, settings: Settings | None = None, **options) -> PretrainResult:
    return run_pretrain(
        project, settings or choose_tiny(), progress=options.pop("progress", SilentProgress()), **options
    )


def test_the_network_that_was_pretrained_is_saved_and_reported(project):
    result = _pretrain(project)
    assert (result.steps, result.from_scratch, result.is_new) == (4, True, True)
    network = load_network(result.weights, "test_resnet", 16)
    features = network(torch.rand(1, 3, 32, 32))
    assert features.shape == (1, 16, 8, 8) and torch.isfinite(features).all()
    assert read_json_lines(project.metrics("pretrain"))[-1]["step"] == 4
    record = read_record(project, "pretrain")
    assert record is not None and record.state == "done" and record.summary["images"] == 8


def test_the_network_knows_the_mean_and_spread_of_the_pixels(project):
    cache = ImageCache.open(project.cache)
    pixels = np.concatenate([image[::4, ::4].reshape(-1, 3) for image in cache]) / 255
    mean, std = measure_pixels(cache, seed=0)
    assert mean == pytest.approx(pixels.mean(0).tolist())
    assert std == pytest.approx(pixels.std(0).tolist())
    weights = load_file(_pretrain(project, choose_tiny(pretrain__steps=1)).weights)
    assert weights["mean"].flatten().tolist() == pytest.approx(mean)
    assert weights["std"].flatten().tolist() == pytest.approx(std)


def test_what_is_done_is_not_done_again(project):
    first = _pretrain(project)
    written = first.weights.stat().st_mtime_ns
    progress = SilentProgress()
    again = _pretrain(project, progress=progress)
    assert not again.is_new and again.weights.stat().st_mtime_ns == written
    assert progress.said == ["pretrain: done already"]


def test_the_seed_decides_the_weights(ingested, tmp_path):
    results = []
    for number, seed in enumerate((3, 3, 4)):
        project = Project(shutil.copytree(ingested, tmp_path / str(number)))
        results.append(_pretrain(project, choose_tiny(seed=seed, pretrain__steps=2)).weights.read_bytes())
    assert results[0] == results[1] != results[2]


def test_a_stopped_run_goes_on_with_the_seed_it_began_with(project, ingested, tmp_path):
    with pytest.raises(Interrupted, match="pretrain stopped at step 2 of 4"):
        _pretrain(project, choose_tiny(seed=3), progress=Stopping("pretrain", 2))
    progress = SilentProgress()
    resumed = _pretrain(project, choose_tiny(), progress=progress)  # without --seed
    assert "pretrain goes on at step 2 of 4" in progress.said

    undisturbed = _pretrain(Project(shutil.copytree(ingested, tmp_path / "other")), choose_tiny(seed=3))
    assert resumed.weights.read_bytes() == undisturbed.weights.read_bytes()


def test_images_are_needed(tmp_path):
    with pytest.raises(ProjectError, match="fs4 ingest|ingest, which has not been run"):
        _pretrain(Project(tmp_path))


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_local_weights_are_started_from_and_that_is_recorded(project, tmp_path, suffix):
    torch.manual_seed(7)
    body = build_backbone("test_resnet").network
    weights = {f"backbone.{name}": value.contiguous() for name, value in body.state_dict().items()}
    path = tmp_path / f"weights.{suffix}"
    save_file(weights, path) if suffix == "safetensors" else torch.save({"state_dict": weights}, path)

    result = _pretrain(
        project, choose_tiny(pretrain__weights=str(path), pretrain__steps=1, pretrain__learning_rate=1e-9)
    )

    assert not result.from_scratch
    saved = load_file(result.weights)
    for name, value in body.named_parameters():
        assert torch.allclose(saved[f"backbone.network.{name}"], value, atol=1e-6), name


def test_weights_that_do_not_fit_are_refused(project, tmp_path):
    def start(path: Path) -> None:
        _pretrain(project, choose_tiny(pretrain__weights=str(path)), fresh=True)

    with pytest.raises(InputError, match="there is no weights file"):
        start(tmp_path / "missing.safetensors")
    other = {name: value.contiguous() for name, value in build_backbone("resnet10t").network.state_dict().items()}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="fits only .* of the backbone's|does not fit the backbone"):
        start(tmp_path / "other.safetensors")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(InputError, match="holds no weights that can be read safely"):
        start(tmp_path / "text.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match="holds no weights"):
        start(tmp_path / "list.pt")


def test_a_file_that_would_run_code_is_not_run(project, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "was run",))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="holds no weights that can be read safely"):
        _pretrain(project, choose_tiny(pretrain__weights=str(tmp_path / "evil.pt")))
    assert not (tmp_path / "was run").exists()
