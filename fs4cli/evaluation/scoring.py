"""One model or one folder of masks in, its report out: files found, counted, matched, set beside what papers print."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fs4cli.errors import InputError, UsageError
from fs4cli.evaluation.classes import ClassTable, find_class_table
from fs4cli.evaluation.confusion import Tally
from fs4cli.evaluation.counting import MaskMaker
from fs4cli.evaluation.dataset import Dataset
from fs4cli.evaluation.ground_truth import LabelReader
from fs4cli.evaluation.pairs import Pair, Pairing, pair_files
from fs4cli.evaluation.probe import ProbeSource, find_overlap, need_classes
from fs4cli.evaluation.problems import Problem, list_names, list_problems
from fs4cli.evaluation.protocols import Protocol
from fs4cli.evaluation.published import WARNING, list_published
from fs4cli.evaluation.report import build_report, find_report
from fs4cli.evaluation.tallying import Work, settle_classes, tally_predictions, tally_ready_masks
from fs4cli.progress import Progress


@dataclass(frozen=True)
class Scored:
    """What was found out about one model or folder of masks.

    Args:
        report: As docs/evaluation.md lists it.
        problems: What was left out.
        pairs: What was scored.
        reader: Of the labels.
    """

    report: dict[str, Any]
    problems: tuple[Problem, ...]
    pairs: tuple[Pair, ...]
    reader: LabelReader


@dataclass(frozen=True)
class Scoring:
    """What is scored and how; by which model or masks is said last.

    Args:
        protocol: The rules.
        labels: Folder of labels, or one file; None with a data set.
        images: Folder of their images.
        dataset: Instead of both.
        listing: Which images of it.
        void: The label value that is not counted, where no table says so.
        is_void_chosen: It goes before what a `classes.yaml` says.
        workers: Threads.
        skip_bad: Leave bad labels out instead of stopping.
        place: Where the report will go; None for nowhere.
        is_one_of_many: Several models or folders are scored for one report.
    """

    protocol: Protocol
    labels: Path | None
    images: Path | None
    dataset: Dataset | None
    listing: str
    void: int
    is_void_chosen: bool
    workers: int
    skip_bad: bool
    place: Path | None
    is_one_of_many: bool

    def score_masks(self, folder: Path, progress: Progress) -> Scored:
        """Score ready masks.

        Raises:
            InputError: No label is usable, or one is bad and may not be left out.
            Interrupted: A signal asked to stop.
        """
        return self._score(folder, None, None, progress)

    def score_model(self, path: Path, maker: MaskMaker, progress: Progress) -> Scored:
        """Score the masks that a model makes; raises as `score_masks` does."""
        return self._score(None, path, maker, progress)

    def check_probe(self, probe: ProbeSource) -> None:
        """Refuse a probe that nothing can be fitted on, before anything is scored.

        Raises:
            UsageError: Nothing says what to fit on, or which classes there are.
        """
        if self.dataset is None and (probe.labels is None or probe.images is None):
            raise UsageError(
                "a probe needs labelled images of its own, none of which is scored",
                hints=("add `--probe-images DIR --probe-labels DIR`",),
            )
        if self.dataset is not None:
            need_classes(self.dataset.reader.table)
        elif self.labels is not None:
            need_classes(find_class_table(self.labels))

    def find_probe_pairs(self, probe: ProbeSource, scored: Scored) -> tuple[tuple[Pair, ...], str]:
        """What a linear probe is fitted on, none of which is scored, and the same in words.

        Raises:
            InputError: A folder or split is missing, or an image would be fitted on and scored as well.
            UsageError: As `check_probe`.
        """
        self.check_probe(probe)
        if self.dataset is not None:
            split = probe.split or "train"
            other = replace(self.dataset, split=split, layout=self.dataset.find_split(split))
            selection = other.select(images=True)
            pairs, problems, words = selection.pairs, selection.problems, f"split {split}: {selection.listing}"
        else:
            assert probe.labels is not None  # `check_probe`
            pairing = pair_files(probe.labels, images=probe.images)
            pairs, problems, words = pairing.pairs, pairing.problems, f"labels in `{probe.labels}`"
        if problems and not self.skip_bad:
            raise InputError(
                f"{len(problems)} labels of the probe cannot be used",
                details=list_problems(problems),
                hints=("mend them, or leave them out with `--skip-bad`",),
            )
        both = find_overlap(pairs, scored.pairs)
        if both:
            raise InputError(
                f"{len(both)} images would be fitted on and scored as well",
                details=(list_names(both),),
                hints=("fit on other images: another `--probe-split`, or other folders",),
            )
        return tuple(pairs), words

    def _score(self, masks: Path | None, model: Path | None, maker: MaskMaker | None, progress: Progress) -> Scored:
        pairing, reader, source = self._find_files(masks, progress)
        work = Work(
            pairing,
            reader,
            self.protocol,
            workers=self.workers,
            skip_bad=self.skip_bad,
            report=None if self.place is None else find_report(self.place),
            is_one_of_many=self.is_one_of_many,
        )
        if maker is None:
            counted = tally_ready_masks(work, progress)
        else:
            counted = tally_predictions(work, maker, progress)
        first, second = counted.tallies
        if not first.images and not second.images:
            where = self.labels or source.get("root")
            raise InputError(f"no label in `{where}` can be used", details=list_problems(counted.problems))
        for problem in counted.problems:
            progress.warn(f"left out `{problem.name}`: {problem.reason}")
        if pairing.unlabelled:
            progress.warn(f"not scored, no label: {list_names(pairing.unlabelled)}")
        table = settle_classes(counted, reader)
        report = build_report(
            first,
            table,
            source=source
            | {"classes": table.origin, "model": None if maker is None else {"path": str(model)} | maker.identity},
            skipped=counted.problems,
            unlabelled=len(pairing.unlabelled),
            protocol=self.protocol,
            second=second,
        )
        self._add_published(report)
        bad = {problem.name for problem in counted.problems}
        pairs = tuple(pair for pair in pairing.pairs if pair.name not in bad)
        return Scored(report, tuple(counted.problems), pairs, reader)

    def _find_files(self, masks: Path | None, progress: Progress) -> tuple[Pairing, LabelReader, dict[str, Any]]:
        """The files, who reads the labels, and what the report says of both."""
        places = {"labels": self.labels, "images": self.images, "predictions": masks}
        source: dict[str, Any] = {what: None if path is None else str(path) for what, path in places.items()}
        if self.dataset is None:
            assert self.labels is not None
            pairing = pair_files(self.labels, images=self.images, masks=masks)
            return pairing, find_reader(self.labels, self.void, self.is_void_chosen, progress), source
        selection = self.dataset.select(listing=self.listing, masks=masks, images=masks is None)
        for line in (*self.dataset.layout.words, f"scored: {selection.listing}"):
            progress.say(line)
        if selection.is_sample:
            progress.warn("this copy is a sample: no published figure compares with what it gives")
        pairing = Pairing(selection.pairs, selection.problems, selection.unlabelled)
        return pairing, self.dataset.reader, source | self.dataset.describe(selection)

    def _add_published(self, report: dict[str, Any]) -> None:
        published = [] if self.dataset is None else list_published(self.dataset.benchmark.name)
        if published:
            report["published"] = published
            if any(row["method"] == "FS4" and row["miou"] is None for row in published):
                report["notes"].append(WARNING)
        if report["source"].get("is_sample"):
            report["notes"].append(f"scored {report['source']['list']}: no published figure compares")


def find_reader(labels: Path, void: int, is_void_chosen: bool, progress: Progress) -> LabelReader:
    """A reader of labels, by the nearest `classes.yaml` if there is one; which, is said.

    Raises:
        InputError: The `classes.yaml` cannot be used.
    """
    table = find_class_table(labels, void=void if is_void_chosen else None)
    if table is None:
        progress.say(f"no classes.yaml near `{labels}`: every id but {void} is a class")
    else:
        progress.say(f"{len(table)} classes from `{table.origin}` (ids {table.describe_values()})")
    return LabelReader(table, void=void)


def describe_nothing(source: dict[str, Any], protocol: Protocol) -> dict[str, Any]:
    """The report where there are no labels: of the same shape, without a figure."""
    table = ClassTable((), (), frozenset({255}))
    report = build_report(Tally(), table, source=source, skipped=(), unlabelled=0, protocol=protocol)
    return report | {"metrics": {}, "notes": []}
