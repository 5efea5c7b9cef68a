"""`fs4 demo`: the whole job on images drawn here."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from fs4cli.cli.help_page import COMMON
from fs4cli.cli.options import setting_option
from fs4cli.cli.session import Session


def demo(
    session: Session,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where images and project go.", rich_help_panel=COMMON)
    ] = Path("fs4-demo"),
    budget: Annotated[str | None, setting_option("budget", "--budget", metavar="TIME")] = None,
) -> None:
    """Draw a folder of scenes and do the whole job on it.

    No data and no network are needed; it takes under five minutes on two cores.

    Examples:
      fs4 demo
      fs4 demo ./try --seed 1
    """
    settings = session.settings(None, {"budget": (budget, "--budget")})
    with session.watching() as progress:
        from fs4cli.demo import run_demo

        result = run_demo(folder, progress=progress, settings=settings)
    session.report.show(
        result, paths=(result.picture,), next_command=f"fs4 status -C {shlex.quote(str(result.project))}"
    )
