"""The FS^4 objective: pixels, pyramid and context."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fs4cli.data.augment import Photometry, change_light
from fs4cli.data.batches import Batch, BatchSource
from fs4cli.data.label_maps import LabelMaps, LabelMapWriter
from fs4cli.model.model_file import ModelCard, build_segmenter
from fs4cli.model.network import DenseNetwork
from fs4cli.model.segmenter import Embedded, Segmenter
from fs4cli.training.segmentation import OTHER_LIGHT, GuidanceLevel, Segmentation, SegmentationOptions

STILL = Photometry(brightness=0.0, contrast=0.0, saturation=0.0, tint=0.0, blur=0.0, noise=0.0, grey=0.0)
OPTIONS = SegmentationOptions(window=64, crop=32, scale=(0.6, 1.0))
CARD = ModelCard("resnet10t", 8, ("a", "b", "c"), ((0, 0, 0),) * 3, short_side=64)
SHARES = torch.tensor([0.5, 0.3, 0.2])
SURENESS = torch.ones(3)
IMAGES = 4


def _images() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images of three bands in red, green and blue, each turned another way; and where the bands lie."""
    masks = []
    for number in range(IMAGES):
        mask = np.zeros((64, 64), int)
        mask[20:] = 1
        mask[40:] = 2
        masks.append(np.rot90(mask, number).copy())
    colours = np.array([[230, 20, 20], [20, 230, 20], [20, 20, 230]], np.uint8)
    return [colours[mask] for mask in masks], masks


def _batch(seed: int = 0) -> Batch:
    batch = BatchSource(_images()[0], batch_size=IMAGES, window=(48, 48), seed=0).batch(0)
    batch.generator.manual_seed(seed)
    return batch


def _maps(folder: Path, *, mirror: bool = False) -> LabelMaps:
    writer = LabelMapWriter(folder)
    for mask in _images()[1]:
        small = mask[2::4, 2::4]
        writer.add(np.ascontiguousarray(np.flip(small, (0, 1))) if mirror else small, np.ones(small.shape))
    return writer.finish()


def _levels() -> list[GuidanceLevel]:
    labels = [torch.full((IMAGES, cells, kinds), 1 / kinds) for cells, kinds in ((1, 2), (4, 3))]
    expected = [torch.full((kinds, 3), 1 / 3) for kinds in (2, 3)]
    return [GuidanceLevel(grid, *pair) for grid, pair in zip((1, 2), zip(labels, expected, strict=True), strict=True)]


def _objective(*, context: bool = True, pyramid: bool = True, options: SegmentationOptions = OPTIONS) -> Segmentation:
    torch.manual_seed(0)
    segmenter = build_segmenter(replace(CARD, context=context))
    return Segmentation(segmenter, options, channels=8, pyramid_labels=(2, 3) if pyramid else ())


class Patches(DenseNetwork):
    """Features of squares of 4 x 4 pixels, for speed."""

    def __init__(self):
        nn.Module.__init__(self)
        self.layer = nn.Conv2d(3, 8, 4, stride=4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images)


class Painter(Segmenter):
    """Knows the bands by their colour."""

    def __init__(self):
        nn.Module.__init__(self)
        self.register_buffer("cue_mean", torch.zeros(1))
        self.context = None
        self.scale = nn.Parameter(torch.tensor(20.0))

    def embed(self, images: torch.Tensor, places: torch.Tensor | None = None) -> Embedded:
        colours = F.avg_pool2d(images, 4)
        return Embedded(colours, torch.ones_like(colours[:, 0]), self.scale * colours, None)


def test_the_round_comes_before_the_first_step():
    with pytest.raises(ValueError, match="set_round"):
        _objective()(_batch(), 0)


def test_the_loss_is_the_sum_of_its_named_terms(tmp_path):
    objective = _objective()
    objective.set_round(_maps(tmp_path), SHARES, SURENESS, _levels())
    loss = objective(_batch(), 0)
    assert set(loss.terms) == {"pixels", "views", "cells", "top_down", "context"}
    assert loss.total.item() == pytest.approx(sum(term.item() for term in loss.terms.values()), rel=1e-5)
    assert torch.isfinite(loss.total)


def test_what_is_switched_off_has_no_term(tmp_path):
    objective = _objective(context=False, pyramid=False)
    objective.set_round(_maps(tmp_path), SHARES, SURENESS, [])
    assert set(objective(_batch(), 0).terms) == {"pixels", "views"}


def test_every_weight_learns_and_the_average_does_not(tmp_path):
    objective = _objective()
    objective.set_round(_maps(tmp_path), SHARES, SURENESS, _levels())
    objective(_batch(), 0).total.backward()
    assert [name for name, value in objective.named_parameters() if value.requires_grad and value.grad is None] == []
    assert all(parameter.grad is None for parameter in objective.average.parameters())


def test_pseudo_labels_lie_under_the_pixels_they_were_made_for(tmp_path):
    # whoever knows the bands by their colour is right through every crop and mirror; with maps upside down, wrong
    def lose(mirror: bool) -> float:
        objective = Segmentation(
            Painter(), replace(OPTIONS, scale=(0.4, 1.0), photometry=STILL), channels=3, pyramid_labels=()
        )
        objective.set_round(_maps(tmp_path / str(mirror), mirror=mirror), SHARES, SURENESS, [])
        return np.mean([objective(_batch(seed), 0).terms["pixels"].item() for seed in range(4)]).item()

    assert lose(mirror=True) > 3 * lose(mirror=False)


def test_the_two_views_are_compared_place_by_place(tmp_path):
    objective = Segmentation(
        Painter(), replace(OPTIONS, scale=(0.4, 1.0), photometry=STILL), channels=3, pyramid_labels=()
    )
    objective.set_round(_maps(tmp_path), SHARES, SURENESS, [])
    views = [objective(_batch(seed), 0).terms["views"].item() / OPTIONS.cross for seed in range(4)]
    assert np.mean(views) < 0.2  # by chance it would be about 10


def test_cells_whose_label_says_otherwise_cost_more(tmp_path):
    objective = Segmentation(Painter(), replace(OPTIONS, photometry=STILL), channels=3, pyramid_labels=(1,))
    maps = _maps(tmp_path)

    def top_down(holds: list[float]) -> float:
        level = GuidanceLevel(1, torch.ones(IMAGES, 1, 1), torch.tensor([holds]))
        objective.set_round(maps, SHARES, SURENESS, [level])
        return objective(_batch(), 0).terms["top_down"].item()

    assert top_down([1 / 3, 1 / 3, 1 / 3]) < 0.5 * top_down([1.0, 0.0, 0.0])


def test_finer_levels_weigh_half_as_much_as_the_one_above(tmp_path):
    objective = _objective()
    maps = _maps(tmp_path)
    coarse, fine = _levels()
    cells = []
    for levels in ([coarse], [coarse, fine]):
        objective.set_round(maps, SHARES, SURENESS, levels)
        cells.append(objective(_batch(), 0).terms["cells"].item())
    # heads that know nothing lose log 2 and log 3, near enough
    assert cells[0] == pytest.approx(0.3 * np.log(2), rel=0.3)
    assert cells[1] - cells[0] == pytest.approx(0.15 * np.log(3), rel=0.3)


def test_the_average_follows_fast_at_first_and_slowly_later():
    objective = _objective()
    average, current = objective.average.head.bias, objective.segmenter.head.bias
    assert torch.equal(average, current)
    current.data += 1
    before = average.clone()
    objective.after_step(0, 100)
    assert torch.allclose(average - before, torch.full_like(before, 0.9))  # keeps (1 + 0) / (10 + 0)
    current.data.copy_(average + 1)
    before = average.clone()
    objective.after_step(5000, 10_000)
    assert torch.allclose(average - before, torch.full_like(before, 0.01), atol=1e-5)


def test_the_average_learns_the_bands(tmp_path):
    torch.manual_seed(0)
    segmenter = Segmenter(
        Patches(), channels=8, classes=3, context=True, cue_mean=[50.0] + [0.0] * 8, cue_std=[50.0] * 9
    )
    objective = Segmentation(segmenter, OPTIONS, channels=8, pyramid_labels=(2, 3))
    objective.set_round(_maps(tmp_path), SHARES, SURENESS, _levels())
    optimizer = torch.optim.AdamW(objective.segmenter.parameters(), lr=1e-2)
    for step in range(40):
        loss = objective(_batch(step), step)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        objective.after_step(step, 40)
    images, masks = _images()
    objective.average.eval()
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    found = objective.average.probabilities(pixels).argmax(1).numpy()
    assert (found == np.stack(masks)).mean() > 0.9


def test_views_keep_the_light_and_colour_in_which_the_classes_were_found_unless_told_otherwise(random):
    images = torch.from_numpy(random.random((4, 3, 16, 16), dtype=np.float32))
    own, other = (
        change_light(images, replace(light, blur=0.0, noise=0.0), torch.Generator().manual_seed(0))
        for light in (OPTIONS.photometry, OTHER_LIGHT)
    )
    torch.testing.assert_close(own, images)
    # up to a fifth brighter, and as much contrast and colour again
    assert 0.02 < (other - images).abs().mean() < 0.2
