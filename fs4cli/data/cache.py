"""The decoded copies that training reads: uint8 pixels in a few large files, mapped into memory.

In goes the folder that `fs4cli.data.shards` has filled; out come views of the pixels, without a copy. Nothing is held
but a table of 36 bytes an image, which is mapped as well.
"""

import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, SupportsIndex, overload

import numpy as np
from jaxtyping import Int, UInt8

from fs4cli.errors import ProjectError
from fs4cli.files import hash_file, read_json

FORMAT = 1
"""Grows when an older fs4 could not read the folder any more."""

TABLE = np.dtype(
    [("image_id", "S16"), ("offset", "<i8"), ("shard", "<i4"), ("height", "<i4"), ("width", "<i4")], align=False
)
"""Where each image lies: its shard, its first byte there, and its size."""


class ImageCache(Sequence[np.ndarray]):
    """The images of one folder of shards, in the order of the index.

    `cache[i]` is a read-only view `UInt8 (H, W, 3)` of the mapped file; it costs no memory of its own. A cache may be
    sent to another process: it opens the same folder again.

    Args:
        folder: Where the shards lie.
        header: `cache.json`.
        table: One `TABLE` row an image.
    """

    def __init__(self, folder: Path, header: dict[str, Any], table: np.ndarray):
        self.folder = folder
        self.short_side = int(header["short_side"])
        self._table = table
        self._shards: dict[int, np.ndarray] = {}

    @classmethod
    def open(cls, folder: Path) -> "ImageCache":
        """Open the finished cache in `folder`.

        Raises:
            ProjectError: There is none, it is of a newer format, or a file of it is missing, cut or changed.
        """
        folder = Path(folder)
        header = read_header(folder)
        if header is None:
            raise ProjectError(f"there is no image cache in `{folder}`", hints=_AGAIN)
        try:
            table_path = folder / _own_name(header["table"])
            if hash_file(table_path) != header["table_sha256"]:
                raise ProjectError(f"`{table_path}` is damaged", hints=_AGAIN)
            for name, size in header["shards"].items():
                _own_name(name)
                if (folder / name).stat().st_size != size:
                    raise ProjectError(f"`{folder / name}` is damaged: it has not {size} bytes", hints=_AGAIN)
            table = np.load(table_path, mmap_mode="r", allow_pickle=False)
            if table.dtype != TABLE or table.ndim != 1 or type(header["short_side"]) is not int:
                raise ValueError("it is no table of images")
        except FileNotFoundError as error:
            raise ProjectError(f"`{error.filename}` of the image cache is missing", hints=_AGAIN) from None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ProjectError(f"the image cache in `{folder}` is damaged", hints=_AGAIN) from None
        return cls(folder, header, table)

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, place: SupportsIndex) -> UInt8[np.ndarray, "H W 3"]: ...

    @overload
    def __getitem__(self, place: slice) -> list[UInt8[np.ndarray, "H W 3"]]: ...

    def __getitem__(self, place: SupportsIndex | slice):
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        row = self._table[operator.index(place)]  # raises the IndexError that ends a loop
        height, width, offset = int(row["height"]), int(row["width"]), int(row["offset"])
        shard = self._shard(int(row["shard"]))
        return shard[offset : offset + height * width * 3].reshape(height, width, 3)

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        return (self[place] for place in range(len(self)))

    def __reduce__(self):
        return ImageCache.open, (self.folder,)

    @property
    def sizes(self) -> Int[np.ndarray, "n 2"]:
        """(height, width) of every cached image."""
        return np.stack([self._table["height"], self._table["width"]], axis=1).astype(np.int64)

    @property
    def image_ids(self) -> list[str]:
        """The id of every image, in order."""
        return [bytes(name).decode("ascii") for name in self._table["image_id"]]

    @property
    def bytes(self) -> int:
        """Of all pixels together."""
        return int((self._table["height"].astype(np.int64) * self._table["width"]).sum() * 3)

    def _shard(self, number: int) -> np.ndarray:
        if number not in self._shards:
            mapped = np.memmap(self.folder / shard_name(number), dtype=np.uint8, mode="r")
            self._shards[number] = np.asarray(mapped)  # a plain array over the same mapping: its views are cheaper
        return self._shards[number]


def read_header(folder: Path) -> dict[str, Any] | None:
    """`cache.json` of a finished cache; None if there is none yet.

    Raises:
        ProjectError: It is damaged or of another format.
    """
    try:
        header = read_json(folder / "cache.json")
    except FileNotFoundError:
        return None
    found = header.get("format") if isinstance(header, dict) else None
    if type(found) is not int:
        raise ProjectError(f"the image cache in `{folder}` is damaged", hints=_AGAIN)
    if found != FORMAT:
        age = "a newer" if found > FORMAT else "an older"
        raise ProjectError(
            f"the image cache in `{folder}` was written by {age} fs4: it is of format {found}, not {FORMAT}",
            hints=("use the fs4 that wrote it, or ingest again",),
        )
    return header


def is_untouched(folder: Path) -> bool:
    """Whether there is a finished cache, and its shards look as they did when they were written."""
    try:
        header = read_header(folder)
        if header is None:
            return False
        ImageCache.open(folder)
        for name in header["shards"]:
            path = folder / name
            if path.stat().st_mtime_ns != read_json(path.with_suffix(".json"))["modified"]:
                return False
    except (ProjectError, FileNotFoundError, KeyError, TypeError):
        return False
    return True


def _own_name(name: Any) -> str:
    """A file's name in the folder, and no path that leads elsewhere."""
    if not isinstance(name, str) or name != Path(name).name or "\0" in name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no file name")
    return name


def shard_name(number: int) -> str:
    """The file name of a shard's pixels."""
    return f"shard-{number:06d}.bin"


_AGAIN = ("ingest the images again: only what is missing is redone",)
