"""The published figures: the page and the program say the same, and what was not verified is marked."""

from pathlib import Path

import pytest

from fs4cli.evaluation.published import PUBLISHED, list_published

PAGE = Path(__file__).parents[2] / "docs/protocols.md"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_page_has_every_row_of_the_table_the_program_prints(name):
    lines = PAGE.read_text().splitlines()

    for row in PUBLISHED[name]:
        start = f"| {row.method} | {row.show('accuracy')} | {row.show('miou')} | {row.start} |"
        assert any(line.startswith(start) for line in lines), start


def test_the_page_has_no_row_that_the_program_does_not_print():
    page = PAGE.read_text().split("## Published figures")[1]
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| method")]

    assert len(rows) == sum(map(len, PUBLISHED.values()))


def test_28_3_is_not_listed_as_a_miou_over_the_27_classes():
    rows = {row["method"]: row for row in list_published("cocostuff27")}

    assert rows["FS4"]["miou"] is None
    assert rows["FS4"]["unverified"] == ["accuracy"]
    assert rows["PiCIE"]["miou"] == pytest.approx(0.1384)
