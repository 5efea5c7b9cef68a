"""The kinds of pictures that people bring from work."""

import numpy as np
import pytest
from workplaces import WORKPLACES, draw_workplace


@pytest.mark.parametrize("name", WORKPLACES)
def test_every_kind_shows_its_classes_in_a_dozen_pictures_and_draws_the_same_again(name):
    scenes = [draw_workplace(name, (seed,)) for seed in range(12)]
    again = draw_workplace(name, (0,))

    assert scenes[0].pixels.shape == (240, 320, 3)
    assert (again.pixels == scenes[0].pixels).all() and (again.labels == scenes[0].labels).all()
    assert (scenes[0].pixels != scenes[1].pixels).any()
    assert sorted({int(label) for scene in scenes for label in np.unique(scene.labels)}) == list(
        range(len(WORKPLACES[name]))
    )


@pytest.mark.parametrize(("name", "rare"), [("greenhouse", 2), ("ultrasound", 3), ("quarry", 3)])
def test_some_classes_are_specks_of_three_in_a_hundred_pixels_at_most(name, rare):
    share = np.mean([(draw_workplace(name, (seed,)).labels == rare).mean() for seed in range(12)])

    assert 0.001 < share < 0.03


def test_single_pixels_of_a_dim_cell_overlap_with_the_ground_and_means_of_many_do_not():
    scene = draw_workplace("fluorescence", (0,))
    ground, cell = (scene.pixels[scene.labels == label, 0].astype(float) for label in (0, 1))

    assert np.quantile(ground, 0.95) > np.quantile(cell, 0.05)
    assert cell.mean() > ground.mean() + 10
