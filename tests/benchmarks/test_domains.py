"""Six more kinds of pictures for the bench."""

import numpy as np
import pytest
from domains import DOMAINS, draw_domain
from sets import open_set


@pytest.mark.parametrize("name", DOMAINS)
def test_a_picture_is_the_same_for_the_same_seed_and_shows_its_classes(name):
    few = 5 if name == "sorting" else 2  # of which one picture may lack a class
    scenes = [draw_domain(name, (seed,)) for seed in range(few)]

    assert (draw_domain(name, (0,)).pixels == scenes[0].pixels).all()
    assert (scenes[0].pixels != scenes[1].pixels).any()
    shown = np.unique(np.concatenate([scene.labels.ravel() for scene in scenes]))
    assert shown.tolist() == list(range(len(DOMAINS[name])))
    is_grey = all((scene.pixels == scene.pixels[..., :1]).all() for scene in scenes)
    assert is_grey is (name in ("thermal", "radar"))


def test_a_class_may_be_lines_of_a_fiftieth_and_classes_may_be_eighteen():
    cracks = np.mean([(draw_domain("cracks", (seed,)).labels == 1).mean() for seed in range(4)])

    assert 0.005 < cracks < 0.03
    assert len(DOMAINS["sorting"]) == 18


def test_no_single_pixel_of_speckle_tells_what_a_mean_of_many_tells():
    scene = draw_domain("radar", (0,))
    field, forest = (scene.pixels[scene.labels == kind, 0].astype(float) for kind in (1, 2))

    assert forest.mean() > 1.2 * field.mean()
    assert (field > forest.mean()).mean() > 0.03


def test_a_kind_is_a_set_of_the_bench(tmp_path, monkeypatch):
    monkeypatch.setattr("sets._draw.__kwdefaults__", {"train": 2, "test": 1})

    data = open_set("cracks", tmp_path)

    assert (data.classes, data.budget) == (2, 180.0)
    assert sorted(path.name for path in data.train.iterdir()) == ["0000.png", "0001.png"]
