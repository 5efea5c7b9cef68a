"""One pass over all files of some sources: records from before are taken over, the other files are read.

The finder's files, the records of the last pass and the cache's shards go in; records in the finder's order come out,
with the pixels of every readable image in the shards.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fs4cli.data.entries import is_unchanged, make_entry, refuse_unopened, renew_entry
from fs4cli.data.images import RULES, shrink_size
from fs4cli.data.index import ImageEntry
from fs4cli.data.journal import Journal
from fs4cli.data.reader import Reading
from fs4cli.data.readers import ReaderPool
from fs4cli.data.shards import ShardWriter
from fs4cli.data.sources import FoundFile, FoundFiles
from fs4cli.errors import ResourceError
from fs4cli.scaling import Scaling

SAMPLE = 64
"""So many files, evenly spaced, tell beforehand how much room the pixels take."""
SPARE_BYTES = 64 * 1024 * 1024
"""Left free on the disk in any case."""


class Survey:
    """What is known of the files, and what is left to read.

    Args:
        found: The files there are now.
        known: Records from before, by absolute path.
        shards: The cache, which may already hold their pixels.
        max_pixels: Larger pictures are read again, to be refused.

    Attributes:
        unread: The files still to be read, in order.
        gone: Records of files that are no longer there.
        new, changed, lost: How many files are new, changed and newly gone since the last pass.
        passed_over: How many files the finder left.
    """

    def __init__(self, found: FoundFiles, known: dict[str, ImageEntry], shards: ShardWriter, *, max_pixels: int):
        self._found = found
        self._known = known
        self._shards = shards
        self._max_pixels = max_pixels
        self._entries: dict[str, ImageEntry] = {}
        self.unread: list[FoundFile] = []
        for file in found:
            before = known.get(file.place)
            if file.problem:
                self._entries[file.place] = refuse_unopened(file)
            elif before is not None and is_unchanged(before, file) and self._is_held(before):
                self._entries[file.place] = renew_entry(before, file)
            else:
                self.unread.append(file)
        self.gone = find_gone(found, known)
        self.lost = sum(known[entry.place].state != "gone" for entry in self.gone)
        self.new = sum(file.place not in known or known[file.place].state == "gone" for file in found)
        self.changed = 0
        self.passed_over = found.passed_over

    @property
    def is_read(self) -> bool:
        """Whether every file has its record."""
        return len(self._entries) == len(self._found)

    @property
    def entries(self) -> list[ImageEntry]:
        """The records of all files read so far, in order, without ids."""
        return [self._entries[file.place] for file in self._found if file.place in self._entries]

    def check_room(self, pool: ReaderPool, folder: Path, *, hints: tuple[str, ...]) -> None:
        """Refuse to start where the pixels of the unread files will not fit on the disk of `folder`.

        Raises:
            ResourceError: Says how much they need and how much there is.
        """
        needed = self.estimate_bytes(pool)
        free = shutil.disk_usage(folder).free
        if needed + SPARE_BYTES > free:
            raise ResourceError(
                f"the decoded copies of {len(self.unread):,} images need about {show_bytes(needed)},"
                f" the disk of `{folder}` has {show_bytes(free)} free",
                hints=hints,
            )

    def estimate_bytes(self, pool: ReaderPool) -> int:
        """What the pixels of the unread files will take on the disk, from the headers of a sample of them."""
        sample = self.unread[:: -(-len(self.unread) // SAMPLE)]
        pixels = 0
        for reading in pool.read_all((Path(file.place) for file in sample), only_size=True):
            if reading.size is not None:
                height, width = shrink_size(reading.size, pool.short_side or min(reading.size))
                pixels += height * width
        return pixels * 3 * len(self.unread) // len(sample) * 105 // 100

    def doubt_scaling(self, scaling: Scaling) -> None:
        """Have the pictures read again that became 8 bits in another way than the folder is to."""
        self.unread = []
        for file in self._found:
            entry = self._entries.get(file.place)
            if entry is not None and entry.has_picture and entry.own_scaling and entry.scaling != scaling:
                del self._entries[file.place]
                self._known.pop(file.place, None)  # the same bytes are no reason to leave it as it was
                self.unread.append(file)

    def read(self, pool: ReaderPool, journal: Journal) -> Iterator[ImageEntry]:
        """Read the unread files, and give each one's record once it is in the journal.

        Args:
            pool: Reads them, shrunk for the cache; where it stops early, what was read is kept.
            journal: Survives a kill; so do the shards that are closed.

        Raises:
            ResourceError: The disk is full; what was closed before is kept.
        """
        held = {}
        for file in self.unread:
            before = self._known.get(file.place)
            if before is not None and before.has_picture and before.rules == RULES and self._is_held(before):
                held[Path(file.place)] = before.sha256
        readings = pool.read_all((Path(file.place) for file in self.unread), known=held)
        try:
            for file, reading in zip(self.unread, readings, strict=False):  # fewer readings if it should stop
                entry = self._record(file, reading)
                journal.add(entry)
                self._entries[file.place] = entry
                yield entry
            self._shards.close_shard()
        except ResourceError:
            self._shards.discard_open()
            raise

    def _record(self, file: FoundFile, reading: Reading) -> ImageEntry:
        before = self._known.get(file.place)
        if reading.image is None and not reading.reason:
            assert before is not None
            return renew_entry(before, file)  # touched only: the bytes are the same
        entry = make_entry(file, reading)
        if reading.image is not None:
            self._shards.add(entry.pixels_key, reading.image.pixels)
        if before is not None and before.state != "gone" and before.sha256 != entry.sha256:
            self.changed += 1
        return entry

    def _is_held(self, entry: ImageEntry) -> bool:
        """Whether its pixels, if it has any, are in the cache and still wanted."""
        if not entry.has_picture:
            return True
        return entry.pixels_key in self._shards.places and entry.height * entry.width <= self._max_pixels


def find_gone(found: FoundFiles, known: dict[str, ImageEntry]) -> list[ImageEntry]:
    """The records of files that are no longer among those found, as `gone`."""
    places = {file.place for file in found}
    return [
        replace(entry, state="gone", reason="gone: no longer there")
        for place, entry in known.items()
        if place not in places
    ]


def show_bytes(count: int) -> str:
    """A size in words."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
