"""Assignments in equal shares."""

import numpy as np
import pytest
import torch

from fs4cli.clustering.balanced import assign_balanced


def _similarities(count: int = 60, clusters: int = 5) -> torch.Tensor:
    return torch.rand(count, clusters, generator=torch.Generator().manual_seed(0)) * 2 - 1


def _sinkhorn(similarities: np.ndarray, epsilon: float, iterations: int) -> np.ndarray:
    """As the textbook has it: scale columns to n/k, then rows to 1, in plain numbers."""
    plan = np.exp(similarities.astype(np.float64) / epsilon)
    plan /= plan.sum(1, keepdims=True)
    for _ in range(iterations):
        plan *= len(plan) / plan.shape[1] / plan.sum(0)
        plan /= plan.sum(1, keepdims=True)
    return plan


@pytest.mark.parametrize("iterations", [1, 3, 10])
def test_it_is_sinkhorns_iteration(iterations):
    similarities = _similarities()
    assignment = assign_balanced(similarities, epsilon=0.2, iterations=iterations)
    assert np.allclose(assignment.numpy(), _sinkhorn(similarities.numpy(), 0.2, iterations), atol=1e-5)


def test_every_vector_is_assigned_once_and_every_cluster_gets_its_share():
    similarities = _similarities()
    similarities[:, 0] += 0.5  # left alone, the first cluster would swallow most
    assignment = assign_balanced(similarities, iterations=100)
    assert assignment.sum(1).tolist() == pytest.approx([1] * 60, abs=1e-5)
    assert assignment.sum(0).tolist() == pytest.approx([60 / 5] * 5, rel=1e-2)


def test_every_iteration_comes_nearer_to_equal_shares():
    similarities = _similarities()
    similarities[:, 0] += 0.5
    largest = [assign_balanced(similarities, iterations=count).sum(0).max().item() for count in (0, 1, 3, 10, 30)]
    assert largest == sorted(largest, reverse=True)
    assert largest[0] > 23 and largest[-1] < 12.5  # 60 vectors, 5 clusters


def test_shares_may_differ():
    shares = torch.tensor([0.5, 0.2, 0.1, 0.1, 0.1])
    assignment = assign_balanced(_similarities(), iterations=100, shares=shares)
    assert assignment.sum(0).tolist() == pytest.approx([30, 12, 6, 6, 6], rel=1e-2)


def test_vectors_that_fit_their_clusters_equally_stay_there():
    assignment = assign_balanced(torch.eye(3).repeat(4, 1))
    assert assignment.argmax(1).tolist() == [0, 1, 2] * 4
    assert assignment.amax(1).min() > 0.999


def test_a_small_temperature_does_not_overflow():
    assignment = assign_balanced(_similarities(), epsilon=1e-4, iterations=10)
    assert torch.isfinite(assignment).all()
    assert torch.allclose(assignment.sum(1), torch.ones(60))


def test_no_gradient_flows_into_targets():
    assert not assign_balanced(_similarities().requires_grad_()).requires_grad
