"""What a segmenter has to know for the pyramid to guide it."""

from dataclasses import replace

import numpy as np
import torch

from fs4cli.model.extraction import shrink_image
from fs4cli.model.model_file import ModelCard, build_segmenter
from fs4cli.training.guiding import settle_guidance

CARD = ModelCard(
    backbone="resnet10t", channels=8, classes=("a", "b", "c"), palette=((0, 0, 0),) * 3, short_side=64, pyramid=(1, 2)
)
LOOKS = {"short_side": 64, "device": torch.device("cpu"), "precision": "fp32"}


def _draw_images(random: np.random.Generator, count: int) -> list[np.ndarray]:
    return [random.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(count)]


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
