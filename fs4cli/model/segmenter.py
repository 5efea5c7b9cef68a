"""The parts as one network: images to the classes of their pixels.

In: images in [0, 1]. Out: embeddings and logits at stride 4, probabilities at full size. What a finished one is saved
as is in `fs4cli.model.model_file`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fs4cli.model.context_embedding import ContextAwareEmbedding
from fs4cli.model.cues import COLOUR_CUES, TEXTURE_CUES, find_cues, find_patterns
from fs4cli.model.exposure import Exposure, apply_gains
from fs4cli.model.extraction import STRIDE
from fs4cli.model.guidance import PyramidGuidance
from fs4cli.model.heads import CentroidHead
from fs4cli.model.network import DenseNetwork
from fs4cli.model.prior import PixelPrior

KNOWN_CUES = COLOUR_CUES + TEXTURE_CUES
"""What a segmenter is told of colour and texture; the rest it learns from the classes that came of it."""

_PLACE_UNITS = 4.0  # half an image is two units, about as far apart as cues lie


@dataclass(frozen=True)
class Embedded:
    """What the segmenter makes of images, before and after the last layer.

    Args:
        embedding: Of each pixel, with its neighbours taken in.
        weights: How much each pixel's neighbours rely on it; mean 1 over each image.
        logits: Of each class.
        attention: Over each pixel's neighbours; None without context.
    """

    embedding: Float[Tensor, "b c h w"]
    weights: Float[Tensor, "b h w"]
    logits: Float[Tensor, "b k h w"]
    attention: Float[Tensor, "b n h w"] | None


class Segmenter(nn.Module):
    """Dense network, cues, context-aware embedding and a class head.

    Args:
        network: Images to dense features; pretrained or not.
        channels: Width of its features and of the embedding.
        classes: How many logits.
        context: Whether to embed pixels with their neighbours.
        place: Whether to tell it where in its image a pixel lies: for images in which that means something. Views of a
            part of an image, as in training, do not show it.
        nearest: Whether the head compares the network's dense features with centroids (`CentroidHead`), and no cue,
            context or place is asked for: the baselines.
        prior_side: Short side, in pixels, at which whole images are asked what the first grouping says of them; 0 to
            leave that out.
        prior_mapped: Whether the prior is told what usually lies at a place, not its row and column.
        own_side: Whether cues tell the prior of texture by a cell's own side of a border, as they have since format 6.
        pyramid: Cells per side of the levels that guide the pixels of whole images (`PyramidGuidance`), coarse to
            fine; none to leave that out.
        exposed: Whether it learned from images in one light (`Exposure`): whoever shows it an image puts it in that
            light first, with `expose`.
        cue_mean: Of each cue over the project's pixels.
        cue_std: Of the same.
    """

    cue_mean: Tensor
    cue_std: Tensor

    def __init__(
        self,
        network: DenseNetwork,
        *,
        channels: int,
        classes: int,
        context: bool,
        place: bool = False,
        nearest: bool = False,
        prior_side: int = 0,
        prior_mapped: bool = False,
        own_side: bool = True,
        pyramid: Sequence[int] = (),
        exposed: bool = False,
        cue_mean: list[float],
        cue_std: list[float],
    ):
        super().__init__()
        self.network = network
        self.classes = classes
        self.place = place
        width = channels + KNOWN_CUES + (2 if place else 0)
        self.fuse = nn.Sequential(nn.Conv2d(width, channels, 1), nn.ReLU(), nn.Conv2d(channels, channels, 1))
        self.context = ContextAwareEmbedding(channels) if context else None
        self.head = nn.Conv2d(channels, classes, 1)
        if nearest:
            if context or place:
                raise ValueError("centroids of dense features know no context and no place")
            self.fuse, self.head = nn.Sequential(), CentroidHead(channels, classes)
        self.nearest = nearest
        self.prior_side = prior_side
        self.prior = PixelPrior(classes, own_side=own_side, mapped=prior_mapped) if prior_side else None
        self.guidance = PyramidGuidance(classes, pyramid) if pyramid else None
        self.exposure = Exposure() if exposed else None
        self.register_buffer("cue_mean", torch.tensor(cue_mean).view(1, KNOWN_CUES, 1, 1))
        self.register_buffer("cue_std", torch.tensor([max(value, 1e-3) for value in cue_std]).view(1, KNOWN_CUES, 1, 1))

    def expose(
        self, images: Float[Tensor, "b 3 H W"], ruled: Float[Tensor, "b 3 _ _"]
    ) -> tuple[Float[Tensor, "b 3 H W"], Float[Tensor, "b 3 _ _"]]:
        """Images as they were taken, and the same for the prior, in the light that it learned from.

        Args:
            images: Whole ones, in [0, 1].
            ruled: See `forward`.
        """
        if self.exposure is None:
            return images, ruled
        gains = self.exposure.find_gains(images)
        return apply_gains(images, gains), apply_gains(ruled, gains)

    def embed(self, images: Float[Tensor, "b 3 H W"], places: Float[Tensor, "_ h w 2"] | None = None) -> Embedded:
        """All that the losses need; maps at stride 4.

        Args:
            images: In [0, 1]; height and width multiples of 32.
            places: Of each pixel at stride 4 in its whole image, as (x, y) in [0, 1]; of whole images if left out.
        """
        features = self.network(images)
        if self.nearest:
            return Embedded(features, torch.ones_like(features[:, 0]), self.head(features), None)
        cues = ((find_cues(images, STRIDE) - self.cue_mean) / self.cue_std).clamp(-5, 5)
        parts = [features, cues.to(features.dtype)]
        if self.place:
            if places is None:
                places = locate_whole((features.shape[2], features.shape[3]), device=images.device)
            centred = ((places - 0.5) * _PLACE_UNITS).permute(0, 3, 1, 2)
            parts.append(centred.to(features.dtype).expand(len(images), -1, -1, -1))
        embedding = self.fuse(torch.cat(parts, 1))
        attention = None
        weights = torch.ones_like(cues[:, 0])
        if self.context is not None:
            embedding, weights, attention = self.context(embedding, cues[:, :COLOUR_CUES])
        return Embedded(embedding, weights, self.head(F.relu(embedding)).float(), attention)

    def forward(
        self,
        images: Float[Tensor, "b 3 H W"],
        *,
        ruled: Float[Tensor, "b 3 _ _"] | None = None,
        is_mirrored: bool = False,
    ) -> Float[Tensor, "b k h w"]:
        """Logits at stride 4 of whole images; with a pyramid, of pixels that it guides.

        Args:
            images: In [0, 1]; height and width multiples of 32.
            ruled: The same images for the prior, if they are sharper than `images` shrunk to its side would be.
            is_mirrored: They are left-right mirror images of what was photographed.
        """
        logits = self.judge_alone(images, ruled=ruled, is_mirrored=is_mirrored)
        return logits if self.guidance is None else self.guidance(logits)

    def judge_alone(
        self,
        images: Float[Tensor, "b 3 H W"],
        *,
        ruled: Float[Tensor, "b 3 _ _"] | None = None,
        is_mirrored: bool = False,
    ) -> Float[Tensor, "b k h w"]:
        """Logits as in `forward`, before the pyramid guides them; with a prior, of the product of both."""
        size = (images.shape[2] // STRIDE, images.shape[3] // STRIDE)
        places = locate_whole(size, device=images.device, is_mirrored=is_mirrored)
        logits = self.embed(images, places).logits
        if self.prior is None:
            return logits
        found = self._ask_prior(self.prior, images if ruled is None else ruled, is_mirrored)
        return F.log_softmax(logits, 1) + F.interpolate(found, size, mode="bilinear", align_corners=False)

    def _ask_prior(
        self, prior: PixelPrior, images: Float[Tensor, "b 3 H W"], is_mirrored: bool
    ) -> Float[Tensor, "b k _ _"]:
        """At the size at which the grouping was made: its rule is about textures of that size."""
        height, width = images.shape[2:]
        scale = min(1.0, self.prior_side / min(height, width))
        size = tuple(max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (height, width))
        if size != (height, width):
            images = F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
        cues = torch.cat([find_cues(images, STRIDE), find_patterns(images, STRIDE)], 1)
        return prior(cues, is_mirrored=is_mirrored)

    @torch.inference_mode()
    def probabilities(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b k H W"]:
        """Probabilities at the images' own size, summing to 1 over k.

        Args:
            images: In [0, 1]; height and width multiples of 32.
        """
        logits = F.interpolate(self(images), images.shape[2:], mode="bilinear", align_corners=False)
        return torch.softmax(logits, dim=1)


def locate_whole(size: tuple[int, int], *, device: torch.device, is_mirrored: bool = False) -> Float[Tensor, "1 h w 2"]:
    """The place of each pixel of a whole image's map, as (x, y) in [0, 1].

    Args:
        size: (height, width) of the map.
        device: Where to make it.
        is_mirrored: Count x from the right.
    """
    ys, xs = ((torch.arange(length, device=device) + 0.5) / length for length in size)
    if is_mirrored:
        xs = xs.flip(0)
    return torch.stack(torch.meshgrid(ys, xs, indexing="ij")[::-1], dim=-1)[None]
