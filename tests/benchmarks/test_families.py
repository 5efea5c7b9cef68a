"""The families of the bench that no rule was chosen on."""

import numpy as np
import pytest
from families import FAMILIES, draw_family
from sets import open_set


@pytest.mark.parametrize("name", FAMILIES)
def test_a_picture_is_the_same_for_the_same_seed_and_shows_its_classes(name):
    few = 4 if name in ("metal", "farmland") else 2  # of which one picture may lack a class
    scenes = [draw_family(name, (seed,)) for seed in range(few)]

    assert (draw_family(name, (0,)).pixels == scenes[0].pixels).all()
    assert (scenes[0].pixels != scenes[1].pixels).any()
    shown = np.unique(np.concatenate([scene.labels.ravel() for scene in scenes]))
    assert shown.tolist() == list(range(len(FAMILIES[name])))
    is_grey = all((scene.pixels == scene.pixels[..., :1]).all() for scene in scenes)
    assert is_grey is (name in ("microscope", "metal"))


def test_classes_may_be_specks_or_nearly_everything():
    fruit = np.mean([(draw_family("plants", (seed,)).labels == 3).mean() for seed in range(4)])
    metal = np.mean([(draw_family("metal", (seed,)).labels == 0).mean() for seed in range(4)])

    assert 0.005 < fruit < 0.03 and 0.93 < metal < 0.99


def test_a_family_is_a_set_of_the_bench(tmp_path, monkeypatch):
    monkeypatch.setattr("sets._draw.__kwdefaults__", {"train": 2, "test": 1})

    data = open_set("belt", tmp_path)

    assert (data.classes, data.budget) == (4, 180.0)
    assert sorted(path.name for path in data.train.iterdir()) == ["0000.png", "0001.png"]
    assert sorted(path.name for path in data.labels.iterdir()) == ["0000.png", "classes.yaml"]
