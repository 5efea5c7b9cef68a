"""Masks and ground truth -> report: how good are the masks?

The masks come from a model, image by image, or are read ready-made from a folder; then no torch is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fs4cli.config import Settings, stage_settings
from fs4cli.data.formats import IMAGE_SUFFIXES
from fs4cli.data.index import read_index
from fs4cli.data.sources import find_images
from fs4cli.errors import InputError, UsageError
from fs4cli.evaluation.counting import MaskMaker
from fs4cli.evaluation.dataset import find_dataset
from fs4cli.evaluation.ground_truth import LabelReader
from fs4cli.evaluation.probe import ProbeSource, describe_probe, fit_probe, score_probe
from fs4cli.evaluation.problems import Problem
from fs4cli.evaluation.protocols import Protocol, find_protocol
from fs4cli.evaluation.report import write_report
from fs4cli.evaluation.scoring import Scored, Scoring, describe_nothing
from fs4cli.evaluation.several import join_reports
from fs4cli.evaluation.tables import write_table
from fs4cli.evaluation.unfinished import forget
from fs4cli.evaluation.unlabelled import judge_unlabelled, list_views, measure_unlabelled
from fs4cli.files import hash_value
from fs4cli.parallel import count_workers
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
        return self.report["metrics"].get("all", {}).get("accuracy")

    @property
    def miou(self) -> float | None:
        """Mean intersection over union of the classes; None without a labelled pixel."""
        return self.report["metrics"].get("all", {}).get("miou")


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
    model: Path | Sequence[Path] | None = None,
    predictions: Path | Sequence[Path] | None = None,
    images: Path | None = None,
    out: Path | None = None,
    csv: Path | None = None,
    skip_bad: bool = False,
    probe: ProbeSource | None = None,
    unlabeled: bool = False,
    progress: Progress,
) -> EvaluateResult:
    """Score masks against labels. May be run any number of times; the newest report replaces the one before.

    A run that is stopped or killed goes on where it was, if the report has a place: what was counted is kept there.

    Args:
        settings: `evaluate`, `workers`, and for a model `predict`, `precision` and `device`.
        labels: Folder of index PNGs, named as the images are, or one file.
        dataset: A data set of `evaluation.benchmarks` instead of `labels` and `images`.
        root: Its folder; looked for below `FS4_DATASETS` and `./datasets` if left out.
        split: Which part of it; if left out, what the protocol scores.
        listing: Which images of it; see `evaluation.selection`.
        protocol: The rules of scoring; if left out, "honest" for a data set and "full" for folders.
        project: Whose trained model is scored if neither `model` nor `predictions` is given, and where the report goes.
        model: A model file to score instead; several give the mean and the spread.
        predictions: Folder of ready masks to score instead, named as the labels are; several likewise.
        images: Folder of the images; a model needs them. With ready masks, only what belongs together is checked.
        out: Where the report goes instead: a file that ends in `.json`, or a folder.
        csv: Where the figures go as a table too.
        skip_bad: Leave bad labels out and say so, instead of stopping.
        probe: What a linear layer on the model's features is fitted on; no probe if left out.
        unlabeled: Also what needs no label: health and stability. Then `labels` and `dataset` may be left out: the
            images, or else the project's own, are looked at.
        progress: Is told how far it is.

    Raises:
        UsageError: Nothing to score, a model without images, or no such data set, split or protocol.
        ProjectError: The project has no trained model yet.
        InputError: A folder is missing, no label is usable, or one is bad and `skip_bad` is not asked for.
        Interrupted: A signal asked to stop; there is no report yet.
    """
    models, folders = _as_list(model), _as_list(predictions)
    has_labels = labels is not None or dataset is not None
    _check_request(project, models, folders, images, labels, dataset, is_bare=unlabeled and not has_labels)
    if (probe or unlabeled) and folders:
        raise UsageError(
            "`--probe` and `--unlabeled` look at a model, not at ready masks", hints=("leave out one of both",)
        )
    rules = find_protocol(protocol or ("full" if dataset is None else "honest"))
    inputs = {}
    if project is not None and not models and not folders:
        inputs, models = read_inputs(project, "evaluate"), [project.model]
    place = project.stage("evaluate") if project is not None and out is None else out
    void, is_void_chosen = settings.evaluate.void, "void" in settings.evaluate.model_fields_set
    scoring = Scoring(
        protocol=rules,
        labels=labels,
        images=images,
        dataset=None
        if dataset is None
        else find_dataset(dataset, root=root, split=split, protocol=rules, void=void, is_void_chosen=is_void_chosen),
        listing=listing,
        void=void,
        is_void_chosen=is_void_chosen,
        workers=count_workers(settings.workers),
        skip_bad=skip_bad,
        place=place,
        is_one_of_many=len(models) + len(folders) > 1,
    )
    if probe is not None:
        scoring.check_probe(probe)
    scored = []
    for folder in folders:
        if len(folders) > 1:
            progress.say(f"masks {len(scored) + 1} of {len(folders)}: `{folder}`")
        scored.append(scoring.score_masks(folder, progress))
    for path in models:
        maker = load_maker(path, _follow_protocol(settings, rules))
        if len(models) > 1:
            progress.say(f"model {len(scored) + 1} of {len(models)}: `{path}`")
        if not has_labels:
            source = {"images": None if images is None else str(images), "model": {"path": str(path)} | maker.identity}
            one = Scored(describe_nothing(source, rules), (), (), LabelReader(None))
        else:
            one = scoring.score_model(path, maker, progress)
        if probe is not None:
            one.report["probe"] = _run_probe(settings, probe, scoring, one, maker, progress)
        if unlabeled:
            chosen = [pair.image for pair in one.pairs if pair.image is not None]
            one.report["unlabeled"] = _look_unlabelled(
                settings, chosen or _list_images(images, project), maker, progress
            )
            one.report["notes"] += judge_unlabelled(one.report["unlabeled"])
        scored.append(one)
    report = join_reports([one.report for one in scored]) if len(scored) > 1 else scored[0].report
    report_path, confusion_path = None, None
    if place is not None:
        report_path, confusion_path = write_report(place, report)
        forget(report_path)
    if csv is not None:
        write_table(csv, report)
    if project is not None and out is None:
        _write_record(project, settings, inputs, report)
    skipped = dict.fromkeys(problem for one in scored for problem in one.problems)
    return EvaluateResult(report, report_path, confusion_path, tuple(skipped))


def load_maker(path: Path, settings: Settings) -> MaskMaker:
    """Load a model file, to make the masks that `fs4 predict` makes; the only part that needs torch."""
    from fs4cli.model.device import choose_device, choose_precision
    from fs4cli.prediction.predictor import load_predictor

    device, size = choose_device(settings.device), settings.predict.size
    return load_predictor(
        path,
        device=device,
        short_side=None if isinstance(size, str) else size,
        flip=settings.predict.flip,
        refine=settings.predict.refine,
        precision=choose_precision(settings.precision, device),
    )


def _run_probe(
    settings: Settings, probe: ProbeSource, scoring: Scoring, scored: Scored, maker: MaskMaker, progress: Progress
) -> dict[str, Any]:
    from fs4cli.prediction.features import Features
    from fs4cli.prediction.predictor import Predictor

    assert isinstance(maker, Predictor)
    features = Features(replace(maker, flip=False, refine=False))
    pairs, words = scoring.find_probe_pairs(probe, scored)
    options: dict[str, Any] = {"workers": scoring.workers, "frame": scoring.protocol.frame, "progress": progress}
    layer = fit_probe(pairs, scored.reader, features, seed=settings.seed, **options)
    assert scored.reader.table is not None
    table = scored.reader.table
    tally = score_probe(scored.pairs, scored.reader, features, layer, table, **options)
    return describe_probe(layer, tally, table, fitted_on=words)


def _look_unlabelled(
    settings: Settings, images: Sequence[Path], maker: MaskMaker, progress: Progress
) -> dict[str, Any]:
    from fs4cli.prediction.predictor import Predictor

    assert isinstance(maker, Predictor)
    plain = replace(maker, flip=False)
    side = maker.short_side
    smaller = replace(plain, short_side=64 if side <= 32 else max(32, min(side - 32, round(side * 0.8 / 32) * 32)))
    found = measure_unlabelled(
        images, plain, list_views(plain, smaller), workers=count_workers(settings.workers), progress=progress
    )
    found["stability"]["smaller"]["short_side"] = smaller.short_side
    return found


def _list_images(images: Path | None, project: Project | None) -> list[Path]:
    """The images of a folder, or those that the project learned from."""
    if images is not None:
        found = [Path(file.place) for file in find_images([str(images)])]
        chosen = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]
    elif project is not None:
        chosen = [Path(entry.place) for entry in read_index(project.index) if entry.state == "ok"]
    else:
        raise UsageError("there is no project whose images could be looked at", hints=("add `--images DIR`",))
    if not chosen:
        where = f"in `{images}`" if images is not None else "in the project's index"
        raise InputError(f"there is no image {where}", hints=("name a folder of images with `--images DIR`",))
    return chosen


def _as_list(value: Path | Sequence[Path] | None) -> list[Path]:
    return [] if value is None else [value] if isinstance(value, Path) else list(value)


def _check_request(
    project: Project | None,
    models: Sequence[Path],
    folders: Sequence[Path],
    images: Path | None,
    labels: Path | None,
    dataset: str | None,
    *,
    is_bare: bool,
) -> None:
    """Refuse what contradicts itself or lacks something; `is_bare` wants only what needs no label."""
    if labels is None and dataset is None and not is_bare:
        raise UsageError(
            "missing option `--labels` or `--dataset`",
            hints=("give `--labels DIR` of index PNGs, or a data set such as `--dataset cocostuff`",),
        )
    if dataset is not None and (labels is not None or images is not None):
        raise UsageError(
            "a data set brings its own images and labels",
            hints=("leave out `--images` and `--labels`, or `--dataset`",),
        )
    if models and folders:
        raise UsageError(
            "a model and ready masks were both given", hints=("give one of `--model` and `--predictions`",)
        )
    if not folders and not models and project is None:
        raise UsageError(
            "nothing to evaluate: no project, no model, no masks",
            hints=("give `--predictions DIR` of index PNGs, or `--model FILE`, or a project with `-C DIR`",),
        )
    if not folders and images is None and dataset is None and not is_bare:
        raise UsageError("a model needs the images of the labels", hints=("add `--images DIR`",))


def _follow_protocol(settings: Settings, protocol: Protocol) -> Settings:
    chosen = {"flip": protocol.flip, "refine": protocol.refine}
    forced = {key: value for key, value in chosen.items() if value is not None}
    return settings.model_copy(update={"predict": settings.predict.model_copy(update=forced)}) if forced else settings


def _write_record(project: Project, settings: Settings, inputs: dict[str, str], report: dict[str, Any]) -> None:
    values, explicit = stage_settings(settings, "evaluate")
    if report["source"]["model"] is None:  # ready masks: how they were made is not known
        values = {key: value for key, value in values.items() if not key.startswith("predict.")}
        explicit &= set(values)
    record = start_record("evaluate", settings=values, explicit=explicit, inputs=inputs, seed=settings.seed)
    scores = report["metrics"].get("all", {})
    figures = {figure: scores.get(figure) for figure in ("accuracy", "miou")}
    summary = {"images": report["counted"]["images"], **figures}
    write_record(project, finish_record(record, outputs={"report": hash_value(report)}, summary=summary))
