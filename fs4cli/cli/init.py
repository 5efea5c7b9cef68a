"""`fs4 init`: a project folder with a commented `fs4.yaml`."""

import glob
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fs4cli.cli.help_page import COMMON
from fs4cli.cli.options import setting_option
from fs4cli.cli.session import Session
from fs4cli.errors import InputError, ProjectError, UsageError
from fs4cli.files import explain_os_errors
from fs4cli.project.find import is_project
from fs4cli.project.project import Project
from fs4cli.settings_file import load_settings, write_starter


def init(
    session: Session,
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The new project's folder.", show_default=False, rich_help_panel=COMMON),
    ],
    images: Annotated[list[str] | None, setting_option("images", "--images", metavar="PATH")] = None,
    classes: Annotated[str | None, setting_option("classes", "--classes", metavar="K|auto")] = None,
) -> None:
    """Make a project folder with its settings file.

    Examples:
      fs4 init myproject
      fs4 init myproject --images ./photos --classes 11
    """
    shared = session.shared
    if shared.set or shared.seed is not None or shared.device is not None:
        raise UsageError(
            "`fs4 init` writes `images` and `classes` only",
            hints=(
                "leave out `--set`, `--seed` and `--device`: write them into `fs4.yaml`, or give them to `fs4 train`",
            ),
        )
    named = f" -C {shlex.quote(str(folder))}"
    if is_project(folder):
        if images or classes is not None:
            session.report.warn(f"`{folder / 'fs4.yaml'}` is left as it is: change `images` and `classes` there")
        session.report.say(f"`{folder}` is a project already")
        session.report.show(
            {"project": folder.resolve(), "created": False}, paths=(folder,), next_command=f"fs4 status{named}"
        )
        return
    project = create_project(folder, images=images or (), classes=classes)
    more = named if images else f" --images DIR{named}"
    session.report.say(f"made `{folder}`; its settings are in `{folder / 'fs4.yaml'}`")
    session.report.show({"project": project.root, "created": True}, paths=(folder,), next_command=f"fs4 train{more}")


def create_project(folder: Path, *, images: Sequence[str] = (), classes: str | None = None) -> Project:
    """Make a project.

    Args:
        folder: Must not exist, or be empty.
        images: Folders, files, globs or list files, from the current folder; written into `fs4.yaml`.
        classes: Written into `fs4.yaml`.

    Raises:
        ProjectError: The folder holds something else.
        InputError: An image folder is not there.
        ConfigError: `classes` is out of bounds.
    """
    # checked before anything is written
    load_settings(environment={}, options={"classes": (classes, "--classes")} if classes is not None else {})
    check_sources(images)
    with explain_os_errors(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            what = "is not empty" if folder.is_dir() else "is a file"
            raise ProjectError(
                f"`{folder}` {what}, and is not a project",
                hints=("choose a new folder, for example `fs4 init myproject`",),
            )
        folder.mkdir(parents=True, exist_ok=True)
    write_starter(folder / "fs4.yaml", images=images, classes=classes)
    return Project(folder.resolve())


def check_sources(images: Sequence[str]) -> None:
    """Stop at a folder or file of images that is not there.

    Raises:
        InputError: One is neither there nor a glob that finds anything.
    """
    for image in images:
        path = os.path.expanduser(image)
        if not os.path.lexists(path) and not (glob.has_magic(path) and next(glob.iglob(path, recursive=True), None)):
            what = "nothing matches" if glob.has_magic(path) else "no such file or folder:"
            raise InputError(f"{what} `{image}`", hints=("give the folder that holds your images",))
