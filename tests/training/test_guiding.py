"""Assignments and segmenters under the guidance of the pyramid."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fs4cli.model.extraction import shrink_image
from fs4cli.model.guidance import guide_pixels
from fs4cli.model.segmenter import ModelCard, build_segmenter
from fs4cli.training.guiding import guide_assignment, settle_guidance

CARD = ModelCard(
    backbone="resnet10t", channels=8, classes=("a", "b", "c"), palette=((0, 0, 0),) * 3, short_side=64, pyramid=(1, 2)
)
LOOKS = {"short_side": 64, "device": torch.device("cpu"), "precision": "fp32"}


def _draw_images(random: np.random.Generator, count: int) -> list[np.ndarray]:
    return [random.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(count)]


def test_an_assignment_is_guided_as_a_model_is(random):
    soft = random.dirichlet([1, 1, 1], (8, 12)).astype(np.float32)
    shares = np.array([0.5, 0.3, 0.2])
    guided = guide_assignment(soft, shares, (1, 2))
    logits = torch.from_numpy(soft).log().permute(2, 0, 1)[None]
    expected = guide_pixels(logits, torch.from_numpy(shares), (1, 2)).exp()[0].permute(1, 2, 0)
    assert np.allclose(guided, expected, atol=1e-4)
    assert guided.sum(2) == pytest.approx(np.ones((8, 12)), abs=1e-5)


def test_without_a_pyramid_an_assignment_stays_as_it_is(random):
    soft = random.dirichlet([1, 1, 1], (8, 12)).astype(np.float32)
    assert np.allclose(guide_assignment(soft, np.full(3, 1 / 3), ()), soft, atol=1e-5)


def test_a_segmenter_learns_how_often_it_sees_each_class(random):
    torch.manual_seed(0)
    segmenter, images = build_segmenter(CARD).eval(), _draw_images(random, 4)
    assert segmenter.guidance is not None
    settle_guidance(segmenter, images, **LOOKS)
    with torch.no_grad():
        seen = [torch.softmax(segmenter.judge_alone(shrink_image(image, 64)), 1).mean((0, 2, 3)) for image in images]
    assert torch.allclose(segmenter.guidance.shares, torch.stack(seen).mean(0), atol=1e-5)


def test_a_segmenter_that_nothing_guides_is_not_looked_at():
    segmenter = build_segmenter(replace(CARD, pyramid=()))
    settle_guidance(segmenter, [], **LOOKS)  # of no images it could count nothing
    assert segmenter.guidance is None
