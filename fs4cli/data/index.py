"""The image index: one record an image, in a file of JSON lines.

In go the facts of every file that was looked at; out come records with stable ids, in a fixed order. Only those of
state `ok` are learned from.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fs4cli.data.sources import show_path
from fs4cli.errors import ProjectError
from fs4cli.files import build_row, read_json_lines, write_atomic
from fs4cli.scaling import Scaling

State = Literal["ok", "duplicate", "bad", "skipped", "gone"]

_NEARLY_ALL = 0.9


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One file of the index.

    Args:
        image_id: 16 hex digits from the relative path and the content: the same on every machine.
        root: Absolute path of the folder that was given.
        path: Relative to it, with `/`; bytes that are no UTF-8 are surrogate escapes.
        height, width: Of the whole upright picture; 0 if there is none.
        bytes: Size of the file; -1 if there is none.
        modified: When it was last written, in nanoseconds.
        sha256: Of the file's bytes; empty if they were not read.
        perceptual_hash: 64 bits in hex that near duplicates nearly share; empty for a flat picture.
        state: `ok`; `duplicate` of the bytes of an earlier file; `bad`: no usable picture; `skipped`: no image and
            not named as one; `gone`: no longer there.
        is_grey: Whether it shows no colour.
        format, mode: Of the file, by content, in Pillow's words.
        conversions: What was done to get RGB.
        reason: Why it is not `ok`, the kind before a colon; empty if it is.
        is_lasting: False if the next look may end otherwise although the file is the same.
        rules: Version of the rules it was read by.
        own_scaling: How a picture of deep grey would become 8 bits by itself; empty if it has no choice.
        scaling: How it did.
    """

    image_id: str
    root: str
    path: str
    height: int
    width: int
    bytes: int
    modified: int
    sha256: str
    perceptual_hash: str
    state: State
    is_grey: bool
    format: str = ""
    mode: str = ""
    conversions: tuple[str, ...] = ()
    reason: str = ""
    is_lasting: bool = True
    rules: int = 0
    own_scaling: Scaling = ""
    scaling: Scaling = ""

    @property
    def pixels_key(self) -> str:
        """What its pixels are found by in the cache: its content, and how that was scaled if not in its own way."""
        return self.sha256 if self.scaling == self.own_scaling else f"{self.sha256}-{self.scaling}"

    @property
    def place(self) -> str:
        """The absolute path of the file."""
        return os.path.join(self.root, self.path)

    @property
    def has_picture(self) -> bool:
        """Whether it could be read when it was last looked at."""
        return self.height > 0


def read_index(path: Path) -> list[ImageEntry]:
    """All records of an index or journal, in order; none if there is no file.

    Raises:
        ProjectError: The file is damaged or written by another version.
    """
    try:
        return [read_entry(row) for row in read_json_lines(path)]
    except (TypeError, ValueError):
        raise ProjectError(
            f"`{path}` is not an index of this version", hints=("ingest the images again, from the beginning",)
        ) from None


def write_index(path: Path, entries: Iterable[ImageEntry]) -> None:
    """Write the records, whole or not at all."""
    with write_atomic(path) as file:
        for entry in entries:
            file.write(entry_line(entry))


def entry_line(entry: ImageEntry) -> bytes:
    """One record as a line of JSON, in ASCII: any file name survives it."""
    return json.dumps(asdict(entry), separators=(",", ":")).encode("ascii") + b"\n"


def read_entry(row: dict[str, Any]) -> ImageEntry:
    """The record of one line.

    Raises:
        TypeError: A field is missing, unknown or of another type.
    """
    return build_row(ImageEntry, row)


def make_image_id(path: str, sha256: str, *, again: int = 0) -> str:
    """The id of an image: from its relative path and its content, so that it is the same on every machine.

    Args:
        path: Relative to its root.
        sha256: Of its bytes.
        again: How many before it have the same path below another root, and the same bytes.
    """
    text = os.fsencode(path) + b"\0" + sha256.encode("ascii") + (b"\0%d" % again if again else b"")
    return hashlib.sha256(text).hexdigest()[:16]


def settle_entries(entries: Sequence[ImageEntry]) -> list[ImageEntry]:
    """Give every entry its id, and mark those that repeat the bytes of an earlier one; the order is kept."""
    first: dict[str, str] = {}
    taken: dict[str, int] = {}
    settled = []
    for entry in entries:
        image_id = make_image_id(entry.path, entry.sha256)
        taken[image_id] = again = taken.get(image_id, -1) + 1
        if again:
            image_id = make_image_id(entry.path, entry.sha256, again=again)
        if entry.has_picture:
            original = first.setdefault(entry.sha256, entry.path)
            is_first = original == entry.path and not again
            reason = "" if is_first else f"duplicate: the same bytes as {show_path(original)}"
            entry = replace(entry, state="ok" if is_first else "duplicate", reason=reason)
        settled.append(replace(entry, image_id=image_id))
    return settled


def choose_scaling(entries: Iterable[ImageEntry]) -> Scaling:
    """How deep grey becomes 8 bits in a folder of these pictures, so that neighbours of a series do not differ in it.

    By the whole range if nearly all pictures would by themselves (`_NEARLY_ALL`): the few dim ones are dim. Else all
    are stretched: dim ones would be left with a few levels. Empty if there is no such picture.
    """
    counts = Counter(entry.own_scaling for entry in entries if entry.has_picture and entry.own_scaling)
    if not counts:
        return ""
    return "range" if counts["range"] >= _NEARLY_ALL * counts.total() else "stretch"


def count_conversions(entries: Iterable[ImageEntry]) -> dict[str, int]:
    """How many pictures took each conversion, the commonest first; all EXIF turns count as one."""
    steps = (step for entry in entries if entry.has_picture for step in entry.conversions)
    return dict(Counter("EXIF turn" if step.startswith("EXIF") else step for step in steps).most_common())
