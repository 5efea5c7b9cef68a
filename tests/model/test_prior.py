"""The first grouping's word, kept in the model: the same as the grouping's own, on any device and mirrored."""

import numpy as np
import pytest
import torch

from fs4cli.clustering import finder, search
from fs4cli.clustering.grouping import Grouping
from fs4cli.clustering.mixture import make_mixture
from fs4cli.clustering.pixels import PixelMaps, fit_pixel_clusters
from fs4cli.model.axes import AXES, describe_cues
from fs4cli.model.prior import LEAST, PixelPrior


def _draw_cues(random, size: tuple[int, int]) -> np.ndarray:
    return random.normal(20, 8, (*size, 16)).astype(np.float32)


def _as_batch(cues: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(cues).permute(2, 0, 1)[None]


@pytest.mark.parametrize("with_features", [False, True])
def test_it_says_what_the_grouping_says(random, monkeypatch, with_features):
    def join(grouping, vectors, features, clusters, **_):
        """As if the features had been borne out by the cues."""
        together = np.concatenate([vectors, features[:, :3]], axis=1)
        axes = (*grouping.axes, *range(vectors.shape[1], together.shape[1]))
        ids = grouping.logits(vectors).argmax(1)
        return Grouping("with features", axes, make_mixture(together[:, axes], ids, clusters)), {}

    monkeypatch.setattr(finder, "join_features", join)
    monkeypatch.setattr(search, "PLAIN_SURE", 1.1)  # else none joins, as classes are this plain
    maps, images = [], []
    for _ in range(10):
        truth = random.integers(0, 2, (16, 16))
        cues = random.normal(0, 4, (16, 16, 16)).astype(np.float32)
        cues[..., 1] += 24 * truth
        features = random.normal(0, 0.1, (16, 16, 4 if with_features else 0)).astype(np.float32)
        features[..., :1] += truth[..., None]
        maps.append(PixelMaps(features, describe_cues(_as_batch(cues))[0].permute(1, 2, 0).numpy()))
        images.append(_as_batch(cues))
    clusters = fit_pixel_clusters(maps, 2, number=10, seed=0)
    assert (clusters.feature_axes is not None) is with_features
    prior = PixelPrior(2)
    prior.weights.copy_(torch.from_numpy(clusters.rule.weights))
    prior.offsets.copy_(torch.from_numpy(clusters.rule.offsets))
    for one, image in zip(maps, images, strict=True):
        shares = prior(image)[0].exp().permute(1, 2, 0).numpy()
        own = clusters.assign(one)
        if with_features:  # the rule is told no feature, and must do without
            assert (shares.argmax(2) == own.argmax(2)).mean() > 0.97
        else:
            assert np.allclose(shares, own + LEAST, atol=1e-4)


def test_a_mirrored_image_has_the_mirrored_word(random):
    prior = PixelPrior(3)
    prior.weights.copy_(torch.from_numpy(random.normal(0, 1, (3, AXES))))  # the column counts, too
    cues = _as_batch(_draw_cues(random, (8, 12)))
    assert torch.allclose(prior(cues.flip(3), is_mirrored=True).flip(3), prior(cues), atol=1e-4)
    assert not torch.allclose(prior(cues.flip(3)).flip(3), prior(cues), atol=1e-2)


def test_it_never_rules_a_class_out(random):
    prior = PixelPrior(2)
    prior.offsets.copy_(torch.tensor([0.0, -1e4]))
    assert prior(_as_batch(_draw_cues(random, (4, 4)))).exp()[0, 1].mean() == pytest.approx(LEAST)


def test_a_rule_of_before_that_knew_fewer_axes_says_what_it_said(random):
    known = AXES - 3
    weights = torch.from_numpy(random.normal(0, 0.1, (4, known)).astype(np.float32))
    prior = PixelPrior(4)
    prior.load_state_dict({"weights": weights, "offsets": torch.zeros(4)})

    assert torch.equal(prior.weights[:, :known], weights)
    assert not prior.weights[:, known:].any()
