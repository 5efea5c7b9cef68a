"""PiCIE and MDC: what is compared with what, and with which weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fs4cli.data.augment import Photometry
from fs4cli.data.batches import BatchSource
from fs4cli.model.heads import compare_with_centroids
from fs4cli.model.model_file import ModelCard, build_segmenter
from fs4cli.model.segmenter import Segmenter
from fs4cli.training.picie import Picie, PicieOptions, PicieRound
from fs4cli.training.picie_rounds import find_round, read_round, write_round

CARD = ModelCard("test_resnet", 8, ("a", "b"), ((0, 0, 0),) * 2, short_side=64, context=False, nearest=True)
PLAIN = Photometry(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
CPU = torch.device("cpu")


@pytest.fixture
def source(random) -> BatchSource:
    images = [random.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(4)]
    return BatchSource(images, batch_size=2, window=(64, 64), seed=0)


def make(**options) -> Picie:
    torch.manual_seed(0)
    return Picie(build_segmenter(CARD), PicieOptions(window=64, crop=32, **options))


def begin(objective: Picie, source: BatchSource) -> PicieRound:
    found = find_round(objective, source, clusters=2, number=1, seed=0, device=CPU, precision="fp32")
    objective.set_round(found)
    return found


def test_two_views_have_a_within_and_a_cross_term_of_equal_weight(source):
    objective = make()
    begin(objective, source)
    loss = objective(source.batch(0), 0)

    assert set(loss.terms) == {"within", "cross"}
    assert float(loss.total.detach()) == pytest.approx(sum(float(term.detach()) for term in loss.terms.values()))


def test_mdc_has_one_view_and_no_cross_term(source):
    objective = make(views=1)
    found = begin(objective, source)

    assert found.centroids.shape == (1, 2, 8)
    assert set(objective(source.batch(0), 0).terms) == {"within"}


def test_only_the_network_learns_and_the_assignment_stays_frozen(source):
    objective = make()
    begin(objective, source)
    before = {name: value.clone() for name, value in objective.frozen.state_dict().items()}
    objective.train()
    objective(source.batch(0), 0).total.backward()

    asked = [name for name, parameter in objective.named_parameters() if parameter.grad is not None]
    assert asked and all(name.startswith("segmenter.network.") for name in asked)
    assert not objective.frozen.training
    assert all((objective.frozen.state_dict()[name] == value).all() for name, value in before.items())
    assert not any("frozen" in name for name in objective.state_dict())


def test_both_views_show_the_same_place_where_light_is_left_alone(source):
    # features that are the picture itself: view 2 is cut as view 1 was, so both are nearly alike
    objective = make(photometry=PLAIN, scale=(0.9, 1.0))
    smooth = torch.linspace(0, 255, 64).to(torch.uint8).expand(2, 3, 64, 64).contiguous()
    images, geometry = objective.make_views(replace(source.batch(0), images=smooth))

    class Picture(torch.nn.Module):
        def forward(self, images):
            return torch.nn.functional.avg_pool2d(images, 4)

    first, second = objective.embed(Picture(), images, geometry)
    assert first.shape == second.shape == (2, 3, 8, 8)
    assert (first - second).abs().mean() < 0.02
    assert (first - second.flip(3)).abs().mean() > 0.02


def test_released_weights_listen_to_the_large_cluster_and_ours_to_the_small(source):
    losses = {}
    for is_proportional in (False, True):
        objective = make(is_proportional=is_proportional)
        objective.round = PicieRound({}, torch.eye(2, 8)[None].repeat(2, 1, 1), torch.tensor([[0.9, 0.1]] * 2))
        features = torch.zeros(1, 8, 1, 2)
        features[0, 0] = 1  # both pixels look as the large cluster does; the second is said to be of the small one
        losses[is_proportional] = float(objective._compare(features, 0, torch.tensor([[[0, 1]]])))

    wrong = 10.0  # the cosine's difference over the temperature: the large cluster's pixel costs nothing
    assert losses[True] == pytest.approx(wrong * 0.1, rel=0.01)
    assert losses[False] == pytest.approx(wrong * 0.75, rel=0.01)  # weights fall as the root of the share: 3 to 1


def test_a_pixel_is_of_the_cluster_whose_centroid_points_where_it_does():
    features = torch.tensor([[5.0, 0.1], [0.1, 3.0]]).T[None, :, :, None]
    logits = compare_with_centroids(features, torch.tensor([[0.0, 9.0], [0.5, 0.0]]))

    assert logits.argmax(1).flatten().tolist() == [1, 0]
    assert float(logits.max()) <= 10.0 + 1e-5


def test_a_round_is_read_back_as_it_was_written_and_a_damaged_one_is_none(source, tmp_path):
    objective = make()
    found = begin(objective, source)
    write_round(tmp_path / "round-1", found)

    again = read_round(tmp_path / "round-1")
    assert again is not None and (again.centroids == found.centroids).all() and (again.shares == found.shares).all()
    assert all((again.weights[name] == value).all() for name, value in found.weights.items())
    path = tmp_path / "round-1" / "round.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert read_round(tmp_path / "round-1") is None
    assert read_round(tmp_path / "round-2") is None


def test_the_same_round_is_found_twice(source):
    objective = make()
    first, second = (begin(objective, source) for _ in range(2))

    assert (first.centroids == second.centroids).all()
    assert first.shares.sum(1) == pytest.approx(1)


def test_a_step_before_any_round_is_the_callers_mistake(source):
    with pytest.raises(ValueError, match="set_round comes before"):
        make()(source.batch(0), 0)


def test_centroids_know_no_context():
    with pytest.raises(ValueError, match="no context"):
        Segmenter(
            build_segmenter(CARD).network,
            channels=8,
            classes=2,
            context=True,
            nearest=True,
            cue_mean=[0.0] * 9,
            cue_std=[1.0] * 9,
        )
