"""Masks and ground truth -> report: how good are the masks?

The masks come from a model, image by image, or are read ready-made from a folder; then no torch is needed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fs4cli.config import Settings, stage_settings
from fs4cli.errors import InputError, Interrupted, UsageError
from fs4cli.evaluation.classes import find_class_table
from fs4cli.evaluation.confusion import ImageCounts, Tally, close_classes
from fs4cli.evaluation.counting import Segment, check_pairs, count_predictions, count_ready_masks
from fs4cli.evaluation.ground_truth import LabelReader
from fs4cli.evaluation.pairs import Pairing, pair_files
from fs4cli.evaluation.parallel import count_workers
from fs4cli.evaluation.problems import Problem, list_names, list_problems
from fs4cli.evaluation.report import build_report, write_report
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
    labels: Path,
    project: Project | None = None,
    model: Path | None = None,
    predictions: Path | None = None,
    images: Path | None = None,
    out: Path | None = None,
    skip_bad: bool = False,
    progress: Progress,
) -> EvaluateResult:
    """Score masks against labels. May be run any number of times; the newest report replaces the one before.

    Args:
        settings: `evaluate`, `workers`, and for a model `predict` and `device`.
        labels: Folder of index PNGs, named as the images are, or one file.
        project: Whose trained model is scored if neither `model` nor `predictions` is given, and where the report goes.
        model: A model file to score instead.
        predictions: Folder of ready masks to score instead, named as the labels are.
        images: Folder of the images; a model needs them. With ready masks, only what belongs together is checked.
        out: Where the report goes instead: a file that ends in `.json`, or a folder.
        skip_bad: Leave bad labels out and say so, instead of stopping.
        progress: Is told how far it is.

    Raises:
        UsageError: Nothing to score, or a model without images.
        ProjectError: The project has no trained model yet.
        InputError: A folder is missing, no label is usable, or one is bad and `skip_bad` is not asked for.
        Interrupted: A signal asked to stop; nothing was written.
    """
    _check_request(project, model, predictions, images)
    inputs = {}
    if project is not None and model is None and predictions is None:
        inputs, model = read_inputs(project, "evaluate"), project.model
    pairing = pair_files(labels, images=images, masks=predictions)
    reader = _find_classes(settings, labels, progress)
    if model is None or predictions is not None:
        identity = None
        tally, problems = _count_ready(pairing, reader, settings, progress)
    else:
        predictor = load_predictor(model, settings)
        identity = predictor.identity
        tally, problems = _count_predicted(pairing, reader, predictor, settings, progress, skip_bad)
    _stop_for_bad(problems, pairing, skip_bad)
    if not tally.images:
        raise InputError(f"no label in `{labels}` can be used", details=list_problems(problems))
    for problem in problems:
        progress.warn(f"left out `{problem.name}`: {problem.reason}")
    if pairing.unlabelled:
        progress.warn(f"not scored, no label: {list_names(pairing.unlabelled)}")
    table = reader.table or close_classes(tally, reader.void)
    places = {"labels": labels, "images": images, "predictions": predictions}
    source = {what: None if path is None else str(path) for what, path in places.items()}
    source |= {"model": identity, "classes": table.origin}
    report = build_report(tally, table, source=source, skipped=problems, unlabelled=len(pairing.unlabelled))
    place = project.stage("evaluate") if project is not None and out is None else out
    report_path, confusion_path = write_report(place, report, tally.confusion) if place is not None else (None, None)
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


def _check_request(project: Project | None, model: Path | None, predictions: Path | None, images: Path | None) -> None:
    if model is not None and predictions is not None:
        raise UsageError(
            "a model and ready masks were both given", hints=("give one of `--model` and `--predictions`",)
        )
    if predictions is None and model is None and project is None:
        raise UsageError(
            "nothing to evaluate: no project, no model, no masks",
            hints=("give `--predictions DIR` of index PNGs, or `--model FILE`, or a project with `-C DIR`",),
        )
    if predictions is None and images is None:
        raise UsageError("a model needs the images of the labels", hints=("add `--images DIR`",))


def _find_classes(settings: Settings, labels: Path, progress: Progress) -> LabelReader:
    chosen = settings.evaluate.void if "void" in settings.evaluate.model_fields_set else None
    table = find_class_table(labels, void=chosen)
    if table is None:
        progress.say(f"no classes.yaml near `{labels}`: every id but {settings.evaluate.void} is a class")
    else:
        progress.say(f"{len(table)} classes from `{table.origin}` (ids {table.describe_values()})")
    return LabelReader(table, void=settings.evaluate.void)


def _count_ready(
    pairing: Pairing, reader: LabelReader, settings: Settings, progress: Progress
) -> tuple[Tally, list[Problem]]:
    workers = count_workers(settings.workers)
    counts = count_ready_masks(pairing.pairs, reader, workers=workers)
    tally, problems = _add_up(counts, len(pairing.pairs), progress)
    return tally, [*pairing.problems, *problems]


def _count_predicted(
    pairing: Pairing, reader: LabelReader, predictor: Predictor, settings: Settings, progress: Progress, skip_bad: bool
) -> tuple[Tally, list[Problem]]:
    workers = count_workers(settings.workers)
    problems = list(pairing.problems)
    with progress.task("evaluate: checking labels", len(pairing.pairs), unit="images") as task:
        for problem in check_pairs(pairing.pairs, reader, workers=workers):
            _stop_if_asked(progress)
            task.advance()
            problems += [problem] if problem else []
    _stop_for_bad(problems, pairing, skip_bad)
    bad = {problem.name for problem in problems}
    sound = [pair for pair in pairing.pairs if pair.name not in bad]
    counts = count_predictions(sound, reader, predictor.segment, workers=workers)
    tally, late = _add_up(counts, len(sound), progress)
    tally.reserve(predictor.clusters, 0)
    return tally, problems + late


def _add_up(counts: Iterator[ImageCounts | Problem], total: int, progress: Progress) -> tuple[Tally, list[Problem]]:
    tally, problems = Tally(), []
    with progress.task("evaluate", total, unit="images") as task:
        for outcome in counts:
            if isinstance(outcome, Problem):
                problems.append(outcome)
            else:
                tally.add(outcome)
            task.advance()
            _stop_if_asked(progress)
    return tally, problems


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
