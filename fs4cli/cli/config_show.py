"""`fs4 config show`: every setting and where it comes from."""

from typing import Annotated

from fs4cli.cli.help_page import COMMON
from fs4cli.cli.options import option
from fs4cli.cli.session import Session
from fs4cli.data.sources import show_path
from fs4cli.project.plan import read_plan
from fs4cli.project.project import Project
from fs4cli.settings_file.keys import read_setting, setting_fields, value_text


def show(
    session: Session,
    origin: Annotated[bool, option("--origin", help="Also where each value comes from.", panel=COMMON)] = False,
) -> None:
    """Show every setting as it is now.

    Without a project: the defaults, the environment and `--set`.

    Examples:
      fs4 config show --origin
      fs4 config show --set train.batch_size=8 --json
    """
    project = session.look_for_project()
    loaded = session.load(project)
    plan = _planned(project)
    rows = []
    for key in setting_fields():
        value = read_setting(loaded.settings, key)
        planned = plan.get(key) if value == "auto" else None
        rows.append({"key": key, "value": value, "origin": loaded.origins[key], "planned": planned})
    session.report.show({row["key"]: {name: row[name] for name in ("value", "origin", "planned")} for row in rows})
    if session.report.as_json:
        return
    for row in rows:
        line = f"{row['key']}: {value_text(row['value'])}"
        if row["planned"] is not None:
            line += f" -> {value_text(row['planned']['value'])}"
        if origin:
            why = f"{row['origin']}" + (
                f"; plan.json: {row['planned']['reason']}" if row["planned"] is not None else ""
            )
            line = f"{line:<44}  # {why}"
        session.report.write(f"{show_path(line)}\n")


def _planned(project: Project | None) -> dict[str, dict]:
    if project is None:
        return {}
    values = read_plan(project).get("values", {})
    return {key: row for key, row in values.items() if isinstance(row, dict) and {"value", "reason"} <= set(row)}
