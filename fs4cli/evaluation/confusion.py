"""Masks and labels in, counts out: how many pixels of each cluster lie on each class.

Everything that is scored later comes from these counts, so that memory does not grow with the number of images.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int, Int64

from fs4cli.errors import InputError
from fs4cli.evaluation.boundary import BoundaryScore, score_boundaries
from fs4cli.evaluation.classes import ClassTable, table_of_seen

CLASS_LIMIT = 1000
"""More ids than this, where no table names the classes, are no classes."""


@dataclass(frozen=True)
class ImageCounts:
    """What one image adds.

    Args:
        confusion: Pixels of each cluster on each class; as many rows and columns as the image needs.
        unanswered: Labelled pixels of each class that the mask gives no cluster.
        void: Pixels that are not counted.
        boundary: How well the borders fit; None if every pixel is void.
    """

    confusion: Int64[np.ndarray, "k c"]
    unanswered: Int64[np.ndarray, " c"]
    void: int
    boundary: BoundaryScore | None


@dataclass
class Tally:
    """The sum over images. Rows of the confusion are clusters, columns are classes; both grow as ids turn up."""

    confusion: Int64[np.ndarray, "k c"] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    unanswered: Int64[np.ndarray, " c"] = field(default_factory=lambda: np.zeros(0, np.int64))
    void: int = 0
    images: int = 0
    boundary_images: int = 0
    boundary_sums: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def add(self, counts: ImageCounts) -> None:
        """Count one more image."""
        clusters, classes = counts.confusion.shape
        self.reserve(clusters, classes)
        self.confusion[:clusters, :classes] += counts.confusion
        self.unanswered[:classes] += counts.unanswered
        self.void += counts.void
        self.images += 1
        if counts.boundary is not None:
            score = counts.boundary
            precision, recall, f = self.boundary_sums
            self.boundary_images += 1
            self.boundary_sums = (precision + score.precision, recall + score.recall, f + score.f)

    def merge(self, other: "Tally") -> "Tally":
        """The sum of both, as a new tally."""
        clusters, classes = np.maximum(self.confusion.shape, other.confusion.shape).tolist()
        total = Tally()
        total.reserve(clusters, classes)
        for part in (self, other):
            total.confusion[: part.confusion.shape[0], : part.confusion.shape[1]] += part.confusion
            total.unanswered[: part.unanswered.size] += part.unanswered
            total.void += part.void
            total.images += part.images
            total.boundary_images += part.boundary_images
            precision, recall, f = (a + b for a, b in zip(total.boundary_sums, part.boundary_sums, strict=True))
            total.boundary_sums = precision, recall, f
        return total

    def reserve(self, clusters: int, classes: int) -> None:
        """Make room for at least so many clusters and classes, also those that never turn up."""
        grow = max(0, clusters - self.confusion.shape[0]), max(0, classes - self.confusion.shape[1])
        if any(grow):
            self.confusion = np.pad(self.confusion, ((0, grow[0]), (0, grow[1])))
            self.unanswered = np.pad(self.unanswered, (0, grow[1]))

    def keep_classes(self, classes: Int[np.ndarray, " kept"]) -> None:
        """Keep only these columns, in this order."""
        self.confusion = self.confusion[:, classes]
        self.unanswered = self.unanswered[classes]

    @property
    def class_pixels(self) -> Int64[np.ndarray, " c"]:
        """Labelled pixels of each class."""
        return self.confusion.sum(0) + self.unanswered

    @property
    def pixels(self) -> int:
        """Labelled pixels in all."""
        return int(self.confusion.sum() + self.unanswered.sum())


def close_classes(tally: Tally, void: int) -> ClassTable:
    """Where no table named the classes: the table of the ids seen in the labels. The tally keeps only their columns.

    Raises:
        InputError: More than `CLASS_LIMIT` ids.
    """
    seen = np.flatnonzero(tally.class_pixels)
    if seen.size > CLASS_LIMIT:
        raise InputError(
            f"{seen.size} different ids in the labels: these are no classes",
            hints=("name the classes in a `classes.yaml` beside the labels",),
        )
    tally.keep_classes(seen)
    return table_of_seen(seen.tolist(), void)


def count_image(
    clusters: Int[np.ndarray, "H W"], labels: Int[np.ndarray, "H W"], *, boundaries: bool = True
) -> ImageCounts:
    """Count one image.

    Args:
        clusters: Cluster of each pixel, -1 for no answer.
        labels: Class of each pixel, -1 for void.
        boundaries: Score the borders too.
    """
    counts = count_confusion(clusters, labels)
    known = boundaries and bool(counts[:, 1:].any())
    return ImageCounts(
        confusion=counts[1:, 1:],
        unanswered=counts[0, 1:],
        void=int(counts[:, 0].sum()),
        boundary=score_boundaries(clusters, labels) if known else None,
    )


def count_confusion(
    clusters: Int[np.ndarray, "H W"], labels: Int[np.ndarray, "H W"]
) -> Int64[np.ndarray, "k_and_none c_and_void"]:
    """Pixels of each cluster on each class; row 0 is no answer (-1), column 0 is void (-1), ids follow from 1 on."""
    rows, columns = int(clusters.max(initial=-1)) + 2, int(labels.max(initial=-1)) + 2
    codes = (clusters.astype(np.intp) + 1) * columns + (labels + 1)
    return np.bincount(codes.ravel(), minlength=rows * columns).reshape(rows, columns).astype(np.int64, copy=False)
