"""`fs4 evaluate`: masks and ground truth in, report out."""

from pathlib import Path
from typing import Annotated, Any, Literal

from fs4cli.cli.help_page import ADVANCED, COMMON, MODEL, OUTPUT
from fs4cli.cli.options import option, setting_option
from fs4cli.cli.score_table import list_scores
from fs4cli.cli.session import Session
from fs4cli.errors import CheckError, UsageError
from fs4cli.evaluation.problems import list_problems


def evaluate(
    session: Session,
    labels: Annotated[
        Path | None,
        option(
            "--labels",
            help="Folder of index PNGs, named as the images are.",
            default="none",
            panel=COMMON,
            metavar="DIR",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        option("--images", help="Folder of the images.", default="none", panel=COMMON, metavar="DIR"),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        option(
            "--predictions",
            help="Score these masks instead of the model; repeated: mean and spread.",
            default="none",
            panel=COMMON,
            metavar="DIR",
        ),
    ] = None,
    model: Annotated[
        list[Path] | None,
        option(
            "--model",
            help="A model file; then no project is needed. Repeated: mean and spread.",
            default="the project's",
            panel=MODEL,
            metavar="FILE",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        option(
            "--dataset",
            help="A data set instead of --labels: cocostuff, cocostuff15, cityscapes, voc, folders, ...",
            default="none",
            panel=COMMON,
            metavar="NAME",
        ),
    ] = None,
    root: Annotated[
        Path | None,
        option(
            "--root",
            help="Its folder.",
            default="FS4_DATASETS/NAME or ./datasets/NAME",
            panel=COMMON,
            metavar="DIR",
        ),
    ] = None,
    split: Annotated[
        str | None,
        option("--split", help="Which part of it.", default="what the protocol scores", panel=COMMON, metavar="NAME"),
    ] = None,
    listing: Annotated[
        str,
        option(
            "--list",
            help="Which images of it: auto, curated (as published), all, or a file of ids.",
            default="auto",
            panel=ADVANCED,
            metavar="NAME",
        ),
    ] = "auto",
    protocol: Annotated[
        str | None,
        option(
            "--protocol",
            help="Rules of scoring: picie, stego, iic, full or honest.",
            default="honest for a data set, else full",
            panel=COMMON,
            metavar="NAME",
        ),
    ] = None,
    check: Annotated[
        bool, option("--check", help="Only look whether the data set is whole; needs no model.", panel=COMMON)
    ] = False,
    unlabeled: Annotated[
        bool,
        option(
            "--unlabeled",
            help="Also what needs no label: health, stability. Alone: of --images, or of the project's own.",
            panel=COMMON,
        ),
    ] = False,
    probe: Annotated[
        Literal["linear"] | None,
        option(
            "--probe",
            help="Also a supervised 1x1 layer on the model's frozen features.",
            default="none",
            panel=COMMON,
            metavar="linear",
        ),
    ] = None,
    probe_images: Annotated[
        Path | None,
        option(
            "--probe-images",
            help="Labelled images to fit the probe on; none of them may be scored.",
            default="none",
            panel=ADVANCED,
            metavar="DIR",
        ),
    ] = None,
    probe_labels: Annotated[
        Path | None,
        option("--probe-labels", help="The labels of --probe-images.", default="none", panel=ADVANCED, metavar="DIR"),
    ] = None,
    probe_split: Annotated[
        str | None,
        option(
            "--probe-split",
            help="With a data set, the split to fit the probe on.",
            default="train",
            panel=ADVANCED,
            metavar="NAME",
        ),
    ] = None,
    void: Annotated[int | None, setting_option("evaluate.void", "--void", metavar="VALUE")] = None,
    skip_bad: Annotated[
        bool, option("--skip-bad", help="Leave bad labels out instead of stopping.", panel=COMMON)
    ] = False,
    out: Annotated[
        Path | None,
        option(
            "--out",
            "-o",
            help="Where the report goes: a .json file or a folder.",
            default="evaluate/ of the project",
            panel=OUTPUT,
            metavar="FILE",
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        option("--csv", help="The figures as a table too.", default="none", panel=OUTPUT, metavar="FILE"),
    ] = None,
    charts: Annotated[
        Path | None,
        option(
            "--charts",
            help="IoU of each class and confusion matrix as SVG and PNG.",
            default="none",
            panel=OUTPUT,
            metavar="DIR",
        ),
    ] = None,
    min_miou: Annotated[
        float | None,
        option(
            "--min-miou",
            help="Exit code 9 if the mIoU, a fraction, is lower.",
            default="none",
            min=0,
            max=1,
            panel=OUTPUT,
            metavar="X",
        ),
    ] = None,
) -> None:
    """Score masks against ground truth.

    Clusters are matched to classes (Hungarian): on the images that are scored, or as --protocol says
    (docs/protocols.md). Spare clusters count as errors.

    Examples:
      fs4 evaluate --images test/ --labels test-labels/
      fs4 evaluate --predictions masks/ --labels test-labels/ -o report.json
      fs4 evaluate --dataset cocostuff --root DIR --protocol picie
    """
    if check:
        _check(session, dataset, root, split, listing)
        return
    if dataset is None and (root is not None or split is not None or listing != "auto"):
        raise UsageError("`--root`, `--split` and `--list` belong to a data set", hints=("add `--dataset NAME`",))
    if probe is None and (probe_images, probe_labels, probe_split) != (None, None, None):
        raise UsageError("there is no probe to fit", hints=("add `--probe linear`",))
    if dataset is None and labels is None and (not unlabeled or probe is not None):
        hints = ("give `--labels DIR` of index PNGs, or a data set such as `--dataset cocostuff`",)
        raise UsageError("missing option `--labels` or `--dataset`", hints=hints)  # before any project is looked for
    if dataset is not None:
        from fs4cli.evaluation.benchmarks import find_benchmark

        find_benchmark(dataset)  # a slip of the pen is named before any project is looked for
    has_own = bool(model or predictions)
    project = session.look_for_project(is_needed=not has_own or out is None)
    settings = session.settings(project, {"evaluate.void": (void, "--void")})
    watch = session.writing(project) if out is None and project is not None else session.watching()
    with watch as progress:
        from fs4cli.stages.evaluate import run_evaluate

        result = run_evaluate(
            settings,
            project=project,
            model=model,
            predictions=predictions,
            images=images,
            labels=labels,
            dataset=dataset,
            root=root,
            split=split,
            listing=listing,
            protocol=protocol,
            out=out,
            csv=csv,
            skip_bad=skip_bad,
            probe=_choose_probe(probe, probe_images, probe_labels, probe_split),
            unlabeled=unlabeled,
            progress=progress,
        )
        paths = [path for path in (result.report_path, csv) if path is not None]
        if charts is not None and result.report["metrics"]:
            from fs4cli.evaluation.charts import write_charts

            paths += write_charts(charts, result.report)
    for line in list_scores(result.report):
        session.report.say(line)
    session.report.show(result.report, paths=paths)
    if min_miou is not None and (result.miou is None or result.miou < min_miou):
        shown = "none" if result.miou is None else f"{result.miou:.4f}"
        raise CheckError(f"mIoU {shown} is below `--min-miou {min_miou:g}`")


def _choose_probe(probe: str | None, images: Path | None, labels: Path | None, split: str | None) -> Any:
    if probe is None:
        return None
    from fs4cli.evaluation.probe import ProbeSource

    return ProbeSource(images, labels, split)


def _check(session: Session, dataset: str | None, root: Path | None, split: str | None, listing: str) -> None:
    if dataset is None:
        raise UsageError("`--check` looks at a data set", hints=("add `--dataset NAME`",))
    settings = session.settings(session.look_for_project(is_needed=False))
    with session.watching() as progress:
        from fs4cli.stages.check_dataset import run_check_dataset

        result = run_check_dataset(
            settings, dataset=dataset, root=root, split=split, listing=listing, progress=progress
        )
    for line in (*result.found, f"to be scored: {result.listing}"):
        session.report.say(line)
    session.report.show(result)
    if result.problems:
        count = len(result.problems)
        raise CheckError(
            f"`{result.root}` has {count} {'damage' if count == 1 else 'damages'}",
            details=list_problems(result.problems, most=100),
        )
    session.report.say(f"whole: {result.labels:,} labels read")
