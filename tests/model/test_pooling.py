"""Features averaged over cells."""

import numpy as np
import pytest
import torch

from fs4cli.model.pooling import pool_cells


def test_a_cell_has_the_mean_of_its_pixels():
    features = torch.tensor([[[[1.0, 3.0], [10.0, 20.0]]]])
    cells = torch.tensor([[[0, 0], [1, 1]]])
    means, mass = pool_cells(features, cells, 2)
    assert means.tolist() == [[[2.0], [15.0]]]
    assert mass.tolist() == [[2.0, 2.0]]


def test_weights_say_how_much_a_pixel_counts():
    features = torch.tensor([[[[1.0, 5.0], [7.0, 9.0]]]])
    weights = torch.tensor([[[3.0, 1.0], [0.0, 2.0]]])
    means, mass = pool_cells(features, torch.tensor([[[0, 0], [1, 1]]]), 2, weights=weights)
    assert means.tolist() == [[[(3 * 1 + 1 * 5) / 4], [9.0]]]
    assert mass.tolist() == [[4.0, 2.0]]


def test_an_empty_cell_has_zeros_and_no_mass():
    means, mass = pool_cells(torch.ones(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long), 4)
    assert means[0, 1:].abs().max() == 0
    assert mass.tolist() == [[4, 0, 0, 0]]


def test_a_cell_whose_pixels_all_weigh_nothing_has_zeros():
    cells, weights = torch.zeros(1, 2, 2, dtype=torch.long), torch.zeros(1, 2, 2)
    means, mass = pool_cells(torch.ones(1, 3, 2, 2), cells, 1, weights=weights)
    assert means.abs().max() == 0 and mass.item() == 0


def test_pixels_of_no_cell_are_left_out():
    features = torch.tensor([[[[1.0, 100.0]]]])
    for weights in (None, torch.ones(1, 1, 2)):
        means, mass = pool_cells(features, torch.tensor([[[0, -1]]]), 1, weights=weights)
        assert means.item() == 1 and mass.item() == 1


@pytest.mark.parametrize("weighted", [False, True])
def test_pooling_equals_a_loop(random, weighted):
    features = random.normal(size=(2, 3, 5, 7)).astype(np.float32)
    cells = random.integers(-1, 6, (2, 5, 7))
    weights = random.random((2, 5, 7)).astype(np.float32) if weighted else np.ones((2, 5, 7), np.float32)
    means, mass = pool_cells(
        torch.from_numpy(features),
        torch.from_numpy(cells),
        6,
        weights=torch.from_numpy(weights) if weighted else None,
    )
    for image in range(2):
        for cell in range(6):
            inside = cells[image] == cell
            total = weights[image][inside].sum()
            expected = (features[image][:, inside] * weights[image][inside]).sum(1) / max(total, 1e-9)
            assert means[image, cell].numpy() == pytest.approx(expected, abs=1e-5)
            assert mass[image, cell].item() == pytest.approx(total, abs=1e-5)


def test_every_pixel_of_a_cell_gets_its_share_of_the_gradient():
    features = torch.zeros(1, 1, 2, 2, requires_grad=True)
    means, _ = pool_cells(features, torch.tensor([[[0, 0], [0, 1]]]), 2)
    means[0, 0, 0].backward()
    assert features.grad is not None
    assert features.grad.flatten().tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


def test_lower_precision_of_the_network_keeps_sums_that_fp16_cannot_hold():
    features = torch.full((1, 1, 40, 40), 100.0)  # 160,000 in all; fp16 ends at 65,504
    with torch.autocast("cpu", dtype=torch.float16):
        means, mass = pool_cells(features, torch.zeros(1, 40, 40, dtype=torch.long), 1)
    assert means.item() == 100 and mass.item() == 1600
