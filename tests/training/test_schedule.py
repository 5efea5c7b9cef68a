import pytest
import torch
from torch import nn

from fs4cli.training.round_fit import Schedule
from fs4cli.training.schedule import build_optimizer, learning_rate_at, set_learning_rate


def test_the_rate_climbs_in_equal_steps_to_its_peak_and_falls_along_half_a_cosine():
    rates = [learning_rate_at(step, 10, 8.0, 0.2) for step in range(10)]

    assert rates[:3] == [4.0, 8.0, 8.0]  # two steps of warm-up, then the cosine begins at its top
    assert rates[6] == pytest.approx(4.0)  # half way between step 2 and step 10
    assert rates[4] == pytest.approx(8 * (1 + 2**-0.5) / 2)  # a quarter of the way: cos 45 degrees
    assert rates[9] == pytest.approx(0.3045, abs=1e-4)  # 4 * (1 + cos(7/8 pi)), not yet 0
    assert rates[2:] == sorted(rates[2:], reverse=True)


def test_no_warm_up_begins_at_the_peak():
    assert learning_rate_at(0, 10, 8.0, 0.0) == 8.0
    assert learning_rate_at(0, 1, 8.0) == 8.0


def test_a_run_that_only_warms_up_ends_at_the_peak():
    assert [learning_rate_at(step, 4, 8.0, 1.0) for step in range(4)] == [2.0, 4.0, 6.0, 8.0]


@pytest.mark.parametrize("step", [-1, 10])
def test_a_step_outside_the_run_is_the_callers_mistake(step):
    with pytest.raises(ValueError, match=f"not {step}"):
        learning_rate_at(step, 10, 8.0)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
        self.prototypes = nn.Parameter(torch.ones(5, 2))
        self.teacher = nn.Linear(4, 2).requires_grad_(False)


def test_norms_biases_and_prototypes_do_not_decay():
    network = Network()
    decaying, constant = build_optimizer(network, learning_rate=1.0, weight_decay=0.1).param_groups
    names = {parameter: name for name, parameter in network.named_parameters()}

    assert [names[p] for p in decaying["params"]] == ["layers.0.weight", "layers.2.weight"]
    assert [names[p] for p in constant["params"]] == [
        "prototypes", "layers.0.bias", "layers.1.weight", "layers.1.bias", "layers.2.bias",
    ]  # fmt: skip
    assert (decaying["weight_decay"], constant["weight_decay"]) == (0.1, 0.0)


def test_a_weight_without_a_gradient_shrinks_by_rate_times_decay_only_if_it_decays():
    network = Network()
    optimizer = build_optimizer(network, learning_rate=1.0, weight_decay=0.1)
    set_learning_rate(optimizer, 0.5)
    before = network.layers[2].weight.detach().clone()
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()

    torch.testing.assert_close(network.layers[2].weight.detach(), before * 0.95)
    assert network.prototypes.tolist() == [[1.0, 1.0]] * 5
    assert network.layers[1].weight.tolist() == [1.0] * 4


def test_a_weight_that_two_modules_share_is_trained_once():
    first = nn.Linear(2, 2, bias=False)
    second = nn.Sequential(first, nn.ReLU())
    (group,) = build_optimizer([first, second], learning_rate=1.0, weight_decay=0.1).param_groups

    assert group["params"] == [first.weight]


def test_nothing_to_train_is_the_callers_mistake():
    with pytest.raises(ValueError, match="no parameter asks for gradients"):
        build_optimizer(nn.Linear(2, 2).requires_grad_(False), learning_rate=1.0, weight_decay=0.1)


def test_updates_belong_to_rounds_of_as_many_as_can_be():
    schedule = Schedule(steps=7, rounds=2, learning_rate=1.0)

    assert [schedule.end_of(number) for number in (0, 1, 2)] == [0, 3, 7]
    assert [schedule.round_at(step) for step in range(8)] == [1, 1, 1, 2, 2, 2, 2, 2]
