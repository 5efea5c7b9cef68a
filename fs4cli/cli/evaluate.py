"""`fs4 evaluate`: masks and ground truth in, report out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fs4cli.cli.help_page import COMMON, OUTPUT
from fs4cli.cli.options import option, setting_option
from fs4cli.cli.predict import Model
from fs4cli.cli.session import Session
from fs4cli.errors import CheckError


def evaluate(
    session: Session,
    labels: Annotated[
        Path,
        option(
            "--labels",
            help="Folder of index PNGs, named as the images are.",
            panel=COMMON,
            metavar="DIR",
        ),
    ],
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

    Clusters are matched to classes on the images that are scored (Hungarian); spare clusters count as errors.

    Examples:
      fs4 evaluate --images test/ --labels test-labels/
      fs4 evaluate --predictions masks/ --labels test-labels/ -o report.json
      fs4 evaluate --images test/ --labels test-labels/ --min-miou 0.2
    """
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
            out=out,
            skip_bad=skip_bad,
            progress=progress,
        )
    for line in _table(result.report):
        session.report.say(line)
    session.report.show(result.report, paths=[result.report_path] if result.report_path else [])
    if min_miou is not None and (result.miou is None or result.miou < min_miou):
        shown = "none" if result.miou is None else f"{result.miou:.4f}"
        raise CheckError(f"mIoU {shown} is below `--min-miou {min_miou:g}`")


def _table(report: Mapping[str, Any]) -> list[str]:
    metrics = report["metrics"]["all"]
    scores: Mapping[str, float | None] = metrics["class_iou"]
    width = max([len(str(name)) for name in scores] + [len("pixel accuracy")]) + 2
    rows = [f"{name!s:<{width}}{_percent(value)}" for name, value in scores.items()]
    rows += [f"{'mIoU':<{width}}{_percent(metrics['miou'])}"]
    return [*rows, f"{'pixel accuracy':<{width}}{_percent(metrics['accuracy'])}"]


def _percent(value: float | None) -> str:
    return "     -" if value is None else f"{100 * value:6.2f}"
