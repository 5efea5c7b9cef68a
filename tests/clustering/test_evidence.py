import numpy as np
import pytest

from fs4cli.clustering.evidence import (
    EVIDENCE,
    KINDS,
    are_images_grey,
    are_lines_bright,
    find_insides,
    list_axes,
    list_evidence,
    measure_place,
)
from fs4cli.model.axes import AXES, BRIGHT_LINES, DARK_LINES, PLACE, SOFT_COLOUR


def draw_axes(random, height=20, width=24):
    return random.normal(0, 1, (height, width, AXES)).astype(np.float32)


@pytest.mark.parametrize("bright_lines", [False, True])
def test_one_kind_of_lines_counts_and_the_place_comes_last(bright_lines):
    plain = list_axes(with_place=False, bright_lines=bright_lines)
    placed = list_axes(with_place=True, bright_lines=bright_lines)

    left_out = DARK_LINES if bright_lines else BRIGHT_LINES
    assert placed == (*plain, *PLACE) and plain == tuple(sorted(set(range(PLACE[0])) - {left_out}))
    assert sorted(axis for axes in KINDS.values() for axis in axes) == list(range(len(placed)))
    assert EVIDENCE["soft colour, texture and place"] == tuple(range(len(placed)))


def test_places_foretell_nothing_where_images_have_no_order(random):
    assert abs(measure_place([draw_axes(random) for _ in range(30)])) < 0.1


def test_places_foretell_much_where_all_images_have_the_sky_on_top(random):
    images = []
    for _ in range(12):
        axes = draw_axes(random, *random.integers(20, 40, 2))
        axes[: len(axes) // 2 + random.integers(-2, 3), :, 0] += 60
        images.append(axes)

    assert measure_place(images) > 0.7


def test_nothing_is_concluded_about_places_from_few_images(random):
    axes = draw_axes(random)
    assert measure_place([axes] * 7) == 0
    assert measure_place([axes] * 8) > 0.2
    assert measure_place([np.zeros_like(axes)] * 8) == 0


def test_the_place_is_evidence_only_where_it_matters_and_leads_where_it_matters_much():
    without, some, much = (list_evidence(place, is_grey=True) for place in (0.05, 0.2, 0.5))

    assert list(without) == ["colour", "texture", "soft colour", "colour and texture", "soft colour and texture"]
    assert some == EVIDENCE
    assert list(much) == ["soft colour and place"]


def test_texture_stands_alone_only_in_grey_images(random):
    grey = [0.1 * draw_axes(random) for _ in range(3)]
    coloured = [axes.copy() for axes in grey]
    coloured[1][:, :4, 2] += 4

    assert are_images_grey(grey) and not are_images_grey(coloured)
    assert "texture" in list_evidence(0.0, is_grey=True)
    assert "texture" not in list_evidence(0.0, is_grey=False)


def test_lines_are_taken_for_bright_only_where_bright_ones_clearly_vary_more(random):
    axes = draw_axes(random, 100, 100)
    assert not are_lines_bright([axes])
    axes[..., BRIGHT_LINES] *= 1.1
    assert not are_lines_bright([axes])
    axes[..., BRIGHT_LINES] *= 1.1
    assert are_lines_bright([axes])


def test_cells_beside_a_step_of_colour_are_not_inside():
    axes = np.zeros((20, 24, AXES), np.float32)
    axes[:, 12:, SOFT_COLOUR] = 1

    # three cells to both sides are compared: six columns see the step
    assert np.flatnonzero(~find_insides(axes).all(0)).tolist() == [9, 10, 11, 12, 13, 14]


def test_a_line_that_differs_alike_on_both_sides_is_no_step():
    axes = np.zeros((20, 24, AXES), np.float32)
    axes[:, 12, SOFT_COLOUR] = 1
    inside = find_insides(axes)

    assert inside[:, 10:15].all()
