"""What an unfinished ingest has seen so far: one line a file, written as it is read, gone when the index is whole."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from fs4cli.data.index import ImageEntry, entry_line, read_index
from fs4cli.errors import ProjectError
from fs4cli.files import explain_os_errors


class Journal:
    """Appends records to a file; a context manager. A line that a kill cuts off is dropped when it is read.

    Args:
        path: Of the file, which is gone on with if it is there.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> "Journal":
        with explain_os_errors(self.path):
            self._end_cut_line()
            self._file = self.path.open("ab", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, entry: ImageEntry) -> None:
        """Write one record at once.

        Raises:
            ResourceError: The disk is full.
        """
        assert self._file is not None
        with explain_os_errors(self.path):
            self._file.write(entry_line(entry))

    def _end_cut_line(self) -> None:
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        if data and not data.endswith(b"\n"):
            with self.path.open("rb+") as file:
                file.truncate(data.rfind(b"\n") + 1)


def read_known(index: Path, journal: Path, warn: Callable[[str], None]) -> dict[str, ImageEntry]:
    """All records from before, by the file's absolute path, the journal's over the index's.

    What cannot be read is as good as not there: its files are looked at again.

    Args:
        index: Of the last finished ingest.
        journal: Of one that was stopped.
        warn: Is told what cannot be read.
    """
    known: dict[str, ImageEntry] = {}
    for path in (index, journal):
        try:
            known.update((entry.place, entry) for entry in read_index(path))
        except ProjectError as error:
            warn(f"{error.message}: its images are read again")
            if path == journal:
                path.unlink()
    return known
