"""Two views of a window, and where each pixel of one lies in the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import uniform_filter

from fs4cli.data.augment import (
    Photometry,
    Placement,
    change_light,
    cut_view,
    draw_placement,
    find_overlap,
    locate_pixels,
    make_view,
    shrink_windows,
)

STILL = Photometry(brightness=0.0, contrast=0.0, saturation=0.0, tint=0.0, blur=0.0, noise=0.0, grey=0.0)
WHOLE = Placement(torch.tensor([[1.0, 1.0]]), torch.zeros(1, 2))


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _place(scale: tuple[float, float], shift: tuple[float, float]) -> Placement:
    return Placement(torch.tensor([scale]), torch.tensor([shift]))


def _coordinates(count: int, side: int) -> torch.Tensor:
    """Windows whose red is x and whose green is y, from 0 to 1."""
    steps = (torch.arange(side) + 0.5) / side
    return torch.stack([steps.expand(side, side), steps[:, None].expand(side, side), torch.full((side, side), 0.5)])[
        None
    ].repeat(count, 1, 1, 1)


def _noise(count: int = 4, side: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=_generator(5)) * 0.5 + 0.25


def test_the_whole_window_is_a_view():
    window = _noise(1)
    assert torch.allclose(cut_view(window, WHOLE, (16, 16)), window, atol=1e-6)


def test_a_negative_width_mirrors():
    window = _noise(1)
    assert torch.allclose(cut_view(window, _place((-1.0, 1.0), (0.0, 0.0)), (16, 16)), window.flip(3), atol=1e-6)


def test_half_the_size_to_the_upper_right_is_the_upper_right_quarter():
    window = _noise(1, side=8)
    view = cut_view(window, _place((0.5, 0.5), (0.5, -0.5)), (4, 4))
    assert torch.allclose(view, window[:, :, :4, 4:], atol=1e-6)


def test_pixels_of_a_view_know_where_they_lie_in_the_window():
    places = locate_pixels(_place((0.5, 1.0), (0.5, 0.0)), (1, 2))
    # x: the right half from 0 to 1, two pixels of half a unit; y: one pixel over all of it
    assert places.tolist() == [[[[0.25, 0.0], [0.75, 0.0]]]]


def test_lower_precision_of_the_network_moves_no_pixel_of_a_view():
    window, placement = _noise(1, side=256), _place((-0.7, 0.6), (0.2, -0.3))
    view = cut_view(window, placement, (160, 160))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(cut_view(window, placement, (160, 160)), view)


@pytest.mark.parametrize("mirror", [False, True])
def test_placements_lie_inside_the_window(mirror):
    placement = draw_placement(400, scale=(0.4, 1.0), generator=_generator(), mirror=mirror)
    assert (placement.scale.abs() + placement.shift.abs()).max() <= 1 + 1e-6
    assert placement.scale.abs().min() >= 0.4 * np.exp(-0.1) - 1e-6
    assert (placement.scale[:, 1] > 0).all()
    mirrored = (placement.scale[:, 0] < 0).float().mean().item()
    assert 0.4 < mirrored < 0.6 if mirror else mirrored == 0


def test_one_view_sampled_at_the_overlap_is_the_other_view():
    # the colour is the coordinate: what the second view shows, the first must show at the place that is said
    windows = _coordinates(64, side=64)
    first, source = make_view(windows, (48, 48), scale=(0.4, 1.0), photometry=STILL, generator=_generator(1))
    second, target = make_view(windows, (48, 48), scale=(0.4, 1.0), photometry=STILL, generator=_generator(2))

    grid, inside = find_overlap(source, target, (48, 48))
    seen = F.grid_sample(first, grid, mode="bilinear", padding_mode="border", align_corners=False)

    assert (torch.sign(source.scale[:, 0]) != torch.sign(target.scale[:, 0])).any(), "some pairs are mirror images"
    difference = (seen - second).abs().amax(1)[inside]
    assert len(difference) > 64 * 48 * 48 / 4
    assert difference.max() < 1 / 64  # half a pixel at the views' own borders, and much less elsewhere
    assert difference.mean() < 1e-3


def test_the_overlap_of_smaller_maps_is_the_same_place():
    source, target = draw_placement(2, scale=(0.5, 1.0), generator=_generator()), WHOLE
    target = Placement(target.scale.repeat(2, 1), target.shift.repeat(2, 1))
    fine, _ = find_overlap(source, target, (8, 8))
    coarse, _ = find_overlap(source, target, (4, 4))
    # a coarse pixel's centre is the mean of the four fine ones in it
    assert torch.allclose(coarse, F.avg_pool2d(fine.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1), atol=1e-6)


def test_pixels_beyond_the_other_view_are_not_in_the_overlap():
    left_half, whole = _place((0.5, 1.0), (-0.5, 0.0)), WHOLE
    _, inside = find_overlap(left_half, whole, (1, 4))
    assert inside.tolist() == [[[True, True, False, False]]]


def test_nothing_changes_without_photometry():
    images = _noise()
    assert torch.allclose(change_light(images, STILL, _generator()), images, atol=1e-6)


def test_brightness_is_one_factor_an_image():
    images = _noise()
    ratio = change_light(images, replace(STILL, brightness=0.3), _generator()) / images
    factors = ratio.flatten(1)
    assert torch.allclose(factors, factors[:, :1].expand_as(factors), atol=1e-4)
    assert (factors[:, 0].log().abs() <= 0.3).all()
    assert len(set(factors[:, 0].tolist())) == 4


def test_tint_is_one_factor_a_channel():
    images = _noise()
    ratio = (change_light(images, replace(STILL, tint=0.2), _generator()) / images).flatten(2)
    assert torch.allclose(ratio, ratio[:, :, :1].expand_as(ratio), atol=1e-4)
    assert not torch.allclose(ratio[:, 0], ratio[:, 1], atol=1e-3)


def test_contrast_keeps_the_mean_lightness():
    images = _noise()
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    changed = change_light(images, replace(STILL, contrast=0.2), _generator())
    before, after = ((maps * weights).sum(1).flatten(1) for maps in (images, changed))
    assert torch.allclose(before.mean(1), after.mean(1), atol=1e-5)
    assert not torch.allclose(before.std(1), after.std(1), atol=1e-3)


def test_saturation_keeps_the_lightness_of_each_pixel():
    images = _noise()
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    changed = change_light(images, replace(STILL, saturation=0.2), _generator())
    assert torch.allclose((images * weights).sum(1), (changed * weights).sum(1), atol=1e-5)
    assert not torch.allclose(images, changed, atol=1e-3)


def test_a_grey_view_has_no_colour():
    grey = change_light(_noise(), replace(STILL, grey=1.0), _generator())
    assert torch.allclose(grey[:, 0], grey[:, 1], atol=1e-6)
    assert torch.allclose(grey[:, 0], grey[:, 2], atol=1e-6)


def test_blur_is_the_mean_of_nine_pixels():
    images = _noise(2)
    soft = change_light(images, replace(STILL, blur=1.0), _generator())
    expected = uniform_filter(images.numpy(), size=(1, 1, 3, 3), mode="mirror")
    assert np.allclose(soft.numpy(), expected, atol=1e-5)


def test_noise_is_no_stronger_than_asked_and_stays_in_range():
    images = torch.full((50, 3, 16, 16), 0.5)
    noisy = change_light(images, replace(STILL, noise=0.02), _generator())
    spread = noisy.flatten(1).std(1)
    assert spread.max() < 0.021 and spread.min() < 0.01
    for value in (0.0, 1.0):
        extreme = change_light(torch.full_like(images, value), Photometry(), _generator())
        assert 0 <= extreme.min() and extreme.max() <= 1


def test_the_same_generator_makes_the_same_views():
    def make(seed: int) -> torch.Tensor:
        return make_view(_noise(), (8, 8), scale=(0.4, 1.0), photometry=Photometry(), generator=_generator(seed))[0]

    assert torch.equal(make(3), make(3))
    assert not torch.equal(make(3), make(4))


def test_windows_of_the_right_size_are_only_scaled():
    windows = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(1, 3, 1, 1)
    assert torch.equal(shrink_windows(windows, 16), windows.float() / 255)


def test_shrinking_is_what_pillow_does(random):
    pixels = random.integers(0, 256, (48, 48, 3)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((20, 20), Image.Resampling.BILINEAR)) / 255
    small = shrink_windows(torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous(), 20)[0]
    assert np.abs(small.permute(1, 2, 0).numpy() - expected).max() <= 1.01 / 255
