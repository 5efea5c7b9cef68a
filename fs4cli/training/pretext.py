"""The self-supervised objective of pretraining: what a pixel or a cell shows must not depend on the view.

In: a batch of windows. Out: named loss terms. Two augmented views of each window with a known overlap; the teacher
(an average of past students) assigns what it sees in one view to prototypes, in equal shares over the batch, and the
student must predict that assignment from the other view: for pixels, and for the cells of a pyramid (image, patches).

Follows: FS^4's abstract asks for "unsupervised features"; SwAV (Caron et al., 2020) for prototypes and equal shares;
PASS (Gao et al., 2022) for joining pixels and images.
Ours: docs/method.md section 2; pixels and three pyramid levels in one objective through the whole dense network,
decoder included.
"""

import copy
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fs4cli.clustering.balanced import assign_balanced
from fs4cli.data.augment import Photometry, Placement, find_overlap, make_view, shrink_windows
from fs4cli.data.batches import Batch
from fs4cli.data.cells import find_cells, locate_in_image
from fs4cli.model.heads import ProjectionHead, PrototypeHead
from fs4cli.model.network import DenseNetwork
from fs4cli.model.pooling import pool_cells
from fs4cli.training.fit import LossTerms


@dataclass(frozen=True)
class PretextOptions:
    """The numbers of the objective; docs/method.md section 2 says where each is from.

    Args:
        window: Side of the windows that views are cut from, in pixels.
        crop: Side of the views, in pixels.
        scale: Smallest and largest side of a view as a share of the window.
        grids: Cells per side of each pyramid level.
        prototypes: Of each pyramid level, coarse to fine, and last of the pixels.
        pixels: Pixels of each view that are compared, at most.
        temperature: Of the student's softmax.
        momentum: Share of the old teacher that is kept at each step once it has warmed up; it grows to 1.
        photometry: How strongly light and colour differ between views.
    """

    window: int
    crop: int
    scale: tuple[float, float]
    grids: tuple[int, ...] = (1, 2, 4)
    prototypes: tuple[int, ...] = (20, 40, 60, 60)
    pixels: int = 192
    temperature: float = 0.1
    momentum: float = 0.99
    photometry: Photometry = Photometry()


class _Student(nn.Module):
    def __init__(self, network: DenseNetwork, options: PretextOptions, channels: int, embedding: int):
        super().__init__()
        self.network = network
        self.heads = nn.ModuleList([ProjectionHead(channels, embedding) for _ in options.prototypes])
        self.prototypes = nn.ModuleList([PrototypeHead(embedding, count) for count in options.prototypes])

    def score(self, level: int, features: Tensor) -> Tensor:
        return self.prototypes[level](self.heads[level](features))


class Pretext(nn.Module):
    """Prototype assignment between two views, for pixels and pyramid cells.

    Args:
        network: The dense network to train.
        options: The numbers of the objective.
        channels: Width of the network's dense features.
        embedding: Width of the unit embeddings that are compared with prototypes.
    """

    def __init__(self, network: DenseNetwork, options: PretextOptions, *, channels: int, embedding: int = 64):
        super().__init__()
        self.options = options
        self.student = _Student(network, options, channels, embedding)
        self.teacher = copy.deepcopy(self.student)
        self.teacher.requires_grad_(False)

    def forward(self, batch: Batch, step: int) -> LossTerms:
        options = self.options
        size = (options.crop, options.crop)
        device = self.teacher.network.mean.device
        windows = shrink_windows(batch.images.to(device), options.window)
        views, placements = [], []
        for _ in range(2):
            view, placement = make_view(
                windows, size, scale=options.scale, photometry=options.photometry, generator=batch.generator
            )
            views.append(view)
            placements.append(Placement(placement.scale.to(device), placement.shift.to(device)))
        both = torch.cat(views)
        student = self.student.network(both)
        with torch.no_grad():
            teacher = self.teacher.network(both)
        boxes = batch.boxes.to(device)
        terms = {
            "pixels": self._compare_pixels(student.chunk(2), teacher.chunk(2), placements, batch.generator),
            **self._compare_cells(student.chunk(2), teacher.chunk(2), placements, boxes),
        }
        return LossTerms(total=sum(terms.values(), start=torch.zeros((), device=device)), terms=terms)

    def _compare_pixels(self, student, teacher, placements, generator: torch.Generator) -> Tensor:
        level = len(self.options.grids)
        size = student[0].shape[2:]
        losses = []
        for source, target in ((0, 1), (1, 0)):
            grid, valid = find_overlap(placements[source], placements[target], size)
            chosen = choose_pixels(valid, self.options.pixels, generator)
            # "border": the outermost half of a feature is not to be mixed with zeros from beyond the view
            aligned = F.grid_sample(
                teacher[source].float(), _take_grid(grid, chosen), padding_mode="border", align_corners=False
            )
            target_scores = self.teacher.score(level, aligned[:, :, 0].transpose(1, 2).flatten(0, 1))
            own = torch.gather(student[target].flatten(2), 2, chosen[:, None].expand(-1, student[0].shape[1], -1))
            scores = self.student.score(level, own.transpose(1, 2).flatten(0, 1))
            inside = torch.gather(valid.flatten(1), 1, chosen).flatten()
            losses.append(self._cross_entropy(target_scores[inside], scores[inside]))
        return (losses[0] + losses[1]) / 2

    def _compare_cells(self, student, teacher, placements, boxes: Float[Tensor, "b 4"]) -> dict[str, Tensor]:
        size = student[0].shape[2:]
        places = [locate_in_image(placement, boxes, size) for placement in placements]
        terms = {}
        for level, grid in enumerate(self.options.grids):
            cells = [find_cells(place, grid) for place in places]
            pooled = [pool_cells(features, cell, grid * grid) for features, cell in zip(student, cells, strict=True)]
            stable = [pool_cells(features, cell, grid * grid)[0] for features, cell in zip(teacher, cells, strict=True)]
            # a cell must be seen well by both views: a quarter of what an even division would give it
            least = size[0] * size[1] / (grid * grid) / 4
            seen = ((pooled[0][1] >= least) & (pooled[1][1] >= least)).flatten()
            if int(seen.sum()) < 2:
                continue
            losses = [
                self._cross_entropy(
                    self.teacher.score(level, stable[source].flatten(0, 1)[seen]),
                    self.student.score(level, pooled[target][0].flatten(0, 1)[seen]),
                )
                for source, target in ((0, 1), (1, 0))
            ]
            terms[f"cells_{grid}"] = (losses[0] + losses[1]) / 2
        return terms

    def _cross_entropy(self, target_scores: Float[Tensor, "n k"], scores: Float[Tensor, "n k"]) -> Tensor:
        assignment = assign_balanced(target_scores)
        # two views may have nothing in common: a mean over no pixels would be no number, and the whole update be lost
        return -(assignment * F.log_softmax(scores / self.options.temperature, dim=1)).sum() / max(len(scores), 1)

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        """Move the teacher towards the student; slower and slower towards the end.

        Faster at first, so that even after a minute hardly anything is left of the random weights that it begins with.
        Running statistics are its own, as it sees every view itself.
        """
        late = 1 - (1 - self.options.momentum) * (1 + math.cos(math.pi * step / max(steps, 1))) / 2
        update_average(self.teacher, self.student, min(late, (1 + step) / (10 + step)), statistics=False)


@torch.no_grad()
def update_average(average: nn.Module, current: nn.Module, keep: float, *, statistics: bool = True) -> None:
    """Exponential moving average of all weights; running statistics are copied.

    Args:
        average: Changed in place.
        current: What it follows.
        keep: Share of the old average that is kept, in [0, 1].
        statistics: False leaves the average its own running statistics, for one that sees what the other sees.
    """
    pairs = list(zip(average.parameters(), current.parameters(), strict=True))
    torch._foreach_lerp_([a for a, _ in pairs], [c.detach() for _, c in pairs], 1 - keep)
    if statistics:
        for old, new in zip(average.buffers(), current.buffers(), strict=True):
            old.copy_(new)


def choose_pixels(valid: Bool[Tensor, "b h w"], count: int, generator: torch.Generator) -> Int[Tensor, "b p"]:
    """Positions of at most `count` pixels of each image, valid ones first, at random.

    Args:
        valid: Which pixels may be chosen.
        count: How many of each image.
        generator: Source of the draw, on the CPU.
    """
    order = torch.rand(valid.shape, generator=generator).to(valid.device) + valid.float()
    return order.flatten(1).topk(min(count, order[0].numel()), dim=1).indices


def _take_grid(grid: Float[Tensor, "b h w 2"], chosen: Int[Tensor, "b p"]) -> Float[Tensor, "b 1 p 2"]:
    return torch.gather(grid.flatten(1, 2), 1, chosen[:, :, None].expand(-1, -1, 2))[:, None]
