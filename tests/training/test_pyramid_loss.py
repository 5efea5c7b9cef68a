"""PGG: cells against their labels, and their pixels against what such cells hold."""

import math

import pytest
import torch
from scipy.stats import entropy

from fs4cli.training.pyramid_loss import compare_cells, compare_shares


def test_a_cell_loses_the_cross_entropy_of_its_label():
    logits = torch.log(torch.tensor([[3.0, 1.0]]))
    assert compare_cells(logits, torch.tensor([[1.0, 0.0]]), torch.ones(1)).item() == pytest.approx(math.log(4 / 3))
    assert compare_cells(logits, torch.tensor([[0.5, 0.5]]), torch.ones(1)).item() == pytest.approx(
        (math.log(4 / 3) + math.log(4)) / 2
    )


def test_cells_count_as_much_as_their_label_is_sure():
    logits = torch.log(torch.tensor([[3.0, 1.0], [1.0, 1.0]]))
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    loss = compare_cells(logits, labels, torch.tensor([0.25, 0.75]))
    assert loss.item() == pytest.approx(0.25 * math.log(4 / 3) + 0.75 * math.log(2))


def test_cells_that_hold_what_their_label_says_lose_nothing():
    expected = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.1, 0.9]])
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    assert compare_shares(labels @ expected, labels, expected).item() == pytest.approx(0, abs=1e-4)


def test_the_top_down_loss_is_scipys_relative_entropy(random):
    predicted, labels, expected = (
        torch.tensor(random.dirichlet([1.0] * width, rows), dtype=torch.float32)
        for width, rows in ((4, 6), (3, 6), (4, 3))
    )
    target = (labels @ expected).numpy()
    assert compare_shares(predicted, labels, expected).item() == pytest.approx(
        entropy(target, predicted.numpy(), axis=1).mean(), rel=1e-4
    )


def test_a_cluster_that_such_cells_never_hold_is_pushed_out():
    # one cell whose label only ever held cluster 0, predicted half and half
    logits = torch.zeros(1, 2, requires_grad=True)
    loss = compare_shares(torch.softmax(logits, 1), torch.tensor([[1.0]]), torch.tensor([[1.0, 0.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2), abs=1e-3)
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([-0.5, 0.5], abs=1e-3)
