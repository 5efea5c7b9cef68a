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
from fs4cli.cli.session import Options, Session
from fs4cli.errors import InputError, ProjectError
from fs4cli.files import explain_os_errors
from fs4cli.project.find import is_project
from fs4cli.project.project import Project
from fs4cli.settings_file import load_settings, write_starter
from fs4cli.settings_file.keys import read_setting


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
      fs4 init myproject --images ./photos --set budget=30m --seed 1
    """
    shared = session.shared
    options = {
        "images": (images, "--images"),
        "classes": (classes, "--classes"),
        "seed": (shared.seed, "--seed"),
        "device": (shared.device, "--device"),
    }
    named = f" -C {shlex.quote(str(folder))}"
    if is_project(folder):
        if shared.set or any(value is not None for value, _ in options.values()):
            session.report.warn(f"`{folder / 'fs4.yaml'}` is left as it is: change the settings there")
        session.report.say(f"`{folder}` is a project already")
        session.report.show(
            {"project": folder.resolve(), "created": False}, paths=(folder,), next_command=f"fs4 status{named}"
        )
        return
    project = create_project(folder, options, overrides=shared.set)
    has_images = load_settings(project.settings_path, environment={}).settings.images
    more = named if has_images else f" --images DIR{named}"
    session.report.say(f"made `{folder}`; its settings are in `{folder / 'fs4.yaml'}`")
    session.report.show({"project": project.root, "created": True}, paths=(folder,), next_command=f"fs4 train{more}")


def create_project(folder: Path, options: Options, *, overrides: Sequence[str] = ()) -> Project:
    """Make a project with the given settings in its `fs4.yaml`.

    Args:
        folder: Must not exist, or be empty.
        options: By dotted key, the value of an option and the option's name; None is not given. Paths start at the
            current folder.
        overrides: Settings as `key=value`.

    Raises:
        ProjectError: The folder holds something else.
        InputError: An image folder is not there.
        ConfigError: A setting that there is not, or a bad value.
        UsageError: An override is not `key=value`.
    """
    # checked before anything is written; FS4__ variables are the shell's, not the project's
    options = {key: (value, name) for key, (value, name) in options.items() if value is not None}
    loaded = load_settings(environment={}, overrides=overrides, options=options)
    given = {key: read_setting(loaded.settings, key) for key, origin in loaded.origins.items() if origin != "default"}
    check_sources(given.get("images", ()))
    with explain_os_errors(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            what = "is not empty" if folder.is_dir() else "is a file"
            raise ProjectError(
                f"`{folder}` {what}, and is not a project",
                hints=("choose a new folder, for example `fs4 init myproject`",),
            )
        folder.mkdir(parents=True, exist_ok=True)
    write_starter(folder / "fs4.yaml", given)
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
