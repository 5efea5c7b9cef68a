"""The model file: a segmenter and all that predict must know, in one file that can be checked."""

import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fs4cli.errors import ProjectError
from fs4cli.model.model_file import FORMAT, ModelCard, build_segmenter, load_model, read_card, save_model
from fs4cli.model.segmenter import Segmenter

CPU = torch.device("cpu")
CARD = ModelCard(
    backbone="resnet10t",
    channels=8,
    classes=("sky", "sea", "Strand é"),
    palette=((0, 0, 0), (10, 20, 30), (255, 255, 255)),
    short_side=64,
    summary={"steps": 3},
    versions={"fs4cli": "0"},
)


def _segmenter(seed: int = 0) -> Segmenter:
    torch.manual_seed(seed)
    return build_segmenter(CARD).eval()


@pytest.fixture
def saved(tmp_path) -> Path:
    save_model(tmp_path / "model.safetensors", _segmenter(), CARD)
    return tmp_path / "model.safetensors"


def test_one_seed_gives_one_file_wherever_it_is_written(saved, tmp_path):
    other = tmp_path / "elsewhere" / "another.safetensors"
    save_model(other, _segmenter(), CARD)
    assert other.read_bytes() == saved.read_bytes()
    assert other.with_suffix(".json").read_bytes() == saved.with_suffix(".json").read_bytes()
    save_model(other, _segmenter(seed=1), CARD)
    assert other.read_bytes() != saved.read_bytes()


def test_a_loaded_model_predicts_as_the_saved_one(saved):
    loaded, card = load_model(saved, CPU)
    images = torch.rand(1, 3, 32, 32)
    assert card == CARD
    assert not loaded.training
    assert torch.allclose(loaded.probabilities(images), _segmenter().probabilities(images), atol=1e-5)


def test_the_light_that_a_model_sees_images_in_is_part_of_its_file(tmp_path):
    card = replace(CARD, exposed=True)
    segmenter = build_segmenter(card)
    assert segmenter.exposure is not None
    segmenter.exposure.reference.fill_(0.25)
    save_model(tmp_path / "model.safetensors", segmenter, card)
    loaded, _ = load_model(tmp_path / "model.safetensors", CPU)

    assert loaded.exposure is not None and loaded.exposure.reference.unique().tolist() == [0.25]


def test_saving_what_was_loaded_gives_the_same_file(saved, tmp_path):
    save_model(tmp_path / "again.safetensors", *load_model(saved, CPU))
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


def test_the_file_alone_suffices_and_people_can_read_the_card(saved):
    shown = json.loads(saved.with_suffix(".json").read_text(encoding="utf-8"))
    assert shown == json.loads(json.dumps(asdict(CARD)))
    saved.with_suffix(".json").unlink()
    assert load_model(saved, CPU)[1].classes == ("sky", "sea", "Strand é")


def test_a_missing_model_names_the_command(tmp_path):
    with pytest.raises(ProjectError, match="there is no model") as caught:
        load_model(tmp_path / "model.safetensors", CPU)
    assert "fs4 train" in caught.value.hints[0]


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.5, 0.999999])
def test_a_model_cut_short_is_refused(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ProjectError, match="model.safetensors"):
        load_model(saved, CPU)


def test_files_of_others_are_refused(saved):
    save_file({"weight": torch.zeros(3)}, saved)
    with pytest.raises(ProjectError, match="is no model of fs4"):
        load_model(saved, CPU)
    save_file({"weight": torch.zeros(3)}, saved, metadata={"fs4_card": "[1, 2]"})
    with pytest.raises(ProjectError, match="is no model of fs4"):
        load_model(saved, CPU)
    saved.write_bytes(pickle.dumps({"weight": 1}))
    with pytest.raises(ProjectError, match="is no model of fs4"):
        load_model(saved, CPU)
    torch.save({"weight": torch.zeros(3)}, saved)
    with pytest.raises(ProjectError, match="is no model of fs4"):
        load_model(saved, CPU)


def _with_card(path: Path, **changes) -> Path:
    text = json.dumps({**asdict(CARD), **changes})
    save_file(load_file(path), path, metadata={"fs4_card": text})
    return path


@pytest.mark.parametrize(("written", "own_side"), [(5, False), (6, True)])
def test_a_rule_of_before_format_6_is_told_of_texture_on_both_sides_of_a_border_as_it_was(tmp_path, written, own_side):
    card = replace(CARD, prior_side=64, format=written)
    save_model(tmp_path / "model.safetensors", build_segmenter(card), card)
    loaded, _ = load_model(tmp_path / "model.safetensors", CPU)

    assert loaded.prior is not None and loaded.prior.own_side is own_side


def test_a_model_of_a_newer_fs4_is_refused_as_such(saved):
    with pytest.raises(ProjectError, match="newer fs4") as caught:
        read_card(_with_card(saved, format=FORMAT + 1))
    assert caught.value.hints == ("update fs4",)


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": 16},
        {"channels": "many"},
        {"channels": -1},
        {"backbone": "resnet18"},
        {"backbone": "no-such-net"},
        {"backbone": 7},
        {"classes": ["one"]},
        {"palette": [[1, 2]]},
        {"unheard_of": 1},
        {"format": "new"},
        {"format": 0},
        {"prior_side": -1},
        {"prior_side": 1.5},
        {"scaling": "bright"},
        {"pyramid": 2},
        {"pyramid": [0]},
        {"pyramid": [1, True]},
        {"pyramid": [1, 2]},  # and the weights know no shares
        {"format": True},
        {"short_side": 10**9},
        {"short_side": "64"},
        {"palette": [[0, 0, 0]]},
        {"palette": [[0, 0, 0], [10, 20, 300], [1, 1, 1]]},
        {"palette": [[0, 0, 0], [10, 20, True], [1, 1, 1]]},
        {"classes": []},
        {"classes": ["sky", "sea", 3]},
        {"classes": "abc"},
        {"place": 1},
        {"context": "yes"},
        {"prior_mapped": 1},
        {"prior_side": 64, "prior_mapped": True},  # and the weights know no rule
        {"exposed": 1},
        {"exposed": True},  # and the weights know no light
        {"summary": []},
    ],
)
def test_a_card_that_does_not_fit_its_weights_is_refused(saved, changes):
    with pytest.raises(ProjectError, match="model.safetensors"):
        load_model(_with_card(saved, **changes), CPU)


def test_reading_the_card_needs_no_weights(saved):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: 8 + int.from_bytes(whole[:8], "little")])
    assert read_card(saved) == CARD
    with pytest.raises(ProjectError):
        load_model(saved, CPU)
