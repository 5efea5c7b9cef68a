from dataclasses import replace

import numpy as np
import pytest
import torch

from fs4cli.clustering import search
from fs4cli.clustering.pixels import PixelMaps, count_needed, fit_pixel_clusters
from fs4cli.model.axes import describe_cues


def show_cues(cues, features=None):
    """An image of these cues, and of no learned features unless there are some."""
    axes = describe_cues(torch.from_numpy(cues).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    return PixelMaps(np.zeros((*cues.shape[:2], 0), np.float32) if features is None else features, axes)


def draw_halves(random, count=6):
    """Left half green, right half grey, both noisy."""
    maps = []
    for _ in range(count):
        cues = random.normal(0, 3, (8, 24, 16)).astype(np.float32)
        cues[..., 0] += 50
        cues[:, :12, 1] -= 40
        maps.append(show_cues(cues))
    return maps


def test_two_colours_become_two_clusters(random):
    maps = draw_halves(random)
    mask = fit_pixel_clusters(maps, 2, number=len(maps), seed=0).assign(maps[0]).argmax(2)

    left, right = mask[:, :10], mask[:, 14:]
    assert (left == left[0, 0]).all() and (right == right[0, 0]).all()
    assert left[0, 0] != right[0, 0]


def test_shares_of_a_pixel_sum_to_one(random):
    maps = draw_halves(random)
    shares = fit_pixel_clusters(maps, 3, number=len(maps), seed=0).assign(maps[0])

    assert shares.shape == (8, 24, 3)
    np.testing.assert_allclose(shares.sum(2), 1, atol=1e-5)


def test_the_same_seed_finds_the_same_clusters(random):
    maps = draw_halves(random)
    first, second = (fit_pixel_clusters(maps, 3, number=len(maps), seed=5).assign(maps[2]) for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_clusters_in_noise_are_voted_on_and_clear_ones_are_not(random):
    noise = [show_cues(random.normal(50, 3, (12, 12, 16)).astype(np.float32)) for _ in range(6)]
    for maps, are_voted_on in ((noise, True), (draw_halves(random), False)):
        votes = fit_pixel_clusters(maps, 2, number=len(maps), seed=0).summary["votes"]
        assert 5 <= votes <= 10 if are_voted_on else votes == 0


def test_voted_clusters_of_noise_assign_as_any_do(random):
    noise = [show_cues(random.normal(50, 3, (12, 12, 16)).astype(np.float32)) for _ in range(6)]
    clusters = fit_pixel_clusters(noise, 3, number=len(noise), seed=0)

    np.testing.assert_allclose(clusters.assign(noise[0]).sum(2), 1, atol=1e-5)
    # the rule, which knows the texture of pixels and not of regions, says mostly the same: by chance it were a third
    logits = noise[0].axes @ clusters.rule.weights.T + clusters.rule.offsets
    assert (logits.argmax(2) == clusters.assign(noise[0]).argmax(2)).mean() > 0.8


def test_more_classes_than_pixels_are_refused():
    maps = [show_cues(np.zeros((2, 2, 16), np.float32))]
    with pytest.raises(ValueError, match="5 clusters"):
        fit_pixel_clusters(maps, 5, number=len(maps), seed=0)


def test_the_same_texture_in_other_light_is_one_cluster(random):
    maps = []
    for light in (-15, 15, -10, 10, -5, 5):
        cues = np.zeros((24, 24, 16), np.float32)
        cues[..., [0, 3, 5, 7]] = 50 + light + random.normal(0, 2, (24, 24, 4))
        cues[..., 4:9:2] = random.uniform(3, 5, (24, 24, 3))
        cues[:, 12:, 4:9:2] *= 5
        maps.append(show_cues(cues))
    clusters = fit_pixel_clusters(maps, 2, number=len(maps), seed=0)
    masks = np.stack([clusters.assign(one).argmax(2) for one in maps])

    assert (masks[:, :, :9] == masks[0, 0, 0]).all()
    assert (masks[:, :, 15:] == 1 - masks[0, 0, 0]).all()


def test_the_summary_says_what_tells_the_clusters_apart(random):
    summary = fit_pixel_clusters(draw_halves(random, count=10), 2, number=10, seed=0).summary

    assert summary["explained"]["chroma"] > 0.4 > summary["explained"]["texture"]
    assert summary["with_place"] and summary["place_foretells"] > 0.5
    assert summary["gains"][summary["chosen"]] >= 0.97 * max(summary["gains"].values())
    assert sum(summary["shares"]) == pytest.approx(1, abs=1e-3)


def test_images_of_one_colour_are_grouped_without_an_error():
    maps = [show_cues(np.full((8, 8, 16), 30, np.float32)) for _ in range(9)]
    shares = fit_pixel_clusters(maps, 4, number=len(maps), seed=0).assign(maps[0])

    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.sum(2), 1, atol=1e-5)


def test_one_image_of_another_size_is_assigned(random):
    clusters = fit_pixel_clusters(draw_halves(random, count=10), 2, number=10, seed=0)
    wide = show_cues(random.normal(50, 3, (6, 50, 16)).astype(np.float32))

    assert clusters.assign(wide).shape == (6, 50, 2)


def draw_misled(random):
    """Two noisy colours, and learned features that say something else, as loudly and without noise."""
    maps = []
    for _ in range(10):
        truth = random.integers(0, 2, (16, 16))
        cues = random.normal(0, 6, (16, 16, 16)).astype(np.float32)
        cues[..., 1] += 22 * truth
        features = random.normal(0, 0.05, (16, 16, 4)).astype(np.float32)
        features[..., 0] += random.integers(0, 2, (16, 16))
        maps.append((show_cues(cues, features), truth))
    return maps


def test_learned_features_that_say_something_else_are_not_believed(random, monkeypatch):
    monkeypatch.setattr("fs4cli.clustering.search.PLAIN_SURE", 1.1)  # else they are not even asked
    maps = draw_misled(random)
    clusters = fit_pixel_clusters([one for one, _ in maps], 2, number=10, seed=0)
    right = np.mean([clusters.assign(one).argmax(2) == truth for one, truth in maps])

    assert "learned features" not in clusters.summary["chosen"]
    assert clusters.feature_axes is None
    assert max(right, 1 - right) > 0.9


@pytest.fixture
def asked(monkeypatch):
    """Grows when learned features are asked; none of them joins."""
    times = []
    monkeypatch.setattr(
        "fs4cli.clustering.finder.join_features", lambda grouping, *_, **__: times.append(True) or (grouping, {})
    )
    return times


@pytest.mark.parametrize(("noise", "is_asked"), [(2, False), (30, True)])
def test_learned_features_are_asked_only_where_groupings_of_plain_cues_do_not_agree(random, asked, noise, is_asked):
    maps = []
    for _ in range(10):
        cues = random.normal(0, noise, (16, 16, 16)).astype(np.float32)
        cues[..., 1] += 22 * random.integers(0, 2, (16, 16))
        maps.append(show_cues(cues, random.normal(0, 1, (16, 16, 4)).astype(np.float32)))
    clusters = fit_pixel_clusters(maps, 2, number=10, seed=0)

    assert bool(asked) is is_asked
    assert (clusters.summary["agreement"] < 0.93) is is_asked


@pytest.mark.parametrize(("agreement", "is_asked"), [(0.94, False), (0.92, True)])
def test_plain_groupings_that_agree_so_far_are_believed_and_learned_features_are_not_asked(
    random, monkeypatch, asked, agreement, is_asked
):
    settle = search.settle_first
    monkeypatch.setattr(
        search, "settle_first", lambda *args, **more: replace(settle(*args, **more), agreement=agreement)
    )
    fit_pixel_clusters([one for one, _ in draw_misled(random)], 2, number=10, seed=0)

    assert bool(asked) is is_asked


def draw_lines(random, *, bright: bool):
    """Thin lines of one sign among faint ones of both, on ground of one lightness."""
    maps = []
    for _ in range(6):
        truth = np.zeros((24, 24), bool)
        truth[random.integers(2, 22)] = truth[:, random.integers(2, 22)] = True
        cues = random.normal(0, 1, (24, 24, 16)).astype(np.float32)
        cues[..., 15 if bright else 14] += truth * (-40 if bright else 40)
        maps.append((show_cues(cues), truth))
    return maps


@pytest.mark.parametrize("bright", [False, True])
def test_lines_are_a_class_of_their_own_whether_dark_or_bright(random, bright):
    drawn = draw_lines(random, bright=bright)
    clusters = fit_pixel_clusters([maps for maps, _ in drawn], 2, number=len(drawn), seed=0)
    right = np.mean([(clusters.assign(maps).argmax(2) == 1) == truth for maps, truth in drawn])

    assert clusters.summary["bright_lines"] is bright
    assert max(right, 1 - right) > 0.97


def draw_light(random, *, spread):
    """A square that is brighter by 20 in each image, at any place, in light that differs by up to `spread`."""
    drawn = []
    for light in np.linspace(-spread / 2, spread / 2, 12):
        truth = np.zeros((16, 24), bool)
        top, left = random.integers(0, 8), random.integers(0, 16)
        truth[top : top + 8, left : left + 8] = True
        cues = random.normal(0, 2, (16, 24, 16)).astype(np.float32)
        cues[..., 0] += 50 + light + 20 * truth
        drawn.append((show_cues(cues), truth))
    return drawn


@pytest.mark.parametrize("spread", [0, 80])
def test_what_is_brighter_than_the_rest_of_its_image_is_a_class_in_any_light(random, spread):
    drawn = draw_light(random, spread=spread)
    clusters = fit_pixel_clusters([maps for maps, _ in drawn], 2, number=len(drawn), seed=0)
    right = np.mean([(clusters.assign(maps).argmax(2) == 1) == truth for maps, truth in drawn])

    assert clusters.summary["relative_colour"] is (spread == 80)
    assert max(right, 1 - right) > 0.95


def test_the_rule_that_a_model_keeps_knows_the_light_of_each_image(random):
    drawn = draw_light(random, spread=80)
    clusters = fit_pixel_clusters([maps for maps, _ in drawn], 2, number=len(drawn), seed=0)
    for maps, _ in drawn:
        ruled = maps.axes @ clusters.rule.weights.T + clusters.rule.offsets
        assert (ruled.argmax(2) == clusters.assign(maps).argmax(2)).all()


def test_the_insides_are_looked_at_alone_only_where_groupings_agree_little(random, monkeypatch):
    maps = draw_halves(random, count=10)
    everywhere = fit_pixel_clusters(maps, 2, number=10, seed=0)
    monkeypatch.setattr("fs4cli.clustering.repeats.UNSURE", 1.1)
    monkeypatch.setattr("fs4cli.clustering.repeats.INSIDES_BETTER", 0)
    insides = fit_pixel_clusters(maps, 2, number=10, seed=0)

    assert (everywhere.summary["inside"], insides.summary["inside"]) == (False, True)
    mask = insides.assign(maps[0]).argmax(2)
    assert (mask[:, :10] == mask[0, 0]).all() and (mask[:, 14:] == 1 - mask[0, 0]).all()


def test_a_rule_on_which_its_groupings_agree_little_has_a_quarter_of_its_power(random, monkeypatch):
    maps = draw_halves(random, count=10)
    trusted = fit_pixel_clusters(maps, 2, number=10, seed=0)
    monkeypatch.setattr("fs4cli.clustering.rule.UNSURE", 1.1)
    monkeypatch.setattr("fs4cli.clustering.rule.PLACE_LEADS", 1.1)  # the place tells the halves apart
    doubted = fit_pixel_clusters(maps, 2, number=10, seed=0)

    np.testing.assert_allclose(doubted.rule.weights, trusted.rule.weights / 4)
    np.testing.assert_allclose(doubted.rule.offsets, trusted.rule.offsets / 4)
    assert (doubted.assign(maps[0]) == trusted.assign(maps[0])).all()


@pytest.mark.parametrize(("classes", "count"), [(2, 400), (27, 5400), (122, 24400), (200, 15000), (1000, 20000)])
def test_more_classes_are_found_in_more_pixels_as_long_as_their_product_is_small(classes, count):
    assert count_needed(classes) == count
