"""One found file -> its record in the index; and whether a record from before still holds.

What the finder knows and what the reader says go in; an `ImageEntry` without its id comes out.
"""

import os
from collections.abc import Mapping
from dataclasses import replace

from fs4cli.data.formats import IMAGE_SUFFIXES
from fs4cli.data.images import RULES
from fs4cli.data.index import ImageEntry
from fs4cli.data.reader import Reading
from fs4cli.data.sources import FoundFile, FoundFiles


def make_entry(file: FoundFile, reading: Reading) -> ImageEntry:
    """The record of a file that was read, with a picture or with the reason why there is none."""
    image = reading.image
    if image is None:
        return _refuse(file, reading)
    return replace(
        _blank(file),
        height=image.size[0],
        width=image.size[1],
        sha256=reading.sha256,
        perceptual_hash=reading.perceptual_hash,
        state="ok",
        is_grey=image.is_grey,
        format=image.format,
        mode=image.mode,
        conversions=image.conversions,
        own_scaling=image.own_scaling,
        scaling=image.scaling,
    )


def refuse_unopened(file: FoundFile) -> ImageEntry:
    """The record of a file that need not be opened: it is missing, or no regular file."""
    return replace(_blank(file), reason=file.problem, is_lasting=False)


def renew_entry(entry: ImageEntry, file: FoundFile) -> ImageEntry:
    """The record of a file whose content is known from before, where it was found now."""
    return replace(entry, root=file.root, path=file.path, bytes=file.bytes, modified=file.modified)


def is_unchanged(entry: ImageEntry, file: FoundFile) -> bool:
    """Whether a record still holds for a file that was found again, going by its size and time."""
    return (
        entry.state != "gone"
        and entry.is_lasting
        and entry.rules == RULES
        and not file.problem
        and (entry.bytes, entry.modified) == (file.bytes, file.modified)
    )


def all_unchanged(known: Mapping[str, ImageEntry], found: FoundFiles) -> bool:
    """Whether the very same files were found again, in the same order, all as they were."""
    held = [entry for entry in known.values() if entry.state != "gone"]
    return len(held) == len(found) and all(
        (entry.root, entry.path) == (file.root, file.path) and is_unchanged(entry, file)
        for entry, file in zip(held, found, strict=True)
    )


def doubt_refusals(known: Mapping[str, ImageEntry]) -> dict[str, ImageEntry]:
    """The same records, but those of bad files hold no longer: the limits may have changed."""
    return {
        place: replace(entry, is_lasting=False) if entry.state == "bad" else entry for place, entry in known.items()
    }


def _refuse(file: FoundFile, reading: Reading) -> ImageEntry:
    suffix = os.path.splitext(file.path)[1].lower()
    promises_image = suffix in IMAGE_SUFFIXES or reading.is_image
    return replace(
        _blank(file),
        sha256=reading.sha256,
        state="bad" if promises_image else "skipped",
        reason=reading.reason,
        is_lasting=reading.is_lasting,
    )


def _blank(file: FoundFile) -> ImageEntry:
    return ImageEntry(
        image_id="",
        root=file.root,
        path=file.path,
        height=0,
        width=0,
        bytes=file.bytes,
        modified=file.modified,
        sha256="",
        perceptual_hash="",
        state="bad",
        is_grey=False,
        rules=RULES,
    )
