"""A round's assignment: maps, shares, and what the cells of each label hold."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fs4cli.model.local_colour import sharpen
from fs4cli.training.assignment import (
    Assignment,
    count_cell_shares,
    guide,
    read_assignment,
    refine_assignment,
    write_assignment,
)

FIRST = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])  # left half 0, right half 1
SECOND = np.full((2, 4), 2)
PYRAMID = [
    (1, np.array([[[1.0, 0.0]], [[0.0, 1.0]]], np.float32)),  # the first image is of kind 0, the second of kind 1
    (2, np.full((2, 4, 1), 1.0, np.float32)),  # all patches are of one kind
]


def _soft(mask: np.ndarray, sure: float = 0.8) -> np.ndarray:
    soft = np.full((*mask.shape, 3), (1 - sure) / 2, np.float32)
    np.put_along_axis(soft, mask[..., None], sure, axis=2)
    return soft


@pytest.fixture
def assignment(tmp_path) -> Assignment:
    return write_assignment(tmp_path / "round", iter([_soft(FIRST), _soft(SECOND)]), PYRAMID, 3)


def test_each_pixel_has_its_likeliest_cluster_and_how_sure_it_is(assignment):
    assert assignment.label_maps[0].tolist() == FIRST.tolist()
    assert assignment.label_maps[1].tolist() == SECOND.tolist()
    assert assignment.label_maps.confidence(0).tolist() == [[204] * 4] * 2  # 0.8 of 255


def test_shares_and_health_are_those_of_all_pixels(assignment):
    assert assignment.shares.tolist() == [0.25, 0.25, 0.5]
    assert assignment.sureness == pytest.approx([0.8, 0.8, 0.8])
    assert assignment.health.largest_share == 0.5
    assert assignment.health.single_cluster_images == 0.5
    assert assignment.health.borders == 1000 * 2 / 16


def test_a_cluster_is_as_sure_as_its_pixels_are_on_average_and_an_empty_one_is_not_doubted(tmp_path):
    soft = np.concatenate([_soft(FIRST[:, :2], 0.9), _soft(FIRST[:, 2:3], 0.5), _soft(FIRST[:, 3:], 0.7)], axis=1)
    written = write_assignment(tmp_path, iter([soft]), [], 3)
    assert written.sureness == pytest.approx([0.9, 0.6, 1.0])
    again = read_assignment(tmp_path)
    assert again is not None and again.sureness.tolist() == written.sureness.tolist()


def test_what_the_cells_of_a_label_hold_is_known(assignment):
    # kind 0: half 0, half 1; kind 1: all 2; each with one more cell that holds what all images hold
    overall = np.array([0.25, 0.25, 0.5])
    expected = (np.array([[0.5, 0.5, 0], [0, 0, 1]]) + overall) / 2
    assert assignment.expected[0] == pytest.approx(expected)
    assert assignment.expected[1] == pytest.approx(overall[None])


def test_cells_share_out_their_pixels():
    mask = np.array([[0, 1, 2, 2], [0, 0, 2, 2]])
    assert count_cell_shares(mask, 1, 3).tolist() == [[3 / 8, 1 / 8, 4 / 8]]
    assert count_cell_shares(mask, 2, 3).tolist() == [[0.5, 0.5, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_a_finished_round_is_read_as_it_was_written(assignment, tmp_path):
    again = read_assignment(tmp_path / "round")
    assert again is not None
    assert again.shares.tolist() == assignment.shares.tolist()
    assert again.health == assignment.health
    assert all(np.array_equal(one, other) for one, other in zip(again.expected, assignment.expected, strict=True))
    assert again.label_maps[0].tolist() == FIRST.tolist()


def test_health_is_the_same_whether_made_or_read(tmp_path, random):
    # figures with many digits: a collapse must be judged alike by a run that was killed and one that was not
    masks = [random.integers(0, 3, (7, 5)) for _ in range(3)]
    made = write_assignment(tmp_path, [_soft(mask) for mask in masks], [], 3)
    read = read_assignment(tmp_path)
    assert read is not None and read.health == made.health


def test_a_later_round_is_compared_with_the_one_before(tmp_path):
    masks = [np.array([[0, 1], [0, 1]]), np.array([[2, 2], [0, 1]])]
    first = write_assignment(tmp_path / "first", [_soft(mask) for mask in masks], [], 3)
    renamed = [_soft(2 - mask) for mask in masks]
    second = write_assignment(tmp_path / "second", renamed, [], 3, before=first.label_maps, view_agreement=0.75)
    assert first.health.round_nmi is None and first.health.view_agreement is None
    assert second.health.round_nmi == 1.0  # the same parts by other names
    assert second.health.view_agreement == 0.75


def test_a_round_that_was_not_finished_is_none(tmp_path):
    assert read_assignment(tmp_path / "round") is None

    def killed():
        yield _soft(FIRST)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_assignment(tmp_path / "round", killed(), PYRAMID, 3)
    assert read_assignment(tmp_path / "round") is None


@pytest.mark.parametrize("name", ["labels.bin", "confidence.bin", "table.npy", "expected.npz"])
@pytest.mark.parametrize("change", ["cut", "changed", "missing"])
def test_a_round_with_a_damaged_file_is_none(assignment, tmp_path, name, change):
    path: Path = tmp_path / "round" / name
    data = path.read_bytes()
    if change == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if change == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    assert read_assignment(tmp_path / "round") is None


def test_a_round_can_be_written_over_a_killed_one(assignment, tmp_path):
    again = write_assignment(tmp_path / "round", [_soft(SECOND), _soft(SECOND)], PYRAMID, 3)
    assert again.shares.tolist() == [0, 0, 1]
    assert read_assignment(tmp_path / "round") is not None


def test_guidance_has_the_labels_with_what_their_cells_hold(assignment):
    levels = guide(assignment, PYRAMID)
    assert [level.grid for level in levels] == [1, 2]
    assert torch.equal(levels[0].labels, torch.from_numpy(PYRAMID[0][1]))
    assert torch.equal(levels[0].expected, torch.from_numpy(assignment.expected[0]))


def test_an_assignment_is_sharpened_as_masks_are_at_its_own_stride(random):
    line = np.isin(np.arange(64), (30, 31))[None, :, None]
    drawn = np.isin(np.arange(64), (28, 29, 30, 31, 32, 33))[None, :, None]  # three times as wide
    soft = np.repeat(np.where(drawn, [0.02, 0.98], [0.98, 0.02]), 64, axis=0).astype(np.float32)
    pixels = (0.7 - 0.4 * line + 0.02 * random.normal(size=(64, 64, 1)) + np.zeros(3)).astype(np.float32)
    refined = refine_assignment(soft, pixels)
    map_and_image = [torch.from_numpy(one).permute(2, 0, 1)[None] for one in (soft, pixels)]
    as_assignment, as_mask = (sharpen(*map_and_image, stride=stride)[0].permute(1, 2, 0).numpy() for stride in (4, 2))
    assert np.allclose(refined, as_assignment)
    assert not np.allclose(refined, as_mask, atol=0.01)
    assert not np.allclose(refined, soft, atol=0.1)
    assert np.allclose(refined.sum(2), 1, atol=1e-5)
