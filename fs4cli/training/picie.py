"""PiCIE and MDC as baselines: pixels against centroids that k-means found in a round's frozen features.

In: a batch of windows; the round's frozen network and centroids are set before. Out: named terms. Two views of each
window; view 1 is changed in light and then cut, view 2 is changed in light, and its *features* are cut the same way.
Each view has its own centroids and assignment, and must agree with both.

Follows: PiCIE (Cho et al., 2021): invariance to light, equivariance to geometry, within-view and cross-view losses,
centroids as a classifier that is not trained; MDC of the same paper: one view, DeepCluster (Caron et al., 2018) for
pixels.
Ours: the frozen network assigns the very views that are learned from, as it comes to them, so no assignment of all
images is kept; cosine temperature 0.1; weights that fall with a cluster's size, as fs4's own. The released code's
weights rise with it instead, and it has no temperature: `is_proportional` has the weights alone, to show what they
cost. docs/method.md section 6.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from fs4cli.data.augment import (
    Photometry,
    Placement,
    change_light,
    cut_view,
    draw_placement,
    locate_pixels,
    shrink_windows,
)
from fs4cli.data.batches import Batch
from fs4cli.model.extraction import STRIDE
from fs4cli.model.heads import compare_with_centroids
from fs4cli.model.network import DenseNetwork
from fs4cli.model.segmenter import Segmenter
from fs4cli.training.fit import LossTerms
from fs4cli.training.pixel_loss import weigh_clusters


@dataclass(frozen=True)
class PicieOptions:
    """The numbers of the objective.

    Args:
        window: Side of the windows that views are cut from, in pixels.
        crop: Side of the views, in pixels.
        views: 2 for PiCIE, 1 for MDC.
        is_proportional: Weigh clusters by their share, as the released code does, instead of against it.
        scale: Smallest and largest side of view 1 as a share of view 2.
        photometry: How strongly light and colour differ between views.
    """

    window: int
    crop: int
    views: int = 2
    is_proportional: bool = False
    scale: tuple[float, float] = (0.5, 1.0)
    photometry: Photometry = Photometry(blur=0.5, noise=0.0, grey=0.2)


@dataclass(frozen=True)
class PicieRound:
    """What is learned from until the next round.

    Args:
        weights: Of the network that assigns, as it was when the round began.
        centroids: Of each view.
        shares: Of all pixels in each cluster, by view.
    """

    weights: dict[str, Tensor]
    centroids: Float[Tensor, "v k c"]
    shares: Float[Tensor, "v k"]


class Picie(nn.Module):
    """Trains the dense network of a segmenter whose head are centroids.

    Args:
        segmenter: To train; its own centroids are found when training is over.
        options: The numbers of the objective.
    """

    def __init__(self, segmenter: Segmenter, options: PicieOptions):
        super().__init__()
        self.options = options
        self.segmenter = segmenter
        frozen = copy.deepcopy(segmenter.network).requires_grad_(False).eval()
        self._frozen = (frozen,)  # in a tuple: it is no part of the state, as it lies on disk
        self.round: PicieRound | None = None

    @property
    def average(self) -> Segmenter:
        """The result: no average is kept, as in PiCIE."""
        return self.segmenter

    @property
    def frozen(self) -> DenseNetwork:
        """The network that assigns."""
        return self._frozen[0]

    def set_round(self, found: PicieRound) -> None:
        """What to learn from now on; not part of the state, as it lies on disk."""
        device = self.segmenter.cue_mean.device
        self.frozen.load_state_dict(found.weights)
        self.frozen.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.round = PicieRound({}, found.centroids.to(device), found.shares.to(device))

    def forward(self, batch: Batch, step: int) -> LossTerms:
        if self.round is None:
            raise ValueError("set_round comes before the first step")
        images, geometry = self.make_views(batch)
        own = self.embed(self.segmenter.network, images, geometry)
        with torch.no_grad():
            given = self.embed(self.frozen, images, geometry)
            assigned = [
                compare_with_centroids(features, centroids).argmax(1)
                for features, centroids in zip(given, self.round.centroids, strict=True)
            ]
        within = [self._compare(features, view, assigned[view]) for view, features in enumerate(own)]
        terms = {"within": torch.stack(within).mean()}
        if len(own) == 2:
            cross = [self._compare(features, 1 - view, assigned[1 - view]) for view, features in enumerate(own)]
            terms = {"within": terms["within"] / 2, "cross": torch.stack(cross).mean() / 2}
        return LossTerms(total=sum(terms.values(), start=own[0].new_zeros(())), terms=terms)

    def make_views(self, batch: Batch) -> tuple[Float[Tensor, "n 3 s s"], Placement]:
        """View 1 of each window, and after them view 2 if there is one; and where view 1 lies in view 2."""
        options, device = self.options, self.segmenter.cue_mean.device
        size = (options.crop, options.crop)
        share = min(1.0, options.crop / options.window)
        windows = shrink_windows(batch.images.to(device), options.window)
        place = draw_placement(len(batch), scale=(share, share), generator=batch.generator, mirror=False)
        plain = cut_view(windows, place, size)
        geometry = draw_placement(len(batch), scale=options.scale, generator=batch.generator)
        views = [change_light(plain, options.photometry, batch.generator) for _ in range(options.views)]
        views[0] = cut_view(views[0], geometry, size)
        return torch.cat(views), Placement(geometry.scale.to(device), geometry.shift.to(device))

    def embed(
        self, network: Callable[[Tensor], Tensor], images: Float[Tensor, "n 3 s s"], geometry: Placement
    ) -> list[Float[Tensor, "b c h w"]]:
        """Features of each view, all lying as view 1 does."""
        views = list(network(images).float().split(len(geometry.scale)))
        if len(views) == 2:
            grid = locate_pixels(geometry, (self.options.crop // STRIDE, self.options.crop // STRIDE))
            # "border": the outermost half of a feature is not to be mixed with zeros from beyond the view
            views[1] = F.grid_sample(views[1], grid, padding_mode="border", align_corners=False)
        return views

    def _compare(
        self, features: Float[Tensor, "b c h w"], view: int, assigned: Int[Tensor, "b h w"]
    ) -> Float[Tensor, ""]:
        """Cross-entropy of each pixel with an assignment, against the centroids of the view that it is from."""
        assert self.round is not None, "forward has asked"
        shares = self.round.shares[view]
        weights = shares if self.options.is_proportional else weigh_clusters(shares)
        logits = compare_with_centroids(features, self.round.centroids[view])
        losses = F.cross_entropy(logits, assigned, reduction="none")
        mass = weights[assigned]
        return (losses * mass).sum() / mass.sum().clamp(min=1e-6)
