"""Which project a command means: named, in the environment, around here, or the only one below here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fs4cli.errors import ProjectError
from fs4cli.project.project import Project

VARIABLE = "FS4_PROJECT"


@dataclass(frozen=True)
class FoundProject:
    """A project and how it was found.

    Args:
        project: Its folder is absolute and free of links.
        is_guess: It is neither named nor around the current folder, only the one project in a sub-folder: say so.
    """

    project: Project
    is_guess: bool = False


def is_project(folder: Path) -> bool:
    """Is there an `fs4.yaml` in the folder?"""
    return (folder / "fs4.yaml").is_file()


def find_project(named: Path | None, *, environment: Mapping[str, str], folder: Path) -> FoundProject:
    """The project that a command means.

    Args:
        named: As given with `--project`; goes before everything else.
        environment: Looked at for `FS4_PROJECT`.
        folder: Where the command was typed.

    Raises:
        ProjectError: No project, or several in sub-folders; lists the ways to name one.
    """
    found = look_for_project(named, environment=environment, folder=folder)
    if found is None:
        raise ProjectError(f"no project here: no `fs4.yaml` in `{folder}` or above", hints=_ways())
    return found


def look_for_project(
    named: Path | None, *, environment: Mapping[str, str], folder: Path, is_needed: bool = True
) -> FoundProject | None:
    """As `find_project`, but None where there is no project at all.

    Args:
        named: As given with `--project`; goes before everything else.
        environment: Looked at for `FS4_PROJECT`.
        folder: Where the command was typed.
        is_needed: Which one it is decides what happens; else several in sub-folders are as none.

    Raises:
        ProjectError: The named folder is no project, or several sub-folders are one and it is needed.
    """
    if named is not None:
        return FoundProject(_check(folder / named, "--project"))
    if environment.get(VARIABLE):
        return FoundProject(_check(folder / environment[VARIABLE], VARIABLE))
    folder = folder.resolve()
    for parent in (folder, *folder.parents):
        if is_project(parent):
            return FoundProject(Project(parent))
    below = _projects_below(folder)
    if len(below) > 1 and not is_needed:
        return None
    if len(below) > 1:
        raise ProjectError(
            f"{len(below)} projects in sub-folders of `{folder}`",
            details=tuple(f"`{path.name}`" for path in below[:10]) + (("...",) if len(below) > 10 else ()),
            hints=(f"name one: `-C {below[0].name}`", f"or set {VARIABLE}, or change into its folder"),
        )
    return FoundProject(Project(below[0]), is_guess=True) if below else None


def _check(folder: Path, origin: str) -> Project:
    if not folder.is_dir():
        raise ProjectError(
            f"the project `{folder}` is not a folder ({origin})", hints=(f"`fs4 init {folder}` makes one",)
        )
    if not is_project(folder):
        raise ProjectError(
            f"`{folder}` is not a project: it has no `fs4.yaml` ({origin})", hints=(f"`fs4 init {folder}` makes one",)
        )
    return Project(folder.resolve())


def _projects_below(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.is_dir() and is_project(child))
    except OSError:
        return []


def _ways() -> tuple[str, ...]:
    return (
        "`fs4 init myproject` makes a project",
        "`-C DIR` or `--project DIR` names one",
        f"`{VARIABLE}=DIR` in the environment names one",
        "or change into a project's folder, or into the folder above an only project",
    )
