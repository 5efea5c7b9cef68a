"""Clusters in view of what images and their patches hold."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fs4cli.clustering.context import settle_in_context
from fs4cli.clustering.grouping import Grouping
from fs4cli.clustering.mixture import make_mixture
from fs4cli.clustering.pixels import PixelClusters, PixelMaps
from fs4cli.clustering.rule import find_rule
from fs4cli.model.axes import AXES

AXIS = (0,)


def _draw(random: np.random.Generator, share: float, size: tuple[int, int] = (24, 32)) -> tuple[PixelMaps, np.ndarray]:
    """An image in which that share of the pixels is of class 1; the classes lie two standard deviations apart."""
    truth = (random.random(size) < share).astype(int)
    axes = np.zeros((*size, AXES), np.float32)
    axes[..., AXIS[0]] = random.normal(2.0 * truth, 1)
    return PixelMaps(np.zeros((*size, 0), np.float32), axes), truth


def _know(
    maps: list[PixelMaps], truths: list[np.ndarray], *, is_plain: bool = False, power: float = 1.0
) -> PixelClusters:
    """Clusters that know the classes of single pixels as well as one can."""
    rows = np.concatenate([one.axes.reshape(-1, AXES)[:, AXIS] for one in maps])
    ids = np.concatenate([truth.ravel() for truth in truths])
    grouping = Grouping("one axis", AXIS, make_mixture(rows, ids, 2), is_plain=is_plain)
    rule = find_rule(grouping, rows, ids, AXIS, is_relative=False, power=power)
    return PixelClusters(grouping, rule, AXIS, summary={"agreement": 1.0, "chosen": "one axis"})


def _score(clusters: PixelClusters, maps: list[PixelMaps], truths: list[np.ndarray]) -> float:
    found = [clusters.assign(one).argmax(2) for one in maps]
    return float(np.mean([(mask == truth).mean() for mask, truth in zip(found, truths, strict=True)]))


@pytest.fixture
def unlike(random):
    """Half of the images nearly full of one class, half of the other."""
    return [list(part) for part in zip(*[_draw(random, share) for share in (0.05, 0.95) * 6], strict=True)]


@pytest.fixture
def alike(random):
    """Every patch of every image holds as much of one class as of the other."""
    return [list(part) for part in zip(*[_draw(random, 0.5) for _ in range(12)], strict=True)]


def test_where_images_hold_different_things_they_say_what_a_doubtful_pixel_is(unlike):
    maps, truths = unlike
    alone = _know(maps, truths)
    guided = settle_in_context(alone, maps, (1, 2))
    assert guided.guidance is not None and guided.guidance.grids == (1, 2)
    assert guided.summary["guided_by"] == [1, 2]
    # alone Phi(1) = 84 %; with shares of 95 to 5, cut at 2.5: 0.95 Phi(2.5) + 0.05 Phi(-0.5) = 96 %
    assert _score(alone, maps, truths) == pytest.approx(0.84, abs=0.02)
    assert _score(guided, maps, truths) > 0.94


def test_where_every_patch_holds_the_same_clusters_stay_as_they_are(alike):
    maps, truths = alike
    alone = _know(maps, truths)
    after = settle_in_context(alone, maps, (1, 2, 4))
    assert after.summary["guided_by"] == []
    assert after.summary["doubt_guided"] > 0.72 * after.summary["doubt_alone"]
    assert after.guidance is None
    assert after.grouping is alone.grouping
    np.testing.assert_array_equal(after.rule.weights, alone.rule.weights)


@pytest.mark.parametrize(("kind", "power"), [("unlike", 0.25), ("alike", 1.0)])
def test_a_doubted_rule_stays_doubted_only_where_places_tell(kind, power, request):
    maps, truths = request.getfixturevalue(kind)
    trusted = settle_in_context(_know(maps, truths), maps, (1, 2))
    doubted = settle_in_context(_know(maps, truths, power=0.25), maps, (1, 2))
    assert doubted.rule.power == power
    np.testing.assert_allclose(doubted.rule.weights, power * trusted.rule.weights)
    np.testing.assert_allclose(doubted.rule.offsets, power * trusted.rule.offsets)


def test_clusters_are_fitted_to_what_guidance_found(unlike):
    maps, truths = unlike
    alone = _know(maps, truths)
    shifted = make_mixture(  # one cluster begins half a standard deviation off
        np.concatenate([one.axes.reshape(-1, AXES)[:, AXIS] for one in maps]),
        np.concatenate([(one.axes[..., 0] > 1.5).ravel().astype(int) for one in maps]),
        2,
    )
    off = replace(alone, grouping=replace(alone.grouping, mixture=shifted))
    settled = settle_in_context(off, maps, (1, 2))
    centres = settled.grouping.mixture.means[:, 0] / settled.grouping.mixture.whitening[0, 0]
    assert centres == pytest.approx([0, 2], abs=0.1)


def test_the_rule_that_the_model_keeps_is_that_of_the_fitted_clusters(unlike):
    maps, truths = unlike
    settled = settle_in_context(_know(maps, truths), maps, (1, 2))
    logits = maps[0].axes.reshape(-1, AXES) @ settled.rule.weights.T + settled.rule.offsets
    alone = settled.judge_alone(settled.describe(maps[0]), (24, 32))[0].flatten(1).T
    assert torch.allclose(torch.from_numpy(logits).log_softmax(1).float(), alone.log_softmax(1), atol=1e-4)


def test_plain_k_means_is_guided_but_stays_what_it_is(unlike):
    maps, truths = unlike
    alone = _know(maps, truths, is_plain=True)
    guided = settle_in_context(alone, maps, (1,))
    assert guided.guidance is not None and guided.guidance.grids == (1,)
    assert guided.grouping.mixture is alone.grouping.mixture


def test_without_a_pyramid_no_image_is_looked_at(unlike):
    alone = _know(*unlike)
    assert settle_in_context(alone, iter([]), ()) is alone


def test_where_nothing_is_in_doubt_there_is_nothing_to_guide(random):
    drawn = [_draw(random, share) for share in (0.1, 0.9) * 4]
    for maps, truth in drawn:
        maps.axes[..., 0] = 50.0 * truth + random.normal(0, 0.1, truth.shape)
    maps, truths = (list(part) for part in zip(*drawn, strict=True))
    assert settle_in_context(_know(maps, truths), maps, (1, 2, 4)).summary["guided_by"] == []
