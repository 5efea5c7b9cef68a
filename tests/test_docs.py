import re
import subprocess
import sys
from pathlib import Path

import pytest

from fs4cli import errors
from fs4cli.cli.app import COMMANDS
from fs4cli.cli.docs import commands_page, settings_page, write_pages
from fs4cli.settings_file import load_settings
from fs4cli.settings_file.keys import setting_fields

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize(("name", "page"), [("commands.md", commands_page), ("settings.md", settings_page)])
def test_the_generated_pages_are_current(name, page):
    assert (DOCS / name).read_text() == page(), "run `python -m fs4cli.cli.docs`"


def test_every_command_has_a_heading():
    headings = re.findall(r"^## (fs4 .*)$", commands_page(), flags=re.MULTILINE)
    words = {"fs4 config show" if typed == "show" else f"fs4 {typed}" for _, typed, _, _ in COMMANDS}

    assert set(headings) == words - {"fs4 eval"}


def test_every_setting_has_a_row_with_its_default_and_help():
    page = settings_page()
    for key, field in setting_fields().items():
        [row] = re.findall(rf"^\| `{re.escape(key)}`\*? \|.*$", page, flags=re.MULTILINE)
        assert field.description, key
        assert field.description.replace("|", "\\|") in row


def test_settings_that_change_no_result_are_marked():
    page = settings_page()

    assert "| `device`* | `auto` |" in page
    assert "| `train.steps` | `auto` |" in page


def test_the_table_has_every_exit_code_once():
    text = (DOCS / "exit-codes.md").read_text()
    rows = dict(re.findall(r"^\| (\d+) \| (?:`(\w+)`)? *\|", text, flags=re.MULTILINE))
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind is not errors.Interrupted]
    codes = {str(kind.exit_code): kind.kind for kind in kinds if kind is not errors.Fs4Error}

    assert {code: rows[code] for code in codes} == codes
    assert set(rows) == {*codes, "0", "1", "130", "143", "141"}
    assert rows["130"] == rows["143"] == "interrupted" and rows["1"] == "bug"


def test_rows_of_the_tables_have_as_many_cells_as_their_heads():
    for path in (DOCS / "commands.md", DOCS / "settings.md", DOCS / "exit-codes.md"):
        cells = 0
        for line in path.read_text().splitlines():
            if not line.startswith("|"):
                cells = 0
                continue
            found = len(re.findall(r"(?<!\\)\|", line))
            cells = cells or found
            assert found == cells, f"{path.name}: {line}"


def test_the_message_in_the_page_is_the_one_that_is_shown(tmp_path):
    path = tmp_path / "fs4.yaml"
    path.write_text("\n" * 12 + "train:\n  lerning_rate: 1\n")
    with pytest.raises(errors.ConfigError) as caught:
        load_settings(path, environment={})

    assert f"error: {caught.value.message}\n" in (DOCS / "exit-codes.md").read_text()


def test_the_pages_are_written_where_one_says(tmp_path):
    assert [path.name for path in write_pages(tmp_path)] == ["commands.md", "settings.md"]
    done = subprocess.run([sys.executable, "-m", "fs4cli.cli.docs", tmp_path / "x"], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x" / "settings.md").read_text() == (tmp_path / "settings.md").read_text()
