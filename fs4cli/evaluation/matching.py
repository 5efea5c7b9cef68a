"""Counts in, scores out: which cluster stands for which class, and how good the masks are then."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

NONE = -1
"""The class of a cluster that stands for none: a spare cluster, whose pixels are errors."""


@dataclass(frozen=True)
class Scores:
    """How well clusters, each standing for a class, fit the labels.

    Args:
        class_of: Class that each cluster stands for, -1 for none.
        accuracy: Share of the labelled pixels whose cluster stands for their class; NaN if none is labelled.
        miou: Mean of the IoUs that are not NaN; NaN if all are.
        miou_present: The same over the classes that occur in the labels.
        class_iou: IoU of each class; NaN for a class that no label has and no cluster with a pixel stands for.
    """

    class_of: Int[np.ndarray, " k"]
    accuracy: float
    miou: float
    miou_present: float
    class_iou: Float[np.ndarray, " c"]


def match_clusters(confusion: Int[np.ndarray, "k c"], *, unanswered: Int[np.ndarray, " c"] | None = None) -> Scores:
    """Match clusters and classes one to one on these counts, and score the same counts with it.

    Args:
        confusion: Pixels of each cluster on each class.
        unanswered: Labelled pixels of each class without a cluster: errors.
    """
    return score_clusters(confusion, fit_one_to_one(confusion), unanswered=unanswered)


def fit_one_to_one(confusion: Int[np.ndarray, "k c"]) -> Int[np.ndarray, " k"]:
    """The class of each cluster, no class twice, that matches the most pixels (Hungarian method); -1 for none.

    A cluster without a pixel stands for nothing. Clusters left over when every class in the labels has one go to the
    classes that no label has, in order, as a plain assignment would do; those left over then are spare.

    Follows: PiCIE, STEGO and the rest of the field: the sum of matched pixels is maximised, not the mIoU.
    Ours: the order among pairs that share no pixel, so that the scores do not hang on the clusters' numbering.
    """
    class_of = np.full(confusion.shape[0], NONE)
    used = np.flatnonzero(confusion.sum(1))
    present = np.flatnonzero(confusion.sum(0))
    rows, columns = linear_sum_assignment(confusion[np.ix_(used, present)], maximize=True)
    class_of[used[rows]] = present[columns]
    left = used[class_of[used] == NONE]
    absent = np.setdiff1d(np.arange(confusion.shape[1]), present)
    together = min(left.size, absent.size)
    class_of[left[:together]] = absent[:together]
    return class_of


def fit_majority(confusion: Int[np.ndarray, "k c"]) -> Int[np.ndarray, " k"]:
    """The class that each cluster has most pixels on (many to one); -1 for a cluster without a pixel."""
    if not confusion.shape[1]:
        return np.full(confusion.shape[0], NONE)
    return np.where(confusion.any(1), confusion.argmax(1), NONE)


@dataclass(frozen=True)
class ClassCounts:
    """Counts once every cluster stands for a class, or for none.

    Args:
        counts: Pixels that the masks give each class, on each class of the labels.
        lost: Labelled pixels of each class that stand for none: spare clusters, no answer.
    """

    counts: Int[np.ndarray, "c c"]
    lost: Int[np.ndarray, " c"]

    def __add__(self, other: "ClassCounts") -> "ClassCounts":
        return ClassCounts(self.counts + other.counts, self.lost + other.lost)

    @property
    def labelled(self) -> Int[np.ndarray, " c"]:
        """Counted pixels of each class of the labels."""
        return self.counts.sum(0) + self.lost


def name_clusters(
    confusion: Int[np.ndarray, "k c"],
    class_of: Int[np.ndarray, " k"],
    *,
    unanswered: Int[np.ndarray, " c"] | None = None,
) -> ClassCounts:
    """Put classes in the place of clusters.

    Args:
        confusion: Pixels of each cluster on each class.
        class_of: Class that each cluster stands for, -1 for none.
        unanswered: Labelled pixels of each class without a cluster.
    """
    count = confusion.shape[1]
    counts = np.zeros((count, count), np.int64)
    matched = class_of != NONE
    np.add.at(counts, class_of[matched], confusion[matched])
    lost = confusion[~matched].sum(0, dtype=np.int64)
    return ClassCounts(counts, lost if unanswered is None else lost + unanswered)


def score_clusters(
    confusion: Int[np.ndarray, "k c"],
    class_of: Int[np.ndarray, " k"],
    *,
    unanswered: Int[np.ndarray, " c"] | None = None,
    classes: Sequence[int] | None = None,
) -> Scores:
    """Score counts with a matching from anywhere: the same counts, others, or a person.

    Args:
        confusion: Pixels of each cluster on each class.
        class_of: Class that each cluster stands for, -1 for none.
        unanswered: Labelled pixels of each class without a cluster: errors.
        classes: See `score_classes`.

    Returns:
        Scores; `class_iou` has all classes, also those not asked for.
    """
    scores = score_classes(name_clusters(confusion, class_of, unanswered=unanswered), classes=classes)
    return replace(scores, class_of=class_of)


def score_classes(counted: ClassCounts, *, classes: Sequence[int] | None = None, zeros: int = 0) -> Scores:
    """Score counts in which classes stand for clusters.

    Args:
        counted: Pixels of each class of the masks on each class of the labels.
        classes: Score only these (things, stuff): accuracy over the pixels labelled so, mIoU over their IoUs. What
            they lose to and take from the other classes counts.
        zeros: So many IoUs of 0 more in the mean: clusters that some published code counts as classes of their own.

    Returns:
        Scores; `class_iou` has all classes, also those not asked for. `class_of` is empty.
    """
    count = counted.lost.size
    labelled, claimed, hit = counted.labelled, counted.counts.sum(1), np.diagonal(counted.counts)
    iou = _divide(hit, labelled + claimed - hit)
    chosen = np.zeros(count, bool)
    chosen[list(range(count) if classes is None else classes)] = True
    return Scores(
        class_of=np.zeros(0, np.int64),
        accuracy=float(_divide(hit[chosen].sum(), labelled[chosen].sum())),
        miou=_mean(np.append(iou[chosen], np.zeros(zeros))),
        miou_present=_mean(iou[chosen & (labelled > 0)]),
        class_iou=iou,
    )


def _divide(above, below):
    """NaN, without a warning, where nothing is below."""
    above, below = np.asarray(above, float), np.asarray(below, float)
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)


def _mean(values: Float[np.ndarray, " n"]) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")
