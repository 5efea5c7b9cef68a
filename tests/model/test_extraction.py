"""Features and cues of whole images."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fs4cli.model.axes import describe_cues
from fs4cli.model.cues import find_cues, find_patterns
from fs4cli.model.extraction import extract_maps, fit_size, shrink_image

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("size", "fitted"),
    [((64, 64), (64, 64)), ((360, 480), (128, 160)), ((480, 360), (160, 128)), ((10, 1000), (128, 12800))],
)
def test_sizes_are_multiples_of_32_near_the_shape_of_the_image(size, fitted):
    short_side = 64 if size == (64, 64) else 128
    assert fit_size(size, short_side) == fitted


def test_no_side_falls_below_32():
    assert fit_size((500, 700), 8) == (32, 32)


def test_shrinking_keeps_colours_and_range():
    pixels = np.full((50, 70, 3), (255, 0, 51), np.uint8)
    image = shrink_image(pixels, 32)
    assert image.shape == (1, 3, 32, 32 * round(70 * 32 / 50 / 32))
    assert image[0].amax((1, 2)).tolist() == pytest.approx([1, 0, 0.2])
    assert image[0].amin((1, 2)).tolist() == pytest.approx([1, 0, 0.2])


@pytest.fixture
def images(random) -> list[np.ndarray]:
    sizes = [(64, 64), (64, 64), (64, 96), (64, 64), (64, 96), (64, 96)]
    return [random.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 5, 4, stride=4).eval()


def _extract(network, images, positions, batch: int = 16) -> list:
    return list(extract_maps(network, images, positions, short_side=64, device=CPU, precision="fp32", batch=batch))


def test_an_image_has_what_the_network_and_plain_cues_say_of_it(network, images):
    maps = _extract(network, images, [2])[0]
    image = shrink_image(images[2], 64)
    with torch.inference_mode():
        features, small = network(image), F.avg_pool2d(image, 4)
        axes = describe_cues(torch.cat([find_cues(image, 4), find_patterns(image, 4)], 1))
    assert maps.position == 2
    for found, expected in ((maps.features, features), (maps.axes, axes), (maps.pixels, small)):
        assert found.shape[:2] == (16, 24)
        assert np.allclose(found, expected[0].permute(1, 2, 0).numpy(), atol=1e-5)


@pytest.mark.parametrize("batch", [2, 16])
def test_sharing_a_forward_pass_changes_nothing(network, images, batch):
    alone, together = _extract(network, images, range(6), batch=1), _extract(network, images, range(6), batch=batch)
    assert [maps.position for maps in together] == list(range(6))
    for one, other in zip(alone, together, strict=True):
        assert np.allclose(one.features, other.features, atol=1e-5)
        assert np.allclose(one.axes, other.axes, atol=1e-3)


def test_only_neighbours_of_one_size_share_a_pass_and_no_more_than_asked(network, images):
    passes = []

    def watched(together: Tensor) -> Tensor:
        passes.append(tuple(together.shape))
        return network(together)

    _extract(watched, images, range(6), batch=2)
    assert [shape[0] for shape in passes] == [2, 1, 1, 2]


def test_long_strips_go_a_few_at_a_time(network, images, monkeypatch):
    monkeypatch.setattr("fs4cli.model.extraction._PIXELS", 2 * 64 * 64)
    passes = []

    def watched(together: Tensor) -> Tensor:
        passes.append(tuple(together.shape))
        return network(together)

    _extract(watched, images[:2] * 2, range(4), batch=16)
    assert [shape[0] for shape in passes] == [2, 2]


def test_images_come_in_the_order_that_is_asked_for(network, images):
    assert [maps.position for maps in _extract(network, images, [5, 0, 3])] == [5, 0, 3]
    assert _extract(network, images, []) == []
