"""What was predicted from what: a line an image, by which the same command goes on where it stopped.

`predictions.jsonl` is written as masks are made; `predictions.csv` says the same to people and spreadsheets.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from fs4cli.data.sources import FoundFile, show_path
from fs4cli.errors import InputError, ProjectError
from fs4cli.files import append_json_line, build_row, explain_os_errors, read_json_lines, write_text

_COLUMNS = ("input", "output", "state", "reason", "height", "width")
_TABLE_START = (",".join(_COLUMNS) + "\n").encode()
_LINE_START = b'{"input":'
_ELSEWHERE = ("move it away", "or write the masks to another place")


@dataclass(frozen=True, slots=True)
class Prediction:
    """What came of one image.

    Args:
        input: Its absolute path; bytes that are no UTF-8 are surrogate escapes.
        output: Name of its mask, relative to the folder of the masks, without an ending, with `/`.
        state: Whether there is a mask.
        reason: Why there is none; empty if there is one.
        extras: What else was made: `overlay`, `confidence`, `probabilities`.
        bytes: Size of the image file.
        modified: When it was last written, in nanoseconds.
        sha256: Of its bytes; empty if they were not read to the end.
        key: Fingerprint of the model and of the settings that shape a mask.
        height, width: Of the mask; 0 if there is none.
    """

    input: str
    output: str
    state: Literal["written", "failed"]
    reason: str
    extras: tuple[str, ...]
    bytes: int
    modified: int
    sha256: str
    key: str
    height: int = 0
    width: int = 0

    def is_made_from(self, file: FoundFile) -> bool:
        """Whether it was made from this very file, unchanged since by size and time."""
        return (self.bytes, self.modified) == (file.bytes, file.modified)


class PredictionLog:
    """The predictions of one folder.

    Args:
        folder: Where `predictions.jsonl` and `predictions.csv` lie.

    Raises:
        ProjectError: The log is damaged.
        InputError: There is a file of one of these names that fs4 did not write.
    """

    def __init__(self, folder: Path):
        self.path = folder / "predictions.jsonl"
        self.table = folder / "predictions.csv"
        self.latest: dict[str, Prediction] = {row.input: row for row in read_predictions(self.path)}
        self._drop_cut_line()
        self._refuse_foreign_table()

    def add(self, prediction: Prediction) -> None:
        """Write one line at once; it takes the place of an earlier one about the same image."""
        append_json_line(self.path, asdict(prediction))
        self.latest[prediction.input] = prediction

    def write_table(self) -> None:
        """Write the CSV: one line an image, in the order of the names, whatever order they were made in."""
        write_text(self.table, _format_table(sorted(self.latest.values(), key=lambda row: row.output)))

    def _drop_cut_line(self) -> None:
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        if data and not data.endswith(b"\n"):
            cut = data[data.rfind(b"\n") + 1 :]
            if not cut.startswith(_LINE_START[: len(cut)]):  # what a kill leaves is the beginning of a line of ours
                raise InputError(f"`{self.path}` is in the way: fs4 did not write it", hints=_ELSEWHERE)
            with explain_os_errors(self.path), self.path.open("rb+") as file:
                file.truncate(data.rfind(b"\n") + 1)

    def _refuse_foreign_table(self) -> None:
        if not self.table.exists():
            return
        with explain_os_errors(self.table), self.table.open("rb") as file:
            start = file.read(len(_TABLE_START))
        if start and start != _TABLE_START:
            raise InputError(f"`{self.table}` is in the way: fs4 did not write it", hints=_ELSEWHERE)


def read_predictions(path: Path) -> list[Prediction]:
    """All lines of a log, in order; none if there is no file.

    Raises:
        ProjectError: It is damaged, or names a mask outside its folder.
    """
    try:
        rows = [build_row(Prediction, row) for row in read_json_lines(path)]
        for row in rows:
            if row.output and not _is_inside(row.output):
                raise TypeError("it names a place outside its folder")
    except TypeError as error:
        raise ProjectError(
            f"`{path}` is no list of predictions: {error}", hints=("move it away and run again",)
        ) from None
    return rows


def _is_inside(name: str) -> bool:
    place = PurePosixPath(name)
    return not place.is_absolute() and ".." not in place.parts and "\0" not in name


def _format_table(rows: Iterable[Prediction]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        mask = f"{row.output}.png" if row.state == "written" else ""
        writer.writerow((show_path(row.input), mask, row.state, show_path(row.reason), row.height, row.width))
    return text.getvalue()
