"""Filling the cache: decoded pixels go into shards of bounded size, found again by the hash of the file they came from.

The key is that hash, and how the pixels were made where a file can be read in two ways (`ImageEntry.pixels_key`).
A shard counts from the moment its list (`shard-000000.json`) is in place, which is written after its pixels have
reached the disk; without a list it is the rest of a killed run and is thrown away. `publish` puts a new table of the
images in the place of the old one in a single rename, and only then removes what nothing points to any more.
"""

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from jaxtyping import UInt8

from fs4cli.data.cache import FORMAT, TABLE, ImageCache, read_header, shard_name
from fs4cli.errors import ProjectError
from fs4cli.files import explain_os_errors, hash_file, read_json, write_bytes, write_json

SHARD_BYTES = 256 * 1024 * 1024
SHARD_SECONDS = 30.0
"""A shard is closed when it is so large or so old: a kill loses no more than that."""


class Place(NamedTuple):
    """Where one image's pixels lie."""

    shard: int
    offset: int
    height: int
    width: int

    @property
    def bytes(self) -> int:
        """Of its pixels."""
        return self.height * self.width * 3


class ShardWriter:
    """The shards of one cache folder, whole ones from before included.

    Args:
        folder: Made if it is not there. Shards that do not fit the settings, and unfinished ones, are removed.
        short_side: Of the pictures in it.
        rules: Version of the rules by which they were decoded.
        shard_bytes: Close a shard when it has grown so large.
        shard_seconds: Or is so old.
    """

    def __init__(
        self,
        folder: Path,
        *,
        short_side: int,
        rules: int,
        shard_bytes: int = SHARD_BYTES,
        shard_seconds: float = SHARD_SECONDS,
    ):
        self.folder = folder
        self.short_side = short_side
        self.rules = rules
        self.places: dict[str, Place] = {}
        """By key, of all closed shards."""
        self._shard_bytes = shard_bytes
        self._shard_seconds = shard_seconds
        self._file: BinaryIO | None = None
        self._number = -1
        self._sizes: dict[int, int] = {}
        self._mapped: dict[int, np.ndarray] = {}
        self._start_shard()
        with explain_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._adopt_shards()

    def add(self, key: str, pixels: UInt8[np.ndarray, "H W 3"]) -> None:
        """Append one image; one that is there already is not written twice.

        Raises:
            ResourceError: The disk is full; what was closed before is whole.
        """
        if key in self.places or key in self._pending:
            return
        data = np.ascontiguousarray(pixels).reshape(-1).data
        with explain_os_errors(self.folder):
            if self._file is None:
                self._number = max([-1, *self._sizes]) + 1
                self._file = (self.folder / shard_name(self._number)).open("xb", buffering=1 << 20)
                self._opened = time.monotonic()
            self._file.write(data)
        self._hash.update(data)
        self._pending[key] = Place(self._number, self._written, pixels.shape[0], pixels.shape[1])
        self._written += len(data)
        if self._written >= self._shard_bytes or time.monotonic() - self._opened >= self._shard_seconds:
            self.close_shard()

    def close_shard(self) -> None:
        """Bring the open shard to the disk and list it; from here on it survives a kill."""
        if self._file is None:
            return
        path = self.folder / shard_name(self._number)
        with explain_os_errors(path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            write_json(
                path.with_suffix(".json"),
                {
                    "format": FORMAT,
                    "short_side": self.short_side,
                    "rules": self.rules,
                    "bytes": self._written,
                    "sha256": self._hash.hexdigest(),
                    "modified": path.stat().st_mtime_ns,
                    "images": [[key, place.offset, place.height, place.width] for key, place in self._pending.items()],
                },
            )
        self.places.update(self._pending)
        self._sizes[self._number] = self._written
        self._start_shard()

    def discard_open(self) -> None:
        """Drop the open shard, after an error in writing it."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError:  # the flush that failed before fails again
                pass
            (self.folder / shard_name(self._number)).unlink(missing_ok=True)
            self._start_shard()

    def pixels(self, key: str) -> UInt8[np.ndarray, "H W 3"]:
        """The pixels of an image in a closed shard."""
        place = self.places[key]
        if place.shard not in self._mapped:
            path = self.folder / shard_name(place.shard)
            self._mapped[place.shard] = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
        stretch = self._mapped[place.shard][place.offset : place.offset + place.bytes]
        return stretch.reshape(place.height, place.width, 3)

    def publish(self, images: Sequence[tuple[str, str]]) -> ImageCache:
        """Make these images, in this order, the content of the cache, and free what no longer belongs to it.

        Args:
            images: The id and the key of every image; all were added.
        """
        self.close_shard()
        self._pack(key for _, key in images)
        table = np.empty(len(images), TABLE)
        for row, (image_id, key) in enumerate(images):
            place = self.places[key]
            table[row] = (image_id.encode("ascii"), place.offset, place.shard, place.height, place.width)
        buffer = io.BytesIO()
        np.save(buffer, table, allow_pickle=False)
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        name = f"table-{digest[:12]}.npy"
        used = sorted({int(number) for number in table["shard"]})
        header = {
            "format": FORMAT,
            "short_side": self.short_side,
            "rules": self.rules,
            "count": len(images),
            "table": name,
            "table_sha256": digest,
            "shards": {shard_name(number): self._sizes[number] for number in used},
        }
        is_whole = (self.folder / name).is_file() and hash_file(self.folder / name) == digest
        if not is_whole:
            write_bytes(self.folder / name, buffer.getvalue())
        if not is_whole or self._read_header() != header:
            write_json(self.folder / "cache.json", header)  # the one moment at which the new cache takes over
        self._remove(lambda path: path.name not in {name, "cache.json", *_shard_files(used)})
        return ImageCache.open(self.folder)

    def _start_shard(self) -> None:
        self._file = None
        self._written = 0
        self._pending: dict[str, Place] = {}
        self._hash = hashlib.sha256()
        self._opened = 0.0

    def _adopt_shards(self) -> None:
        """Take over whole shards of the same settings, remove everything else that was left lying."""
        for path in sorted(self.folder.glob("shard-*.json")):
            digits = path.stem.removeprefix("shard-")
            shard = self._read_shard(path) if digits.isascii() and digits.isdigit() else None
            if shard is None:
                continue
            number = int(digits)
            self._sizes[number] = shard["bytes"]
            for key, offset, height, width in shard["images"]:
                self.places.setdefault(key, Place(number, offset, height, width))
        whole = _shard_files(self._sizes)
        self._remove(lambda path: path.name.startswith("shard-") and path.name not in whole or path.suffix == ".tmp")

    def _read_shard(self, path: Path) -> dict[str, Any] | None:
        pixels = path.with_suffix(".bin")
        try:
            shard = read_json(path)
            wanted = {"format": FORMAT, "short_side": self.short_side, "rules": self.rules}
            if any(shard.get(key) != value for key, value in wanted.items()):
                return None
            status = pixels.stat()
            if status.st_size != shard["bytes"] or not all(_is_place(row, status.st_size) for row in shard["images"]):
                return None
            if status.st_mtime_ns != shard["modified"]:  # touched or copied: only its bytes can tell
                if hash_file(pixels) != shard["sha256"]:
                    return None
                write_json(path, {**shard, "modified": status.st_mtime_ns})
            return shard
        except (ProjectError, FileNotFoundError, KeyError, TypeError, AttributeError):
            return None

    def _read_header(self) -> dict[str, Any] | None:
        try:
            return read_header(self.folder)
        except ProjectError:
            return None

    def _pack(self, wanted: Iterable[str]) -> None:
        """Move the images of shards that are mostly waste into a new one, so that the waste can be freed."""
        by_shard: dict[int, list[str]] = {}
        for key in dict.fromkeys(wanted):
            by_shard.setdefault(self.places[key].shard, []).append(key)
        for number, members in by_shard.items():
            if sum(self.places[key].bytes for key in members) * 2 >= self._sizes[number]:
                continue
            for key in members:
                pixels = self.pixels(key)
                del self.places[key]
                self.add(key, pixels)
        self.close_shard()

    def _remove(self, is_waste: Callable[[Path], bool]) -> None:
        for path in self.folder.iterdir():
            if is_waste(path) and path.is_file():
                path.unlink(missing_ok=True)


def _is_place(row: Any, size: int) -> bool:
    """Whether a row of a shard's list is key, offset, height and width of pixels that the shard holds."""
    if not isinstance(row, list) or len(row) != 4 or not isinstance(row[0], str):
        return False
    if any(type(number) is not int for number in row[1:]):
        return False
    offset, height, width = row[1:]
    return offset >= 0 and height > 0 and width > 0 and offset + 3 * height * width <= size


def _shard_files(numbers: Iterable[int]) -> set[str]:
    names = {shard_name(number) for number in numbers}
    return names | {name.replace(".bin", ".json") for name in names}
