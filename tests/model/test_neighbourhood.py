"""What lies around a cell, and cells given back to pixels, against scipy and torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

from fs4cli.model.neighbourhood import Neighbourhoods


def _draw(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("height", "width", "cell", "sigma"), [(32, 44, 4, 2.25), (33, 46, 2, 1.0), (9, 30, 1, 1.5)])
def test_gathering_is_pooling_and_then_a_gaussian_of_scipy(height, width, cell, sigma):
    values = _draw(1, 2, height, width)
    pooled = F.avg_pool2d(values, cell, ceil_mode=True)
    expected = [gaussian_filter(one, sigma, mode="mirror", radius=int(3 * sigma + 0.5)) for one in pooled[0].numpy()]
    found = Neighbourhoods(values, cell=cell, sigma=sigma).gather(values)
    assert np.allclose(found[0].numpy(), np.stack(expected))


def test_spreading_is_bilinear_interpolation():
    values = _draw(3, 2, 8, 11)
    around = Neighbourhoods(_draw(1, 1, 31, 44), cell=4, sigma=1.0)
    expected = F.interpolate(values, (31, 44), mode="bilinear", align_corners=False)
    assert torch.allclose(around.spread(values), expected)


def test_what_is_the_same_everywhere_stays_so():
    same = torch.full((1, 1, 21, 30), 0.25)
    around = Neighbourhoods(same, cell=4, sigma=9.0)
    assert torch.allclose(around.spread(around.gather(same)), same)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3)])
def test_a_map_smaller_than_a_cell_is_its_mean_everywhere(size):
    values = _draw(1, 1, *size)
    around = Neighbourhoods(values, cell=8, sigma=2.25)
    gathered = around.gather(values)
    assert gathered.shape == (1, 1, 1, 1)
    assert torch.allclose(around.spread(gathered), values.mean().expand(1, 1, *size))
