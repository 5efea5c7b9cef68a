"""The segmenter as one model: network, cues, place, prior and guidance."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from fs4cli.model.cues import COLOUR_CUES, TEXTURE_CUES, find_cues, find_patterns
from fs4cli.model.guidance import guide_pixels
from fs4cli.model.model_file import ModelCard, build_segmenter, load_model, save_model
from fs4cli.model.segmenter import Segmenter, locate_whole

CPU = torch.device("cpu")
CARD = ModelCard("resnet10t", 8, ("a", "b", "c"), ((0, 0, 0),) * 3, short_side=64)


def _segmenter(seed: int = 0, card: ModelCard = CARD) -> Segmenter:
    torch.manual_seed(seed)
    return build_segmenter(card).eval()


def test_probabilities_have_the_size_of_the_images_and_sum_to_one():
    probabilities = _segmenter().probabilities(torch.rand(2, 3, 32, 64))
    assert probabilities.shape == (2, 3, 32, 64)
    assert torch.allclose(probabilities.sum(1), torch.ones(2, 32, 64), atol=1e-5)


def test_with_a_prior_whole_images_get_the_product_of_both(random):
    card = replace(CARD, prior_side=32)
    segmenter, images = _segmenter(card=card), torch.rand(2, 3, 32, 64)
    assert segmenter.prior is not None
    segmenter.prior.weights.copy_(torch.from_numpy(random.normal(0, 1, segmenter.prior.weights.shape)))
    cues = torch.cat([find_cues(images, 4), find_patterns(images, 4)], 1)
    with torch.no_grad():
        learned = segmenter.embed(images).logits
        product = torch.softmax(learned, 1) * segmenter.prior(cues).exp()
        found = torch.softmax(segmenter(images), 1)
    assert torch.allclose(found, product / product.sum(1, keepdim=True), atol=1e-5)
    assert (found.argmax(1) != learned.argmax(1)).any()  # it has a say


def test_the_prior_looks_at_the_size_at_which_the_grouping_was_made(random):
    segmenter = _segmenter(card=replace(CARD, prior_side=32))
    large = torch.rand(1, 3, 64, 128)
    small = torch.nn.functional.interpolate(large, (32, 64), mode="bilinear", antialias=True, align_corners=False)
    assert segmenter.prior is not None
    segmenter.prior.weights.copy_(torch.from_numpy(random.normal(0, 1, segmenter.prior.weights.shape)))
    word = segmenter.prior(torch.cat([find_cues(small, 4), find_patterns(small, 4)], 1))
    with torch.no_grad():
        given = segmenter(large) - torch.log_softmax(segmenter.embed(large).logits, 1)
    enlarged = torch.nn.functional.interpolate(word, (16, 32), mode="bilinear", align_corners=False)
    assert torch.allclose(given, enlarged, atol=1e-4)


def test_with_a_pyramid_whole_images_are_guided_by_what_they_hold():
    segmenter, images = _segmenter(card=replace(CARD, pyramid=(1, 2))), torch.rand(2, 3, 32, 64)
    assert segmenter.guidance is not None
    segmenter.guidance.shares.copy_(torch.tensor([0.7, 0.2, 0.1]))
    with torch.no_grad():
        alone = segmenter.judge_alone(images)
        assert torch.equal(alone, _segmenter().judge_alone(images))  # nothing else differs
        assert torch.equal(segmenter(images), guide_pixels(alone, segmenter.guidance.shares, (1, 2)))


def test_embedding_weights_and_attention_lie_at_stride_four():
    embedded = _segmenter().embed(torch.rand(2, 3, 32, 64))
    assert embedded.embedding.shape == (2, 8, 8, 16)
    assert embedded.logits.shape == (2, 3, 8, 16)
    assert embedded.attention is not None and embedded.attention.shape == (2, 24, 8, 16)
    assert embedded.weights.mean((1, 2)).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_without_context_no_pixel_looks_at_its_neighbours():
    embedded = _segmenter(card=replace(CARD, context=False)).embed(torch.rand(1, 3, 32, 32))
    assert embedded.attention is None
    assert embedded.weights.unique().tolist() == [1]


def test_cues_reach_the_head_normalized_and_bounded():
    segmenter = _segmenter()
    images = torch.rand(1, 3, 32, 32)
    cues = find_cues(images, 4)
    segmenter.cue_mean.copy_(cues.mean((0, 2, 3), keepdim=True))
    segmenter.cue_std.fill_(1e-3)  # everything is many deviations away: the cues must not drown the features
    seen = []
    segmenter.fuse.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    segmenter.embed(images)
    assert seen[0][:, 8:].abs().max() == 5


def test_places_count_from_the_upper_left_and_mirrored_from_the_right():
    places = locate_whole((2, 4), device=CPU)
    assert places.shape == (1, 2, 4, 2)
    assert places[0, 0, :, 0].tolist() == [0.125, 0.375, 0.625, 0.875]
    assert places[0, :, 0, 1].tolist() == [0.25, 0.75]
    mirrored = locate_whole((2, 4), device=CPU, is_mirrored=True)
    assert mirrored[0, 0, :, 0].tolist() == [0.875, 0.625, 0.375, 0.125]
    assert torch.equal(mirrored[..., 1], places[..., 1])


def test_a_segmenter_told_the_place_tells_equal_pixels_apart_and_another_does_not(tmp_path):
    flat = torch.full((1, 3, 96, 96), 0.5)

    def spread(card: ModelCard) -> float:
        segmenter = _segmenter(card=card)
        save_model(tmp_path / f"{card.place}.safetensors", segmenter, card)
        loaded, _ = load_model(tmp_path / f"{card.place}.safetensors", CPU)
        assert torch.allclose(loaded(flat), segmenter(flat), atol=1e-4)
        # away from the border, where padding shows; one image in which nothing differs but the place
        segmenter.network = nn.AvgPool2d(4)
        segmenter.fuse[0] = nn.Conv2d(3 + COLOUR_CUES + TEXTURE_CUES + (2 if card.place else 0), 8, 1)
        return segmenter(flat)[..., 6:-6, 6:-6].std((2, 3)).max().item()

    assert spread(replace(CARD, place=True)) > 1e-2
    assert spread(replace(CARD, place=False)) < 1e-5


def test_a_mirrored_image_has_its_pixels_where_they_were_photographed():
    segmenter = _segmenter(card=replace(CARD, place=True))
    seen = []
    segmenter.fuse.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][:, -2:]))
    images = torch.rand(1, 3, 32, 64)
    segmenter(images)
    segmenter(images.flip(3), is_mirrored=True)
    assert torch.equal(seen[0], seen[1].flip(3))
    assert seen[0].amin() == -1.875 and seen[0].amax() == 1.875  # 4 (x - 1/2) at x = 1/32
