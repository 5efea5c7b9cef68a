"""CAE: a pixel with its neighbours, near in space and alike in appearance."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fs4cli.model.context_embedding import ContextAwareEmbedding
from fs4cli.model.neighbours import OFFSETS, compare_neighbours, count_reliance, gather_neighbours, shift

HEIGHT, WIDTH = 6, 7


@pytest.fixture
def embedding() -> ContextAwareEmbedding:
    torch.manual_seed(0)
    return ContextAwareEmbedding(5, keys=4)


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 5, HEIGHT, WIDTH, generator=generator), torch.randn(2, 3, HEIGHT, WIDTH, generator=generator)


def _inside(row: int, column: int) -> bool:
    return 0 <= row < HEIGHT and 0 <= column < WIDTH


def test_there_are_24_neighbours_and_the_pixel_is_not_among_them():
    assert len(set(OFFSETS)) == len(OFFSETS) == 24
    assert (0, 0) not in OFFSETS
    assert {(1, 0), (-2, 2), (4, -4)} <= set(OFFSETS)


def test_attention_sums_to_one(embedding, maps):
    assert torch.allclose(embedding.attend(*maps).sum(1), torch.ones(2, HEIGHT, WIDTH), atol=1e-5)


def test_neighbours_beyond_the_border_get_nothing_and_the_others_something(embedding, maps):
    attention = embedding.attend(*maps)
    for position, (down, right) in enumerate(OFFSETS):
        for row in range(HEIGHT):
            for column in range(WIDTH):
                share = attention[:, position, row, column]
                assert (share > 0).all() if _inside(row + down, column + right) else (share == 0).all()


def test_attention_is_likeness_less_distance_less_difference(embedding, maps):
    features, appearance = maps
    attention = embedding.attend(features, appearance)[1].detach().numpy()
    query = embedding.query(features)[1].detach().numpy()
    key = embedding.key(features)[1].detach().numpy()
    look = appearance[1].numpy()
    for row in range(HEIGHT):
        for column in range(WIDTH):
            logits = np.full(24, -np.inf)
            for position, (down, right) in enumerate(OFFSETS):
                if _inside(row + down, column + right):
                    other = row + down, column + right
                    logits[position] = (
                        query[:, row, column] @ key[:, *other] / np.sqrt(4)
                        - (down**2 + right**2) / (2 * 2.5**2)  # 2.5 cells to start with
                        - ((look[:, row, column] - look[:, *other]) ** 2).mean() / (2 * 1.0**2)  # 1 deviation
                    )
            expected = np.exp(logits - logits.max())
            assert attention[:, row, column] == pytest.approx(expected / expected.sum(), abs=1e-3)


def test_a_pixel_gathers_from_its_neighbours_as_a_loop_does(maps):
    values = maps[0]
    attention = torch.softmax(torch.randn(2, 24, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2)), 1)
    gathered = gather_neighbours(values, attention)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            expected = torch.zeros(2, 5)
            for position, (down, right) in enumerate(OFFSETS):
                if _inside(row + down, column + right):
                    expected += attention[:, position, row, column, None] * values[:, :, row + down, column + right]
            assert torch.allclose(gathered[:, :, row, column], expected, atol=1e-5)


def test_a_pixel_never_attends_to_itself(embedding, maps):
    attention = embedding.attend(*maps)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            only_this = torch.zeros(2, 1, HEIGHT, WIDTH)
            only_this[:, :, row, column] = 1
            assert gather_neighbours(only_this, attention)[:, :, row, column].abs().max() == 0


def test_what_all_take_from_a_pixel_is_its_weight(embedding, maps):
    attention = embedding.attend(*maps).detach()
    taken = np.zeros((2, HEIGHT, WIDTH))
    for row in range(HEIGHT):
        for column in range(WIDTH):
            for position, (down, right) in enumerate(OFFSETS):
                if _inside(row + down, column + right):
                    taken[:, row + down, column + right] += attention[:, position, row, column].numpy()
    weights = count_reliance(attention).numpy()
    assert weights == pytest.approx(taken / taken.mean((1, 2), keepdims=True), abs=1e-5)
    assert weights.mean((1, 2)) == pytest.approx([1, 1], abs=1e-5)


def test_of_neighbours_that_look_alike_the_nearer_gets_more(embedding):
    attention = embedding.attend(torch.zeros(1, 5, 9, 9), torch.zeros(1, 3, 9, 9))[0, :, 4, 4]
    near, middle, far = (attention[OFFSETS.index((0, step))].item() for step in (1, 2, 4))
    # distances 1, 2 and 4 at 2.5 cells of width
    assert near / middle == pytest.approx(np.exp((4 - 1) / 12.5), rel=1e-2)
    assert middle / far == pytest.approx(np.exp((16 - 4) / 12.5), rel=1e-2)


def test_of_neighbours_as_near_the_alike_gets_more(embedding):
    halves = torch.zeros(1, 3, 9, 9)
    halves[..., 5:] = 2.0  # two standard deviations away
    attention = embedding.attend(torch.zeros(1, 5, 9, 9), halves)[0, :, 4, 4]
    same, other = attention[OFFSETS.index((0, -1))].item(), attention[OFFSETS.index((0, 1))].item()
    assert same / other == pytest.approx(np.exp(2.0), rel=1e-2)


def test_without_strength_features_stay_as_they_are(embedding, maps):
    embedding.strength.data.zero_()
    features, weights, attention = embedding(*maps)
    assert torch.equal(features, maps[0])
    assert weights.shape == (2, HEIGHT, WIDTH) and attention.shape == (2, 24, HEIGHT, WIDTH)


def test_a_pixel_knows_its_whole_image(embedding, maps):
    # a change beyond the reach of 4 pixels still arrives, through the image's mean
    features = maps[0].clone().requires_grad_()
    out, _, _ = embedding(features, maps[1])
    out[0, 0, 0, 0].backward()
    assert features.grad is not None
    assert features.grad[0, :, 5, 6].abs().max() > 0
    assert features.grad[1].abs().max() == 0


def test_a_shifted_map_shows_what_lies_there_and_zeros_beyond():
    row = torch.arange(1.0, 5.0).view(1, 1, 1, 4)
    assert shift(row, 0, 1).flatten().tolist() == [2, 3, 4, 0]
    assert shift(row, 0, -2).flatten().tolist() == [0, 0, 1, 2]
    assert shift(row.transpose(2, 3), 3, 0).flatten().tolist() == [4, 0, 0, 0]
    assert shift(row, 1, 0).flatten().tolist() == [0, 0, 0, 0]


def test_the_widths_start_where_the_comment_says(embedding):
    assert F.softplus(embedding.space).item() == pytest.approx(2.5, abs=1e-3)
    assert F.softplus(embedding.appearance).item() == pytest.approx(1.0, abs=1e-3)


def test_small_maps_are_worked_on_as_matrices_with_the_same_result(monkeypatch):
    torch.manual_seed(0)
    context = ContextAwareEmbedding(16, keys=8)
    features, appearance = torch.randn(2, 16, 7, 9), torch.randn(2, 3, 7, 9)

    def run() -> tuple[torch.Tensor, ...]:
        given = features.clone().requires_grad_()
        embedded, weights, attention = context(given, appearance)
        (embedded.square().mean() + (weights * embedded[:, 0]).mean()).backward()
        assert given.grad is not None
        return embedded, weights, attention, given.grad

    dense = run()
    monkeypatch.setattr("fs4cli.model.neighbours.MOST_PAIRS", 0)
    for one, other in zip(dense, run(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_the_written_out_gradients_are_those_of_finite_differences():
    """In double precision, by torch's own check; on a map narrower than the neighbourhood is wide."""
    random = torch.Generator().manual_seed(3)
    query, key, values = (torch.randn(2, 3, 5, 6, generator=random, dtype=torch.float64) for _ in range(3))
    weights = torch.rand(2, 24, 5, 6, generator=random, dtype=torch.float64)
    inside = torch.stack([shift(torch.ones(2, 1, 5, 6), down, right)[:, 0] for down, right in OFFSETS], 1)
    for given in (query, key, values, weights):
        given.requires_grad_()

    def compare(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        return compare_neighbours(query, key) * inside

    assert torch.autograd.gradcheck(compare, (query, key), eps=1e-3, atol=1e-3)  # it answers in single precision
    assert torch.autograd.gradcheck(gather_neighbours, (values, weights))
