"""How counts become figures: the rules of scoring, each by its name.

In: the counts of the images, in two halves. Out: which class each cluster stands for, and the counts with classes in
the place of clusters. docs/protocols.md has all rules in one table.

Follows: the published code of PiCIE (commons.py, utils.py), STEGO (src/utils.py) and IIC (utils/cluster), to the
    arithmetic.
Ours: `full` and `honest`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np
from jaxtyping import Int

from fs4cli.errors import UsageError
from fs4cli.evaluation.confusion import Tally
from fs4cli.evaluation.framing import Frame
from fs4cli.evaluation.matching import NONE, ClassCounts, fit_majority, fit_one_to_one, name_clusters

ProtocolName = Literal["picie", "stego", "iic", "full", "honest"]


@dataclass(frozen=True)
class Protocol:
    """The rules of one way to score.

    Args:
        name: Its name.
        frame: What part of each image is scored, and how large; None for all of it at its own size.
        is_crossed: The matching is fitted on the half of the images that is not scored with it; else on all scored.
        spare: What becomes of the pixels of spare clusters: "errors"; "dropped", those with an id from the number of
            classes on; "classes", each is a class with IoU 0.
        flip: A model's probabilities are averaged with those of the mirrored image; None leaves it to the settings.
        refine: A model's masks are sharpened along edges; None leaves it to the settings.
        city_split: The split of Cityscapes that is scored.
        coco_split: The split of COCO-Stuff that is scored.
    """

    name: ProtocolName
    frame: Frame | None = None
    is_crossed: bool = False
    spare: Literal["errors", "dropped", "classes"] = "errors"
    flip: bool | None = None
    refine: bool | None = None
    city_split: str = "val"
    coco_split: str = "val"


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("picie", Frame(320), spare="classes", flip=False, refine=False, city_split="trainval"),
        Protocol("stego", Frame(320, smooth=False), spare="dropped", flip=True),
        Protocol("iic", Frame(128, factor=0.33, nearest="corner"), flip=False, refine=False, coco_split="trainval"),
        Protocol("full"),
        Protocol("honest", is_crossed=True),
    )
}
FULL, HONEST = PROTOCOLS["full"], PROTOCOLS["honest"]


def find_protocol(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        UsageError: There is none of this name.
    """
    if name not in PROTOCOLS:
        known = ", ".join(f"`{known}`" for known in PROTOCOLS)
        near = get_close_matches(name, PROTOCOLS, n=1)
        asked = f"no protocol `{name}`" + (f", did you mean `{near[0]}`?" if near else "")
        raise UsageError(asked, hints=(f"known are {known}; docs/protocols.md compares them",))
    return PROTOCOLS[name]


def choose_halves(names: Sequence[str]) -> Int[np.ndarray, " n"]:
    """The half, 0 or 1, that each image is in: the same on every machine, and of equal size within one image.

    Names are ordered by their SHA-256, so that neighbouring frames of a video do not alternate by rule.
    """
    order = sorted(range(len(names)), key=lambda index: hashlib.sha256(names[index].encode(errors="replace")).digest())
    halves = np.zeros(len(names), np.int64)
    halves[order[(len(names) + 1) // 2 :]] = 1
    return halves


@dataclass(frozen=True)
class Fold:
    """One fitting of a matching, and what was scored with it.

    Args:
        fitted_on: In words.
        scored_on: In words.
        class_of: Class that each cluster stands for, -1 for none.
        majority_of: The same, many to one.
    """

    fitted_on: str
    scored_on: str
    class_of: Int[np.ndarray, " k"]
    majority_of: Int[np.ndarray, " k"]


@dataclass(frozen=True)
class Verdict:
    """Counts, judged by a protocol.

    Args:
        protocol: Which one.
        folds: One, or two where the matching is fitted on the other half.
        one_to_one: Classes in the place of clusters, one cluster a class.
        majority: The same, many clusters a class.
        zeros: IoUs of 0 that the protocol adds to the mean over all classes.
        dropped: Labelled pixels of each class that the protocol does not count.
    """

    protocol: Protocol
    folds: tuple[Fold, ...]
    one_to_one: ClassCounts
    majority: ClassCounts
    zeros: int
    dropped: Int[np.ndarray, " c"]


def judge(protocol: Protocol, halves: tuple[Tally, Tally]) -> Verdict:
    """Match clusters to classes and count, as a protocol does.

    Args:
        protocol: The rules.
        halves: Counts of the images in both halves, over the same classes.
    """
    total = halves[0].merge(halves[1])
    if protocol.is_crossed:
        return _judge_crossed(protocol, halves, total)
    confusion, unanswered = total.confusion, total.unanswered
    if protocol.spare == "dropped":  # as a mask `preds < n_classes` does, whatever the cluster stands for
        confusion = np.where(np.arange(len(confusion))[:, None] < confusion.shape[1], confusion, 0)
        unanswered = np.zeros_like(unanswered)
    class_of, majority_of = fit_one_to_one(confusion), fit_majority(confusion)
    one_to_one = name_clusters(confusion, class_of, unanswered=unanswered)
    spare = int(np.count_nonzero((class_of == NONE) & confusion.any(1)))
    return Verdict(
        protocol=protocol,
        folds=(Fold("the images scored", "all images", class_of, majority_of),),
        one_to_one=one_to_one,
        majority=name_clusters(confusion, majority_of, unanswered=unanswered),
        zeros=spare if protocol.spare == "classes" else 0,
        dropped=total.class_pixels - one_to_one.labelled,
    )


def _judge_crossed(protocol: Protocol, halves: tuple[Tally, Tally], total: Tally) -> Verdict:
    """Score each half with the matching of the other.

    A class that the other half does not show has no cluster there, by no fault of the masks: its pixels are not
    counted, and the report says how many. A cluster left over stands for nothing, also where such a class is free.
    """
    folds, one_to_one, majority = [], [], []
    for half in halves:
        half.reserve(*total.confusion.shape)
    for fitted, scored in (halves, halves[::-1]):
        known = fitted.class_pixels > 0
        class_of = fit_one_to_one(fitted.confusion)
        class_of[~np.append(known, True)[class_of]] = NONE
        fold = Fold(
            fitted_on=f"the {'first' if fitted is halves[0] else 'second'} half of the images",
            scored_on=f"the {'second' if fitted is halves[0] else 'first'} half",
            class_of=class_of,
            majority_of=fit_majority(fitted.confusion),
        )
        confusion, unanswered = scored.confusion * known, scored.unanswered * known
        folds.append(fold)
        one_to_one.append(name_clusters(confusion, fold.class_of, unanswered=unanswered))
        majority.append(name_clusters(confusion, fold.majority_of, unanswered=unanswered))
    sums = one_to_one[0] + one_to_one[1], majority[0] + majority[1]
    return Verdict(protocol, tuple(folds), *sums, zeros=0, dropped=total.class_pixels - sums[0].labelled)


def slice_as_released(tally: Tally, things: int) -> dict[str, dict[str, float]]:
    """Things and stuff as the released code of PiCIE computes them: accuracy and mIoU of each, by "things", "stuff".

    It reorders the rows of the matched matrix to the order of the *clusters*, then cuts out the first `things` rows and
    columns as if they were classes. So each part is an arbitrary set of classes, and whatever lies between the parts
    is dropped, which inflates both. Given only to be compared with published tables.

    Args:
        tally: Counts of all images.
        things: How many of the classes are things.
    """
    size = max(tally.confusion.shape)
    square = np.zeros((size, size))
    square[: tally.confusion.shape[0], : tally.confusion.shape[1]] = tally.confusion
    class_of = _fill(fit_one_to_one(tally.confusion), size)
    ordered = square[:, class_of]  # column j: the class that cluster j stands for
    return {
        "things": _score_square(ordered[:things, :things]),
        "stuff": _score_square(ordered[things:, things:]),
    }


def _fill(class_of: Int[np.ndarray, " k"], size: int) -> Int[np.ndarray, " size"]:
    """A whole permutation: clusters without a class get those left over, in order."""
    filled = np.full(size, NONE)
    filled[: class_of.size] = class_of
    filled[filled == NONE] = np.setdiff1d(np.arange(size), class_of)
    return filled


def _score_square(counts) -> dict[str, float]:
    hit = np.diagonal(counts)
    union = counts.sum(0) + counts.sum(1) - hit
    iou = hit[union > 0] / union[union > 0]
    total = counts.sum()
    return {
        "accuracy": float(hit.sum() / total) if total else float("nan"),
        "miou": float(iou.mean()) if iou.size else float("nan"),
    }
