"""`fs4 predict`: images in, masks out."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from fs4cli.cli.help_page import ADVANCED, COMMON, MODEL, OUTPUT
from fs4cli.cli.options import option, setting_option
from fs4cli.cli.session import Session
from fs4cli.config import Settings
from fs4cli.errors import InputError, PartialError, UsageError
from fs4cli.project.project import Project

_SHOWN = 5  # failures that the message lists; the warnings list all
Model = Annotated[
    Path | None,
    option(
        "--model",
        help="A model file; then no project is needed.",
        default="the project's",
        panel=MODEL,
        metavar="FILE",
    ),
]


def predict(
    session: Session,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Images, folders, globs or list files.",
            show_default=False,
            rich_help_panel=COMMON,
        ),
    ],
    out: Annotated[
        str | None,
        option(
            "--out",
            "-o",
            help="A mask file for one image, else a folder that mirrors the sources; `-` for stdout.",
            default="predict/masks of the project",
            panel=COMMON,
            metavar="OUT",
        ),
    ] = None,
    overlay: Annotated[bool, option("--overlay", help="Also the mask drawn over the image.", panel=OUTPUT)] = False,
    confidence: Annotated[
        bool, option("--confidence", help="Also how sure each pixel is, as a grey PNG.", panel=OUTPUT)
    ] = False,
    probabilities: Annotated[
        bool, option("--probabilities", help="Also every class's share, as npz.", panel=OUTPUT)
    ] = False,
    model: Model = None,
    size: Annotated[str | None, setting_option("predict.size", "--size", panel=MODEL, metavar="PIXELS")] = None,
    fresh: Annotated[bool, option("--fresh", help="Make masks again that are there.", panel=ADVANCED)] = False,
) -> None:
    """Write a mask for every image.

    One bad image does not stop the rest (exit code 8 at the end); run again, it goes on where it stopped.

    Examples:
      fs4 predict img.jpg -o mask.png
      fs4 predict photos/ -o masks/ --overlay
      fs4 predict photos/ -o masks/ --model model.safetensors
    """
    project = session.look_for_project(is_needed=out is None) if model is not None else session.find_project()
    settings = session.settings(project, {"predict.size": (size, "--size")})
    wanted = {"overlay": overlay, "confidence": confidence, "probabilities": probabilities}
    if out == "-":
        _to_stdout(session, sources, project, model, settings, wanted)
        return
    if out is None and project is None:
        raise UsageError("`--model` without a project needs a place for the masks", hints=("add `-o DIR`",))
    place = Path(out) if out is not None else None
    # masks that go elsewhere leave the project alone, so that its training may go on meanwhile
    watch = session.writing(project) if place is None and project is not None else session.watching()
    with watch as progress:
        from fs4cli.stages.predict import run_predict

        result = run_predict(
            sources,
            out=place,
            project=project,
            model=model,
            settings=settings,
            fresh=fresh,
            progress=progress,
            **wanted,
        )
    made = place if place is not None else project.stage("predict") / "masks" if project is not None else None
    session.report.show(result, paths=[made] if made is not None and (result.written or result.skipped) else [])
    _judge(result)


def _judge(result: Any) -> None:
    """Nothing usable is an input error; some failures are exit code 8."""
    made = len(result.written) + len(result.skipped)
    reasons = tuple(f"`{image}`: {reason}" for image, reason in result.failed[:_SHOWN])
    if len(result.failed) > _SHOWN:
        reasons += (f"and {len(result.failed) - _SHOWN:,} more",)
    if result.failed and not made:
        raise InputError("no image could be read", details=reasons)
    if result.failed:
        count = len(result.failed)
        raise PartialError(
            f"{count:,} of {made + count:,} images {'has' if count == 1 else 'have'} no mask", details=reasons
        )


def _to_stdout(
    session: Session,
    sources: list[str],
    project: Project | None,
    model: Path | None,
    settings: Settings,
    wanted: dict[str, bool],
) -> None:
    if len(sources) != 1 or Path(sources[0]).is_dir() or any(wanted.values()):
        raise UsageError("`-o -` writes one mask of one image", hints=("name one image, and no other outputs",))
    if session.report.as_json:
        raise UsageError("`-o -` and `--json` both want stdout", hints=("write the mask to a file: `-o mask.png`",))
    with tempfile.TemporaryDirectory(prefix="fs4-") as folder, session.watching() as progress:
        from fs4cli.stages.predict import run_predict

        place = Path(folder) / "mask.png"
        result = run_predict(
            sources, out=place, project=project, model=model, settings=settings, progress=progress, **wanted
        )
        _judge(result)
        session.report.write_bytes(place.read_bytes())
