"""Files that are whole or not there."""

import pytest

from fs4cli.errors import ResourceError
from fs4cli.files import write_text


def test_a_folder_in_the_place_of_a_file_is_named_and_left_alone(tmp_path):
    (tmp_path / "scores.csv").mkdir()
    with pytest.raises(ResourceError, match="scores.csv") as caught:
        write_text(tmp_path / "scores.csv", "x")
    assert "in its place" in caught.value.hints[0]
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def test_a_file_in_the_place_of_a_folder_is_named_and_left_alone(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ResourceError, match="out") as caught:
        write_text(tmp_path / "out" / "report.json", "x")
    assert "in its place" in caught.value.hints[0]
    assert (tmp_path / "out").read_text() == "mine"
