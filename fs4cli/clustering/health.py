"""Is the clustering collapsing? Numbers that need no label.

In: maps of cluster ids, or counts of them. Out: figures for logs, `fs4 status` and tests, and a plain-words verdict.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

_SEEN = 0.005
"""Share of the pixels from which on a cluster's loss is told."""

_UNUSED = 1e-4
"""Share of all pixels below which a class is as good as empty."""


@dataclass(frozen=True)
class Health:
    """How a clustering divides its images.

    Args:
        effective_clusters: exp of the entropy of the shares, in [1, k].
        largest_share: Of all pixels, in [0, 1].
        single_cluster_images: Share of the images nine tenths or more of which lie in one cluster.
        borders: Pairs of neighbouring pixels in different clusters, per thousand pixels.
        view_agreement: Share of the pixels that get the same class when the image is seen mirrored and smaller; None
            where nothing was learned yet.
        round_nmi: NMI with the assignment before, in [0, 1]; None for the first.
    """

    effective_clusters: float
    largest_share: float
    single_cluster_images: float
    borders: float
    view_agreement: float | None = None
    round_nmi: float | None = None

    def as_dict(self) -> dict[str, float]:
        """What is known, for JSON, rounded to four digits."""
        return {name: round(float(value), 4) for name, value in vars(self).items() if value is not None}

    def explain(self) -> str:
        """All of it in words, on a line."""
        words = [
            f"{self.effective_clusters:.1f} effective clusters",
            f"the largest has {100 * self.largest_share:.0f} %",
            f"{100 * self.single_cluster_images:.0f} % of the images in one",
        ]
        if self.view_agreement is not None:
            words.append(f"views agree on {100 * self.view_agreement:.0f} %")
        if self.round_nmi is not None:
            words.append(f"NMI with the round before {self.round_nmi:.2f}")
        return ", ".join(words)


@dataclass(frozen=True)
class Division:
    """How a finished segmenter divides the images.

    Args:
        health: Is it collapsed?
        shares: Of all pixels in each cluster.
    """

    health: Health
    shares: Float[np.ndarray, " k"]


@dataclass(frozen=True)
class Collapse:
    """What went wrong between two rounds.

    Args:
        kind: `merging` into one background, or `shattering` into clutter.
        words: The figures that say so.
    """

    kind: Literal["merging", "shattering"]
    words: str


def measure_health(
    counts: Float[np.ndarray, "n k"], edges: Int[np.ndarray, " n"], pixels: Int[np.ndarray, " n"]
) -> Health:
    """The health of a clustering.

    Args:
        counts: Pixels of each image in each cluster.
        edges: Pairs of neighbouring pixels of each image that lie in different clusters.
        pixels: Pixels of each image.
    """
    shares = counts.sum(0) / max(counts.sum(), 1)
    used = shares[shares > 0]
    within = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return Health(
        effective_clusters=float(np.exp(-(used * np.log(used)).sum())),
        largest_share=float(shares.max()),
        single_cluster_images=float((within.max(1) >= 0.9).mean()),
        borders=float(1000 * edges.sum() / max(pixels.sum(), 1)),
    )


def count_edges(mask: Int[np.ndarray, "h w"]) -> int:
    """Pairs of pixels side by side or one above the other that lie in different clusters."""
    return int((mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum())


def find_collapse(before: Health, after: Health) -> Collapse | None:
    """What went wrong between two rounds; None if nothing did.

    Both failures that FS^4's abstract names: "degrading to one background region", and "clutter regions". They are
    judged against the round before, since one class may rightly fill nine tenths of every picture.
    """
    if after.effective_clusters < 0.85 * before.effective_clusters:
        return Collapse(
            "merging",
            f"clusters are merging into one background: {before.effective_clusters:.1f} effective clusters became "
            f"{after.effective_clusters:.1f}",
        )
    if after.borders > 2 * before.borders + 20:
        words = f"clusters are shattering: {before.borders:.0f} borders per thousand pixels became {after.borders:.0f}"
        return Collapse("shattering", words)
    return None


def find_lost(before: Float[np.ndarray, " k"], after: Float[np.ndarray, " k"]) -> tuple[int, ...]:
    """Clusters that were seen, in at least 0.5 % of the pixels, and have not a tenth of that any more.

    A rare one may be lost without any sign of collapse, as shares hardly change.

    Args:
        before: Share of each cluster, in [0, 1].
        after: The same, later.
    """
    return tuple(np.flatnonzero((before >= _SEEN) & (after < before / 10)).tolist())


def explain_unused(shares: Float[np.ndarray, " k"]) -> str | None:
    """In words, how many classes hold no pixels to speak of; None if all hold some.

    Args:
        shares: Of all pixels in each class, in [0, 1].
    """
    unused = int((shares < _UNUSED).sum())
    if not unused:
        return None
    verb = "holds" if unused == 1 else "hold"
    return (
        f"{unused} of {len(shares)} classes {verb} no pixels: the images may have fewer; ask for fewer with `--classes`"
    )
