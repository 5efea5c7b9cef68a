"""`fs4 evaluate`: masks and ground truth in, report out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fs4cli.cli.help_page import ADVANCED, COMMON, OUTPUT
from fs4cli.cli.options import option, setting_option
from fs4cli.cli.predict import Model
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
        Path | None,
        option(
            "--predictions",
            help="Score these masks instead of the model.",
            default="none",
            panel=COMMON,
            metavar="DIR",
        ),
    ] = None,
    model: Model = None,
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
    if dataset is None and labels is None:
        hints = ("give `--labels DIR` of index PNGs, or a data set such as `--dataset cocostuff`",)
        raise UsageError("missing option `--labels` or `--dataset`", hints=hints)  # before any project is looked for
    alone = model is not None or predictions is not None
    project = session.look_for_project() if alone else session.find_project()
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
            progress=progress,
        )
        paths = [path for path in (result.report_path, csv) if path is not None]
        if charts is not None:
            from fs4cli.evaluation.charts import write_charts

            paths += write_charts(charts, result.report)
    for line in _table(result.report):
        session.report.say(line)
    session.report.show(result.report, paths=paths)
    if min_miou is not None and (result.miou is None or result.miou < min_miou):
        shown = "none" if result.miou is None else f"{result.miou:.4f}"
        raise CheckError(f"mIoU {shown} is below `--min-miou {min_miou:g}`")


def _check(session: Session, dataset: str | None, root: Path | None, split: str | None, listing: str) -> None:
    if dataset is None:
        raise UsageError("`--check` looks at a data set", hints=("add `--dataset NAME`",))
    settings = session.settings(session.look_for_project())
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


def _table(report: Mapping[str, Any]) -> list[str]:
    metrics = report["metrics"]["all"]
    scores: Mapping[str, float | None] = metrics["class_iou"]
    width = max([len(str(name)) for name in scores] + [len("pixel accuracy")]) + 2
    rows = [f"{name!s:<{width}}{_percent(value)}" for name, value in scores.items()]
    rows += [f"{'mIoU':<{width}}{_percent(metrics['miou'])}"]
    rows += [f"{'pixel accuracy':<{width}}{_percent(metrics['accuracy'])}"]
    parts = {name: report["metrics"][name] for name in ("things", "stuff") if name in report["metrics"]}
    if len(parts) == 2:
        for name, part in parts.items():
            rows.append(f"{name:<{width}}mIoU {_percent(part['miou'])}  accuracy {_percent(part['accuracy'])}")
    if len(parts) == 2 and report["picie_as_released"]:
        for name, part in report["picie_as_released"].items():
            figures = f"mIoU {_percent(part['miou'])}  accuracy {_percent(part['accuracy'])}"
            rows.append(f"{name:<{width}}{figures}  (picie-as-released, inflated)")
    return rows + _published(report)


def _published(report: Mapping[str, Any]) -> list[str]:
    """What papers print for the data set, unless these masks were scored on a mere sample of it."""
    rows = report.get("published")
    if not rows or report["source"]["is_sample"]:
        return []
    lines = ["", "published, each by its own protocol ([R]: not verified):"]
    for row in rows:
        marks = {figure: " [R]" if figure in row["unverified"] else "    " for figure in ("accuracy", "miou")}
        figures = "  ".join(
            f"{name} {_percent(row[key])}{marks[key]}" for name, key in (("mIoU", "miou"), ("accuracy", "accuracy"))
        )
        lines.append(f"{row['method']:<26}{figures}  {row['start']}")
    return lines


def _percent(value: float | None) -> str:
    return "     -" if value is None else f"{100 * value:6.2f}"
