import numpy as np
import pytest

from fs4cli.clustering.evidence import (
    COLOUR_AXES,
    EVIDENCE,
    TEXTURE_AXES,
    are_images_grey,
    are_lines_bright,
    describe_pixels,
    list_evidence,
    measure_place,
)


def draw_cues(random, height=20, width=24):
    cues = random.normal(0, 1, (height, width, 16)).astype(np.float32)
    cues[..., 4:9:2] = np.abs(cues[..., 4:9:2])
    return cues


def test_a_pixel_is_described_by_colour_then_texture_then_place(random):
    cues = draw_cues(random)
    plain = describe_pixels(cues, with_place=False)
    placed = describe_pixels(cues, with_place=True)

    assert plain.shape == (20, 24, COLOUR_AXES + TEXTURE_AXES)
    np.testing.assert_array_equal(placed[..., :-2], plain)
    np.testing.assert_allclose(plain[..., :3], cues[..., :3] / [25, 10, 10], rtol=1e-5)
    assert placed[0, 0, -2:] == pytest.approx([0.5 / 20 * 4, 0.5 / 24 * 4])


def test_contrast_below_four_units_of_lightness_hardly_counts(random):
    cues = np.zeros((3, 16, 16, 16), np.float32)
    cues[1, ..., 4:9:2] = 1.0
    cues[2, ..., 4:9:2] = 20.0
    none, faint, strong = (describe_pixels(one, with_place=False)[8, 8, COLOUR_AXES : COLOUR_AXES + 6] for one in cues)

    assert (faint - none < 0.05).all()
    assert (strong - none > 1.5).all()


def test_places_foretell_nothing_where_images_have_no_order(random):
    assert abs(measure_place([draw_cues(random) for _ in range(30)])) < 0.1


def test_places_foretell_much_where_all_images_have_the_sky_on_top(random):
    images = []
    for _ in range(12):
        cues = draw_cues(random, *random.integers(20, 40, 2))
        cues[: len(cues) // 2 + random.integers(-2, 3), :, 0] += 60
        images.append(cues)

    assert measure_place(images) > 0.7


def test_nothing_is_concluded_about_places_from_few_images(random):
    cues = draw_cues(random)
    assert measure_place([cues] * 7) == 0
    assert measure_place([cues] * 8) > 0.2
    assert measure_place([np.zeros_like(cues)] * 8) == 0


def test_the_place_is_evidence_only_where_it_matters_and_leads_where_it_matters_much():
    without, some, much = (list_evidence(place, is_grey=True) for place in (0.05, 0.2, 0.5))

    assert list(without) == ["colour", "texture", "soft colour", "colour and texture", "soft colour and texture"]
    assert some == EVIDENCE
    assert list(much) == ["soft colour and place"]


def test_texture_stands_alone_only_in_grey_images(random):
    grey = [draw_cues(random) for _ in range(3)]
    coloured = [cues.copy() for cues in grey]
    coloured[1][:, :4, 2] += 40

    assert are_images_grey(grey) and not are_images_grey(coloured)
    assert "texture" in list_evidence(0.0, is_grey=True)
    assert "texture" not in list_evidence(0.0, is_grey=False)


def test_lines_are_taken_for_bright_only_where_bright_ones_clearly_vary_more(random):
    cues = draw_cues(random, 100, 100)
    assert not are_lines_bright([cues])
    cues[..., 15] *= 1.1
    assert not are_lines_bright([cues])
    cues[..., 15] *= 1.1
    assert are_lines_bright([cues])
    np.testing.assert_allclose(
        describe_pixels(cues, with_place=False, bright_lines=True)[..., -1], cues[..., 15] / 8, rtol=1e-5
    )
    np.testing.assert_allclose(describe_pixels(cues, with_place=False)[..., -1], cues[..., 14] / 8, rtol=1e-5)
