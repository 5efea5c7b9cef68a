"""Masks and ground truth -> report: how good are the masks?

The masks come from a model, image by image, or are read ready-made from a folder; then no torch is needed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fs4cli.config import Settings, stage_settings
from fs4cli.errors import InputError, Interrupted, UsageError
from fs4cli.evaluation.classes import ClassTable, find_class_table
from fs4cli.evaluation.confusion import ImageCounts, Tally, close_classes
from fs4cli.evaluation.counting import Segment, check_pairs, count_predictions, count_ready_masks
from fs4cli.evaluation.dataset import Dataset, find_dataset
from fs4cli.evaluation.ground_truth import LabelReader
from fs4cli.evaluation.pairs import Pair, Pairing, pair_files
from fs4cli.evaluation.parallel import count_workers
from fs4cli.evaluation.problems import Problem, list_names, list_problems
from fs4cli.evaluation.protocols import Protocol, choose_halves, find_protocol
from fs4cli.evaluation.published import WARNING, list_published
from fs4cli.evaluation.report import build_report, write_report
from fs4cli.evaluation.selection import Selection
from fs4cli.evaluation.tables import write_table
from fs4cli.files import hash_file, hash_value
from fs4cli.progress import Progress
from fs4cli.project.project import Project
from fs4cli.project.record import finish_record, read_inputs, start_record, write_record


@dataclass(frozen=True)
class EvaluateResult:
    """What an evaluation found.

    Args:
        report: As docs/evaluation.md lists it; the same as in `report_path`.
        report_path: Where it was written; None if neither a project nor a place was given.
        confusion_path: The confusion matrix (clusters x classes) as a NumPy file beside it.
        skipped: Labels that were left out because they are bad.
    """

    report: dict[str, Any]
    report_path: Path | None
    confusion_path: Path | None
    skipped: tuple[Problem, ...]

    @property
    def accuracy(self) -> float | None:
        """Share of labelled pixels with the right class; None without a labelled pixel."""
        return self.report["metrics"]["all"]["accuracy"]

    @property
    def miou(self) -> float | None:
        """Mean intersection over union of the classes; None without a labelled pixel."""
        return self.report["metrics"]["all"]["miou"]


def run_evaluate(
    settings: Settings,
    *,
    labels: Path | None = None,
    dataset: str | None = None,
    root: Path | None = None,
    split: str | None = None,
    listing: str = "auto",
    protocol: str | None = None,
    project: Project | None = None,
    model: Path | None = None,
    predictions: Path | None = None,
    images: Path | None = None,
    out: Path | None = None,
    csv: Path | None = None,
    skip_bad: bool = False,
    progress: Progress,
) -> EvaluateResult:
    """Score masks against labels. May be run any number of times; the newest report replaces the one before.

    Args:
        settings: `evaluate`, `workers`, and for a model `predict` and `device`.
        labels: Folder of index PNGs, named as the images are, or one file.
        dataset: A data set of `evaluation.benchmarks` instead of `labels` and `images`.
        root: Its folder; looked for below `FS4_DATASETS` and `./datasets` if left out.
        split: Which part of it; if left out, what the protocol scores.
        listing: Which images of it; see `evaluation.selection`.
        protocol: The rules of scoring; if left out, "honest" for a data set and "full" for folders.
        project: Whose trained model is scored if neither `model` nor `predictions` is given, and where the report goes.
        model: A model file to score instead.
        predictions: Folder of ready masks to score instead, named as the labels are.
        images: Folder of the images; a model needs them. With ready masks, only what belongs together is checked.
        out: Where the report goes instead: a file that ends in `.json`, or a folder.
        csv: Where the figures go as a table too.
        skip_bad: Leave bad labels out and say so, instead of stopping.
        progress: Is told how far it is.

    Raises:
        UsageError: Nothing to score, a model without images, or no such data set, split or protocol.
        ProjectError: The project has no trained model yet.
        InputError: A folder is missing, no label is usable, or one is bad and `skip_bad` is not asked for.
        Interrupted: A signal asked to stop; nothing was written.
    """
    _check_request(project, model, predictions, images, labels, dataset)
    rules = find_protocol(protocol or ("full" if dataset is None else "honest"))
    inputs = {}
    if project is not None and model is None and predictions is None:
        inputs, model = read_inputs(project, "evaluate"), project.model
    places = {"labels": labels, "images": images, "predictions": predictions}
    source: dict[str, Any] = {what: None if path is None else str(path) for what, path in places.items()}
    published: list[dict[str, Any]] = []
    if dataset is None:
        assert labels is not None
        pairing, reader = (
            pair_files(labels, images=images, masks=predictions),
            _find_classes(settings, labels, progress),
        )
        source["classes"] = None if reader.table is None else reader.table.origin
    else:
        found = find_dataset(dataset, root=root, split=split, protocol=rules, void=settings.evaluate.void)
        selection = found.select(listing=listing, masks=predictions, images=predictions is None)
        pairing, reader = Pairing(selection.pairs, selection.problems, selection.unlabelled), found.reader
        source |= found.describe(selection)
        published = list_published(found.benchmark.name)
        _introduce(found, selection, progress)
    run = _Run(settings, rules, pairing, reader, progress)
    if model is None or predictions is not None:
        source["model"] = None
        problems = run.count_ready()
    else:
        predictor = load_predictor(model, _follow_protocol(settings, rules))
        source["model"] = predictor.identity
        problems = run.count_predicted(predictor, skip_bad)
    _stop_for_bad(problems, pairing, skip_bad)
    first, second = run.tallies
    if not first.images and not second.images:
        where = labels or source.get("root")
        raise InputError(f"no label in `{where}` can be used", details=list_problems(problems))
    for problem in problems:
        progress.warn(f"left out `{problem.name}`: {problem.reason}")
    if pairing.unlabelled:
        progress.warn(f"not scored, no label: {list_names(pairing.unlabelled)}")
    table = reader.table
    if table is None:
        table = _close_classes(first, second, reader.void)
        source["classes"] = table.origin
    report = build_report(
        first,
        table,
        source=source,
        skipped=problems,
        unlabelled=len(pairing.unlabelled),
        protocol=rules,
        second=second,
    )
    if published:
        report["published"] = published
        if any(row["method"] == "FS4" and row["miou"] is None for row in published):
            report["notes"].append(WARNING)
    if source.get("is_sample"):
        report["notes"].append(f"scored {source['list']}: no published figure compares")
    place = project.stage("evaluate") if project is not None and out is None else out
    confusion = np.array(report["confusion"]["counts"], np.int64).reshape(-1, len(table))
    report_path, confusion_path = write_report(place, report, confusion) if place is not None else (None, None)
    if csv is not None:
        write_table(csv, report)
    if project is not None and out is None:
        _write_record(project, settings, inputs, report)
    return EvaluateResult(report, report_path, confusion_path, tuple(problems))


@dataclass(frozen=True)
class Predictor:
    """A model that is ready to segment.

    Args:
        segment: Pixels -> the cluster of each.
        clusters: How many it tells apart.
        identity: What the report says of it: path, hash, summary.
    """

    segment: Segment
    clusters: int
    identity: dict[str, Any]


def load_predictor(path: Path, settings: Settings) -> Predictor:
    """Load a model file onto the device that the settings name; the only part that needs torch."""
    from fs4cli.model.device import choose_device
    from fs4cli.model.inference import predict_probabilities
    from fs4cli.model.segmenter import load_model

    segmenter, card = load_model(path, choose_device(settings.device))
    chosen = settings.predict
    short_side = card.short_side if chosen.size == "auto" else chosen.size
    segment: Segment = lambda pixels: predict_probabilities(  # noqa: E731
        segmenter, pixels, short_side=short_side, flip=chosen.flip, refine=chosen.refine
    ).argmax(0)
    identity = {
        "path": str(path),
        "sha256": hash_file(path),
        "classes": len(card.classes),
        "from_scratch": card.from_scratch,
        "short_side": short_side,
        "flip": chosen.flip,
        "refine": chosen.refine,
        "summary": card.summary,
    }
    return Predictor(segment, len(card.classes), identity)


def _check_request(
    project: Project | None,
    model: Path | None,
    predictions: Path | None,
    images: Path | None,
    labels: Path | None,
    dataset: str | None,
) -> None:
    if labels is None and dataset is None:
        raise UsageError(
            "missing option `--labels` or `--dataset`",
            hints=("give `--labels DIR` of index PNGs, or a data set such as `--dataset cocostuff`",),
        )
    if dataset is not None and (labels is not None or images is not None):
        raise UsageError(
            "a data set brings its own images and labels",
            hints=("leave out `--images` and `--labels`, or `--dataset`",),
        )
    if model is not None and predictions is not None:
        raise UsageError(
            "a model and ready masks were both given", hints=("give one of `--model` and `--predictions`",)
        )
    if predictions is None and model is None and project is None:
        raise UsageError(
            "nothing to evaluate: no project, no model, no masks",
            hints=("give `--predictions DIR` of index PNGs, or `--model FILE`, or a project with `-C DIR`",),
        )
    if predictions is None and images is None and dataset is None:
        raise UsageError("a model needs the images of the labels", hints=("add `--images DIR`",))


def _find_classes(settings: Settings, labels: Path, progress: Progress) -> LabelReader:
    chosen = settings.evaluate.void if "void" in settings.evaluate.model_fields_set else None
    table = find_class_table(labels, void=chosen)
    if table is None:
        progress.say(f"no classes.yaml near `{labels}`: every id but {settings.evaluate.void} is a class")
    else:
        progress.say(f"{len(table)} classes from `{table.origin}` (ids {table.describe_values()})")
    return LabelReader(table, void=settings.evaluate.void)


def _introduce(found: Dataset, selection: Selection, progress: Progress) -> None:
    for line in (*found.layout.words, f"scored: {selection.listing}"):
        progress.say(line)
    if selection.is_sample:
        progress.warn("this copy is a sample: no published figure compares with what it gives")


def _follow_protocol(settings: Settings, protocol: Protocol) -> Settings:
    chosen = {"flip": protocol.flip, "refine": protocol.refine}
    forced = {key: value for key, value in chosen.items() if value is not None}
    return settings.model_copy(update={"predict": settings.predict.model_copy(update=forced)}) if forced else settings


def _close_classes(first: Tally, second: Tally, void: int) -> ClassTable:
    """Give both halves the columns of the ids that were seen in either."""
    both = first.merge(second)
    table = close_classes(both, void)
    seen = np.array([value for (value,) in table.values], np.int64)
    for half in (first, second):
        half.reserve(0, int(seen.max(initial=-1)) + 1)
        half.keep_classes(seen)
    return table


class _Run:
    """Counts the images of one evaluation. `tallies` are the two halves; the second is empty if they are one."""

    def __init__(
        self, settings: Settings, protocol: Protocol, pairing: Pairing, reader: LabelReader, progress: Progress
    ):
        self.pairing = pairing
        self.reader = reader
        self.progress = progress
        self.frame = protocol.frame
        self.workers = count_workers(settings.workers)
        self.tallies = Tally(), Tally()
        halves = choose_halves([pair.name for pair in pairing.pairs]).tolist() if protocol.is_crossed else []
        self.half_of = dict(zip((pair.name for pair in pairing.pairs), halves, strict=False))

    def count_ready(self) -> list[Problem]:
        """Count masks from a folder; returns what could not be."""
        pairs = self.pairing.pairs
        counts = count_ready_masks(pairs, self.reader, workers=self.workers, frame=self.frame)
        return [*self.pairing.problems, *self._add_up(pairs, counts)]

    def count_predicted(self, predictor: "Predictor", skip_bad: bool) -> list[Problem]:
        """Look at all files, then make the masks and count them; returns what could not be."""
        problems = list(self.pairing.problems)
        with self.progress.task("evaluate: checking labels", len(self.pairing.pairs), unit="images") as task:
            for problem in check_pairs(self.pairing.pairs, self.reader, workers=self.workers):
                _stop_if_asked(self.progress)
                task.advance()
                problems += [problem] if problem else []
        _stop_for_bad(problems, self.pairing, skip_bad)
        bad = {problem.name for problem in problems}
        sound = [pair for pair in self.pairing.pairs if pair.name not in bad]
        counts = count_predictions(sound, self.reader, predictor.segment, workers=self.workers, frame=self.frame)
        late = self._add_up(sound, counts)
        for tally in self.tallies:
            tally.reserve(predictor.clusters, 0)
        return problems + late

    def _add_up(self, pairs: Sequence[Pair], counts: Iterator[ImageCounts | Problem]) -> list[Problem]:
        problems = []
        with self.progress.task("evaluate", len(pairs), unit="images") as task:
            for pair, outcome in zip(pairs, counts, strict=True):
                if isinstance(outcome, Problem):
                    problems.append(outcome)
                else:
                    self.tallies[self.half_of.get(pair.name, 0)].add(outcome)
                task.advance()
                _stop_if_asked(self.progress)
        return problems


def _stop_if_asked(progress: Progress) -> None:
    signal = progress.stop_requested()
    if signal is not None:
        raise Interrupted("evaluation stopped; nothing was written", signal=signal)


def _stop_for_bad(problems: Sequence[Problem], pairing: Pairing, skip_bad: bool) -> None:
    if not problems or skip_bad:
        return
    total = len(pairing.pairs) + len(pairing.problems)
    raise InputError(
        f"{len(problems)} of {total} labels cannot be used",
        details=list_problems(problems),
        hints=("mend them, or leave them out of the score with `--skip-bad`",),
    )


def _write_record(project: Project, settings: Settings, inputs: dict[str, str], report: dict[str, Any]) -> None:
    values, explicit = stage_settings(settings, "evaluate")
    record = start_record("evaluate", settings=values, explicit=explicit, inputs=inputs, seed=settings.seed)
    scores = report["metrics"]["all"]
    summary = {"images": report["counted"]["images"], "accuracy": scores["accuracy"], "miou": scores["miou"]}
    write_record(project, finish_record(record, outputs={"report": hash_value(report)}, summary=summary))
