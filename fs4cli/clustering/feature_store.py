"""Features on disk, filled row by row and resumable: memory-mapped, so that another K does not recompute them.

In: one row an image. Out: a memory-mapped array. A journal beside it says how many rows are whole.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from fs4cli.files import explain_os_errors, read_json, write_json


class FeatureStore:
    """A float32 array with one row an image, written in order.

    Args:
        path: The `.npy` file.
        shape: (images, cells, width).
        key: What the rows are made from; rows made from anything else are not kept.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], *, key: str):
        self.path = path
        self.shape = shape
        self.key = key
        self._journal = path.with_suffix(".json")
        self.rows = self._count_rows()
        with explain_os_errors(path):
            if self.rows == 0:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._journal.unlink(missing_ok=True)  # first: it must not vouch for rows that are no more
                self._array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            else:
                self._array = np.lib.format.open_memmap(path, mode="r+")

    @property
    def array(self) -> Float32[np.ndarray, "n cells d"]:
        """All rows; those at and beyond `rows` are not filled yet."""
        return self._array

    def write(self, row: int, values: Float32[np.ndarray, "cells d"]) -> None:
        """Fill the next row.

        Raises:
            ValueError: It is not the next one.
        """
        if row != self.rows:
            raise ValueError(f"row {self.rows} comes next, not {row}")
        self._array[row] = values
        self.rows = row + 1

    def save(self) -> None:
        """Bring the filled rows to the disk, then say so in the journal: never the other way round."""
        with explain_os_errors(self.path):
            self._array.flush()
        write_json(self._journal, {"key": self.key, "shape": list(self.shape), "rows": self.rows})

    def _count_rows(self) -> int:
        try:
            journal = read_json(self._journal)
            # only for reading: for writing, a file that is too short would be filled up with zeros
            on_disk = np.lib.format.open_memmap(self.path, mode="r")
        except (FileNotFoundError, ValueError):
            return 0
        if not isinstance(journal, dict):
            return 0
        fits = journal == {"key": self.key, "shape": list(self.shape), "rows": journal.get("rows")}
        return int(journal["rows"]) if fits and on_disk.shape == self.shape else 0
