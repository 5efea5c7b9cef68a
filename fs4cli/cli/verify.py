"""`fs4 verify`: is every file of the project still what fs4 wrote?"""

from dataclasses import replace

from fs4cli.cli.report import show_lines
from fs4cli.cli.session import Session
from fs4cli.errors import CheckError, ConfigError
from fs4cli.project.inspection import Damage
from fs4cli.project.project import Project
from fs4cli.project.verify import VerifiedProject, verify_project


def verify(session: Session) -> None:
    """Check every file of the project against what was recorded of it.

    Reads each result, checkpoint and cached image to its last byte, and says of each damage what mends it. Changes
    nothing. The exit code is 9 if anything is damaged.

    Examples:
      fs4 verify
      fs4 verify --json
    """
    project = session.find_project()
    found = _look_through(session, project)
    session.report.show(found)
    if not session.report.as_json:
        session.report.write(show_lines("\n".join(_lines(found))) + "\n")
    for stage in found.passed_over:
        session.report.warn(f"{stage} is being written just now, and was not looked at")
    if found.damages:
        count = len(found.damages)
        raise CheckError(f"{count} damaged {'file' if count == 1 else 'files'} in `{project.root}`")


def _look_through(session: Session, project: Project) -> VerifiedProject:
    found = verify_project(project)
    try:
        session.settings(project)
    except ConfigError as error:
        remedy = error.hints[0] if error.hints else "mend that line"
        settings = Damage("settings", project.settings_path, f"cannot be used: {error.message}", remedy)
        found = replace(found, damages=(settings, *found.damages))
    return found


def _lines(found: VerifiedProject) -> list[str]:
    lines = []
    for damage in found.damages:
        lines += [f"{damage.stage:<10}`{damage.path}` {damage.problem}", f"{'':<10}remedy: {damage.remedy}"]
    stages = ", ".join(found.stages) or "no stage has run"
    word = "damaged" if found.damages else "whole"
    return [*lines, f"{word}: {found.files:,} files, {found.bytes / 1e6:.1f} MB looked at ({stages})"]
