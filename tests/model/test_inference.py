"""Masks at the image's own size, in bounded memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fs4cli.errors import ProjectError
from fs4cli.model import inference
from fs4cli.model.inference import (
    choose_classes,
    enlarge_classes,
    predict_mask,
    predict_probabilities,
    predict_small,
    prepare_image,
)
from fs4cli.model.local_colour import sharpen
from fs4cli.model.model_file import ModelCard, build_segmenter
from fs4cli.model.segmenter import Segmenter

CARD = ModelCard("test_resnet", 8, ("a", "b", "c"), ((0, 0, 0),) * 3, short_side=64)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    return build_segmenter(CARD).eval()


def _photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))


def _small(classes: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(1, classes, height, width, generator=torch.Generator().manual_seed(seed))
    return torch.softmax(3 * F.avg_pool2d(noise, 3, 1, 1), 1)


@pytest.mark.parametrize("size", [(257, 331), (64, 64), (40, 640), (640, 40), (16, 1600), (8, 8), (1, 5)])
def test_probabilities_and_masks_have_the_size_of_the_image(segmenter, size):
    pixels = _photo(*size)
    shares = predict_probabilities(segmenter, pixels, short_side=64, flip=True, refine=True)
    mask, confidence = predict_mask(segmenter, pixels, short_side=64, flip=True, refine=True)

    assert shares.shape == (3, *size)
    assert np.allclose(shares.sum(0), 1, atol=1e-5)
    assert mask.shape == confidence.shape == size
    assert np.array_equal(mask, shares.argmax(0))
    assert np.array_equal(confidence, np.rint(shares.max(0) * 255))


def test_flip_makes_a_mirrored_image_a_mirrored_mask(segmenter):
    pixels = _photo(64, 96)
    options = {"short_side": 64, "flip": True, "refine": False}
    shares = predict_probabilities(segmenter, pixels, **options)
    mirrored = predict_probabilities(segmenter, pixels[:, ::-1].copy(), **options)
    without = predict_probabilities(segmenter, pixels, **{**options, "flip": False})

    assert np.allclose(mirrored[:, :, ::-1], shares, atol=1e-4)
    assert not np.allclose(without, shares, atol=1e-4)


def test_refined_probabilities_are_sharpened_and_follow_colours_at_half_the_size_that_the_network_sees(segmenter):
    image = prepare_image(_photo(64, 96), 64)
    (plain,) = predict_small(segmenter, [image], flip=False, refine=False)
    (refined,) = predict_small(segmenter, [image], flip=False, refine=True)
    half = F.interpolate(image.image, (32, 48), mode="bilinear", antialias=True)
    assert torch.allclose(refined, sharpen(plain, half, stride=2), atol=1e-5)
    assert not torch.allclose(refined, plain, atol=1e-3)


def test_images_of_several_sizes_together_are_as_each_alone(segmenter):
    images = [prepare_image(_photo(*size), 64) for size in ((64, 96), (70, 101), (64, 96), (128, 64))]
    together = predict_small(segmenter, images, flip=True, refine=True)

    for image, shares in zip(images, together, strict=True):
        (alone,) = predict_small(segmenter, [image], flip=True, refine=True)
        assert shares.shape == (1, 3, image.image.shape[2] // 2, image.image.shape[3] // 2)
        assert torch.allclose(shares, alone, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "prior_side", "plain"),
    [
        ((32, 64), 32, (32, 64)),  # enlarged for the network: the rule sees it as it is
        ((48, 48), 32, (32, 32)),
        ((32, 48), 64, None),  # the rule sees what the network sees
        ((64, 96), 32, None),  # not enlarged
        ((480, 640), 32, None),
        ((16, 1600), 32, (32, 1408)),  # no endless strips for the rule either
        ((32, 48), 0, None),  # no rule
    ],
)
def test_the_rule_sees_an_image_as_it_was_before_it_was_enlarged(size, prior_side, plain):
    found = prepare_image(_photo(*size), 64, prior_side=prior_side).plain
    assert (None if found is None else tuple(found.shape[2:])) == plain


@pytest.mark.parametrize("flip", [False, True])
def test_an_enlarged_image_is_ruled_as_it_was_when_pixels_were_grouped(flip):
    segmenter = build_segmenter(replace(CARD, prior_side=32)).eval()
    assert segmenter.prior is not None
    torch.nn.init.normal_(segmenter.prior.weights, generator=torch.Generator().manual_seed(3))
    for parameter in segmenter.head.parameters():
        torch.nn.init.zeros_(parameter)  # the network says nothing: all comes from the rule
    # noise: enlarged and shrunk again it would be smooth
    pixels = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    logits = segmenter(torch.from_numpy(pixels / 255).permute(2, 0, 1)[None].float())
    (found,) = predict_small(segmenter, [prepare_image(pixels, 64, prior_side=32)], flip=flip, refine=False)

    # 8 x 16 cells are enlarged to the network's 16 x 32 and, for masks, to 32 x 64
    for size in ((16, 32), (32, 64)):
        logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
    assert torch.allclose(found, torch.softmax(logits, 1), atol=1e-3)


def test_a_model_of_numbers_that_are_none_is_refused(segmenter):
    torch.manual_seed(0)
    broken = build_segmenter(CARD).eval()
    with torch.no_grad():
        broken.head.weight.fill_(float("nan"))
    with pytest.raises(ProjectError, match="no numbers"):
        predict_mask(broken, _photo(40, 40), short_side=64, flip=False, refine=False)


@given(
    classes=st.integers(1, 6),
    small=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    band=st.integers(1, 2000),
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_masks_made_in_bands_are_the_largest_of_all_probabilities(classes, small, size, band, seed):
    shares = _small(classes, *small, seed=seed)
    whole = np.stack(list(enlarge_classes(shares, size)))
    before, inference._BAND = inference._BAND, band
    try:
        mask, confidence = choose_classes(shares, size)
    finally:
        inference._BAND = before

    assert np.array_equal(mask, whole.argmax(0))
    assert np.array_equal(confidence, np.rint(whole.max(0) * 255))


@pytest.mark.parametrize("size", [(90, 131), (24, 33), (7, 5), (1, 200)])
def test_enlarging_is_bilinear(size):
    shares = _small(4, 12, 17)
    expected = F.interpolate(shares, size, mode="bilinear", align_corners=False)[0].numpy()

    assert np.allclose(np.stack(list(enlarge_classes(shares, size))), expected, atol=1e-5)


def test_a_class_with_nothing_around_it_fills_the_whole_mask():
    shares = torch.zeros(1, 300, 2, 2)
    shares[:, 299] = 1
    mask, confidence = choose_classes(shares, (5, 4))

    assert mask.dtype == np.uint16
    assert np.unique(mask).tolist() == [299]
    assert np.unique(confidence).tolist() == [255]


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((480, 640), (64, 96)),
        ((33, 44), (64, 96)),
        ((64, 1280), (64, 1280)),
        ((16, 1600), (32, 2912)),
        ((8, 8), (64, 64)),
    ],
)
def test_the_network_sees_the_short_side_asked_for_but_no_endless_strips(size, seen):
    image = prepare_image(_photo(*size), 64).image
    assert image.shape == (1, 3, *seen)
    assert -1e-5 <= image.min() and image.max() <= 1 + 1e-5


def test_a_large_image_is_seen_as_the_same_image_made_small_by_pillow():
    large = _photo(1501, 2003)
    seen = prepare_image(large, 64).image[0].permute(1, 2, 0).numpy()
    expected = Image.fromarray(large).resize((96, 64), Image.Resampling.BILINEAR)

    assert np.abs(seen - np.asarray(expected) / 255).max() < 0.02


def test_averaging_boxes_in_bands_is_averaging_the_whole(monkeypatch):
    pixels = _photo(103, 77)
    expected = np.asarray(Image.fromarray(pixels).reduce(4))
    for band in (1, 4 * 77 * 4, 10**6):
        monkeypatch.setattr(inference, "_BAND", band)
        assert np.array_equal(inference._average_boxes(pixels, 4), expected)
