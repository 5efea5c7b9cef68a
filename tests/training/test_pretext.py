"""What a pixel or a cell shows must not depend on the view."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fs4cli.data.augment import Photometry
from fs4cli.data.batches import Batch, BatchSource
from fs4cli.model.network import DenseNetwork, build_network
from fs4cli.training.pretext import Pretext, PretextOptions, choose_pixels, update_average

OPTIONS = PretextOptions(window=64, crop=32, scale=(0.6, 1.0), prototypes=(4, 4, 4, 6), pixels=16)
STILL = Photometry(brightness=0.0, contrast=0.0, saturation=0.0, tint=0.0, blur=0.0, noise=0.0, grey=0.0)


@pytest.fixture
def objective() -> Pretext:
    torch.manual_seed(0)
    network = build_network("resnet10t", 16, mean=[0.5] * 3, std=[0.25] * 3)
    return Pretext(network, OPTIONS, channels=16, embedding=8)


def _batch(seed: int = 0, count: int = 4) -> Batch:
    random = np.random.default_rng(0)
    cache = [random.integers(0, 256, (64, 80, 3)).astype(np.uint8) for _ in range(count)]
    batch = BatchSource(cache, batch_size=count, window=(64, 64), seed=0).batch(0)
    batch.generator.manual_seed(seed)
    return batch


class Shrink(DenseNetwork):
    """A network whose features are the image itself at a quarter of its size."""

    def __init__(self):
        nn.Module.__init__(self)
        self.register_buffer("mean", torch.zeros(1))
        self.layer = nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(images, 4)


def _coordinates(count: int = 4, side: int = 64) -> Batch:
    """Windows of whole images whose red is x and whose green is y."""
    steps = np.linspace(0, 255, side).round().astype(np.uint8)
    image = np.stack([np.tile(steps, (side, 1)), np.tile(steps[:, None], (1, side)), np.zeros((side, side))], 2)
    return BatchSource([image.astype(np.uint8)] * count, batch_size=count, window=(side, side), seed=0).batch(0)


def test_pixels_and_three_levels_of_cells_are_compared(objective):
    loss = objective(_batch(), 0)
    assert set(loss.terms) == {"pixels", "cells_1", "cells_2", "cells_4"}
    assert loss.total.item() == pytest.approx(sum(term.item() for term in loss.terms.values()), rel=1e-5)
    assert all(0 < term.item() < 20 for term in loss.terms.values())


def test_the_student_learns_and_the_teacher_does_not(objective):
    objective(_batch(), 0).total.backward()
    assert all(parameter.grad is None for parameter in objective.teacher.parameters())
    silent = [name for name, parameter in objective.student.named_parameters() if parameter.grad is None]
    assert silent == []


def test_the_same_batch_and_generator_give_the_same_loss(objective):
    one, same, other = (objective(_batch(seed), 0).total.item() for seed in (1, 1, 2))
    assert one == same != other


def test_pixels_of_both_views_are_of_the_same_place():
    objective = Pretext(Shrink(), PretextOptions(64, 32, scale=(0.6, 1.0), photometry=STILL), channels=3)
    seen = {"teacher": [], "student": []}
    level = len(OPTIONS.grids)
    for name, side in (("teacher", objective.teacher), ("student", objective.student)):

        def note(which, features, name=name, score=side.score):
            seen[name] += [features] if which == level else []
            return score(which, features)

        side.score = note
    valid = []
    cross_entropy = objective._cross_entropy
    objective._cross_entropy = lambda target, scores: valid.append(len(scores)) or cross_entropy(target, scores)
    objective(_coordinates(), 0)

    for given, predicted, count in zip(seen["teacher"], seen["student"], valid[:2], strict=True):
        difference = (given - predicted).abs().amax(1)
        assert count > 0.5 * len(difference)
        # those outside the other view, which are left out, are the ones that may differ
        assert (difference < 1.5 / 16).sum() >= count


def test_a_cell_counts_if_both_views_show_a_good_part_of_it():
    # views of almost the whole window show every cell; views of a sixth of its side seldom the same patch
    wide, narrow = (
        Pretext(Shrink(), PretextOptions(64, 32, scale=scale, photometry=STILL), channels=3)
        for scale in ((0.99, 1.0), (0.15, 0.16))
    )
    assert set(wide(_coordinates(), 0).terms) == {"pixels", "cells_1", "cells_2", "cells_4"}
    assert "cells_4" not in narrow(_coordinates(count=2), 0).terms


def test_views_with_nothing_in_common_still_give_a_number():
    objective = Pretext(Shrink(), PretextOptions(64, 32, scale=(0.05, 0.06)), channels=3)
    for seed in range(5):
        batch = _coordinates(count=1)
        batch.generator.manual_seed(seed)
        loss = objective(batch, 0)
        loss.total.backward()
        assert torch.isfinite(loss.total)


def test_the_teacher_begins_as_the_student_and_follows_ever_more_slowly(objective):
    teacher, student = (side.heads[0].layers[0].bias for side in (objective.teacher, objective.student))
    assert torch.equal(teacher, student)
    student.data.copy_(teacher + 1)
    before = teacher.clone()
    objective.after_step(0, 10_000)
    assert torch.allclose(teacher - before, torch.full_like(before, 0.9), atol=1e-5)  # keeps 1 / 10
    before = teacher.clone()
    objective.after_step(1000, 10_000)
    late = 0.01 * (1 + math.cos(math.pi / 10)) / 2
    assert torch.allclose(teacher - before, late * (student - before), atol=1e-6)  # from 890 steps on, a cosine
    before = teacher.clone()
    objective.after_step(10_000, 10_000)
    assert torch.allclose(teacher - before, 9 / 10_010 * (student - before), atol=1e-6)  # the cosine is at 1


def test_of_the_weights_that_the_teacher_began_with_hardly_anything_is_left_after_twenty_steps(objective):
    teacher, student = (side.heads[0].layers[0].bias for side in (objective.teacher, objective.student))
    begun = teacher.clone()
    student.data.copy_(teacher + 1)
    for step in range(20):
        objective.after_step(step, 20)
    assert (teacher - begun).min() > 0.9999


def test_the_teachers_running_statistics_are_its_own(objective):
    means = [buffer for name, buffer in objective.teacher.named_buffers() if name.endswith("running_mean")]
    for mean in means:
        mean.fill_(7.0)
    objective.after_step(0, 10)
    assert means and all((mean == 7).all() for mean in means)


def test_an_average_keeps_a_share_of_the_old_and_copies_statistics():
    old, new = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    old.weight.data.fill_(1.0)
    new.weight.data.fill_(2.0)
    new.running_mean.fill_(7.0)
    update_average(old, new, keep=0.75)
    assert old.weight.item() == 1.25
    assert old.running_mean.item() == 7
    assert new.weight.item() == 2


def test_valid_pixels_are_chosen_first_and_at_random():
    valid = torch.zeros(2, 4, 4, dtype=torch.bool)
    valid[0, 0, :3] = True
    valid[1] = True
    chosen = choose_pixels(valid, 5, torch.Generator().manual_seed(0))
    assert {0, 1, 2} < set(chosen[0].tolist()) and len(set(chosen[0].tolist())) == 5
    other = choose_pixels(valid, 5, torch.Generator().manual_seed(1))
    assert set(chosen[1].tolist()) != set(other[1].tolist())
    assert choose_pixels(valid, 100, torch.Generator()).shape == (2, 16)


def test_twenty_updates_on_one_batch_lower_the_loss(objective):
    optimizer = torch.optim.AdamW(objective.student.parameters(), lr=1e-3)
    objective.train()
    losses = []
    for step in range(20):
        loss = objective(_batch(), step).total  # the same views again and again
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        objective.after_step(step, 20)
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.3
