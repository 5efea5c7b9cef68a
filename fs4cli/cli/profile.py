"""`--profile`: where the time of a stage's updates went."""

from collections.abc import Sequence
from typing import Annotated

from fs4cli.cli.help_page import ADVANCED
from fs4cli.cli.options import option
from fs4cli.cli.session import Session
from fs4cli.project.project import Project
from fs4cli.project.record import read_record

Profile = Annotated[bool, option("--profile", help="Say at the end where the time went.", panel=ADVANCED)]


def show_breakdown(session: Session, project: Project, stages: Sequence[str]) -> None:
    """One line a stage on stderr: seconds of its updates, and the share of each part."""
    for stage in stages:
        record = read_record(project, stage)
        parts = record.summary.get("breakdown", {}) if record is not None else {}
        whole = sum(parts.values())
        if whole > 0:
            shares = ", ".join(f"{part} {seconds / whole:.1%}" for part, seconds in parts.items())
            session.report.say(f"{stage}: {whole:.1f} s of updates: {shares}")
