"""Pixels against their clusters, and one view against the other."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from fs4cli.training.pixel_loss import compare_views, compare_with_labels, weigh_clusters


def test_a_rare_cluster_weighs_more():
    # 1/sqrt(0.8) to 1/sqrt(0.2) is 1 to 2; with 0.8 * 5/6 + 0.2 * 10/6 = 1
    assert weigh_clusters(torch.tensor([0.8, 0.2])).tolist() == pytest.approx([5 / 6, 10 / 6])


def test_power_0_weighs_all_pixels_alike_and_power_1_all_clusters():
    shares = torch.tensor([0.5, 0.25, 0.25])
    assert weigh_clusters(shares, power=0.0).tolist() == pytest.approx([1, 1, 1])
    weights = weigh_clusters(shares, power=1.0)
    assert (weights * shares).tolist() == pytest.approx([1 / 3] * 3)


def test_no_cluster_weighs_more_than_5_or_less_than_a_fifth():
    weights = weigh_clusters(torch.tensor([0.999, 0.001, 0.0]), power=1.0)
    assert weights.tolist() == pytest.approx([0.5005, 5, 5], abs=1e-3)
    assert weigh_clusters(torch.tensor([0.96, 0.04]), power=3.0)[0] == pytest.approx(0.2)


def test_a_cluster_whose_pixels_are_all_in_doubt_counts_as_much_as_one_whose_pixels_are_sure():
    shares, sureness = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.3])
    weights = weigh_clusters(shares, sureness)
    logits = torch.zeros(1, 2, 1, 2, requires_grad=True)  # one pixel of each, as sure as its cluster's are
    loss = compare_with_labels(
        logits, torch.tensor([[[0, 1]]]), weights=weights, confidence=sureness.view(1, 1, 2), smoothing=0.0
    )
    loss.backward()
    assert weights[1] / weights[0] == pytest.approx(3)
    assert logits.grad is not None
    assert logits.grad[0, 0, 0, 0] == pytest.approx(logits.grad[0, 1, 0, 1].item())


def test_a_network_that_knows_nothing_loses_log_k():
    logits = torch.zeros(2, 4, 3, 3)
    labels = torch.randint(4, (2, 3, 3))
    loss = compare_with_labels(logits, labels, weights=torch.rand(4) + 0.1, confidence=torch.rand(2, 3, 3) + 0.1)
    assert loss.item() == pytest.approx(math.log(4), abs=1e-5)


def test_the_loss_is_that_of_scikit_learn(random):
    logits = torch.tensor(random.normal(size=(2, 3, 4, 5)), dtype=torch.float32)
    labels = torch.tensor(random.integers(0, 3, (2, 4, 5)))
    confidence = torch.tensor(random.random((2, 4, 5)), dtype=torch.float32)
    weights = torch.tensor([0.5, 1.0, 3.0])
    loss = compare_with_labels(logits, labels, weights=weights, confidence=confidence, smoothing=0.0)
    expected = log_loss(
        labels.flatten(),
        torch.softmax(logits.double(), 1).permute(0, 2, 3, 1).flatten(0, 2),
        sample_weight=(weights[labels] * confidence).flatten(),
        labels=[0, 1, 2],
    )
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_pixels_nobody_is_sure_of_do_not_count():
    logits = torch.tensor([[[[9.0, -9.0]], [[-9.0, 9.0]]]])
    labels = torch.tensor([[[0, 0]]])  # the second pixel's label is wrong
    sure = {"weights": torch.ones(2), "smoothing": 0.0}
    assert compare_with_labels(logits, labels, confidence=torch.tensor([[[1.0, 0.0]]]), **sure).item() < 1e-3
    assert compare_with_labels(logits, labels, confidence=torch.tensor([[[1.0, 1.0]]]), **sure).item() > 8
    assert compare_with_labels(logits, labels, confidence=torch.zeros(1, 1, 2), **sure).item() == 0


def test_smoothing_leaves_room_for_wrong_labels():
    logits = torch.tensor([[[[50.0]], [[-50.0]]]])
    loss = compare_with_labels(
        logits, torch.tensor([[[0]]]), weights=torch.ones(2), confidence=torch.ones(1, 1, 1), smoothing=0.05
    )
    # 0.025 of the target lies on the other cluster, 100 away
    assert loss.item() == pytest.approx(2.5, abs=1e-4)


def test_views_that_agree_lose_only_the_doubt_of_their_target():
    logits = other = torch.log(torch.tensor([[4.0, 1.0]]))
    entropy = -(0.8 * math.log(0.8) + 0.2 * math.log(0.2))
    assert compare_views(logits, other).item() == pytest.approx(entropy, abs=1e-6)


def test_views_that_disagree_lose_more():
    logits = torch.log(torch.tensor([[1.0, 4.0]]))
    other = torch.log(torch.tensor([[2.0, 1.0]]))
    # odds of 2 to 1; sharpened by a temperature of 1/2: 4 to 1
    for temperature, odds in ((1.0, 2), (0.5, 4)):
        expected = -(odds * math.log(0.2) + math.log(0.8)) / (odds + 1)
        assert compare_views(logits, other, temperature=temperature).item() == pytest.approx(expected, abs=1e-6)


def test_views_that_agree_are_at_rest_however_unsure_they_are():
    logits = torch.log(torch.tensor([[0.4, 0.35, 0.25]])).requires_grad_()
    compare_views(logits, logits.detach()).backward()
    assert logits.grad is not None and logits.grad.abs().max() < 1e-6


def test_only_the_view_that_predicts_learns():
    logits, other = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    compare_views(logits, other).backward()
    assert logits.grad is not None and logits.grad.abs().sum() > 0
    assert other.grad is None


def test_views_with_nothing_in_common_lose_nothing():
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = compare_views(logits, torch.zeros(0, 3))
    loss.backward()
    assert loss.item() == 0 and np.isfinite(loss.item())
