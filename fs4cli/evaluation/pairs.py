"""Folders of labels, images and ready masks in, the files that belong together out.

Files pair by their path below their folder without the suffix (`city/a.png` with `city/a.jpg`); where the folders are
built otherwise, by a name that occurs once on each side.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from fs4cli.data.formats import IMAGE_SUFFIXES
from fs4cli.errors import InputError
from fs4cli.evaluation.problems import Problem

_LOSSLESS = (".png", ".tif", ".tiff")


@dataclass(frozen=True)
class Pair:
    """A label and what is scored against it.

    Args:
        name: The label's path below the folder of labels.
        label: Its file.
        image: Its image, where one was asked for.
        mask: Its ready mask, where one was asked for.
    """

    name: str
    label: Path
    image: Path | None = None
    mask: Path | None = None


@dataclass(frozen=True)
class Pairing:
    """What belongs together, and what is left.

    Args:
        pairs: Sorted by name.
        problems: Labels without a partner, or with more than one.
        unlabelled: Images without a label, by their path below the folder of images; they are not scored.
    """

    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]
    unlabelled: tuple[str, ...]


def pair_files(labels: Path, *, images: Path | None = None, masks: Path | None = None) -> Pairing:
    """Find the image and the ready mask of every label.

    Args:
        labels: Folder of label files, searched with its sub-folders; or one file, paired with one file.
        images: Folder of images, or None if none are needed.
        masks: Folder of ready masks, or None if none are needed.

    Raises:
        InputError: A folder is missing, or no label file is in it.
    """
    for folder, what in ((labels, "labels"), (images, "images"), (masks, "masks")):
        if folder is not None and not folder.exists():
            raise InputError(f"no such folder of {what}: `{folder}`")
    if labels.is_file():
        return _pair_single(labels, images, masks)
    shelf = _Shelf(labels, "label")
    files = {key: _drop_lossy(candidates) for key, candidates in sorted(shelf.by_key.items())}
    if images is not None and images.resolve() == labels.resolve():  # a photo without a label is not a bad label
        files = {key: found for key, found in files.items() if found[0].suffix.lower() in _LOSSLESS}
    if not files:
        raise InputError(
            f"no label files in `{labels}`", hints=("labels are index PNGs, one an image, with the image's name",)
        )
    shelves = [_Shelf(folder, what) for folder, what in ((images, "image"), (masks, "mask")) if folder is not None]
    pairs, problems, taken = [], [], {path for candidates in files.values() for path in candidates}
    for key, candidates in files.items():
        name = candidates[0].relative_to(labels).as_posix()
        try:
            label = _only(candidates, "label", labels)
            lone = shelf.stems[_stem(key)] == 1
            found = {
                other.what: _only(other.find(key, lone=lone, apart_from=candidates), other.what, other.folder)
                for other in shelves
            }
        except _NotOne as error:
            problems.append(Problem(name, error.reason))
            continue
        taken.update(found.values())
        pairs.append(Pair(name, label, **found))
    left = [path for other in shelves if other.what == "image" for path in other.files if path not in taken]
    unlabelled = [path.relative_to(images or labels).as_posix() for path in left]
    return Pairing(tuple(pairs), tuple(problems), tuple(sorted(unlabelled)))


class _NotOne(Exception):
    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class _Shelf:
    """The pictures below a folder, by path and by bare name, without their suffix."""

    def __init__(self, folder: Path, what: str):
        if not folder.is_dir():
            raise InputError(f"`{folder}` is no folder of {what}s")
        self.folder = folder
        self.what = what
        suffixes = IMAGE_SUFFIXES | {""} if what == "image" else IMAGE_SUFFIXES
        self.files = [path for path in walk_files(folder) if path.suffix.lower() in suffixes]
        self.by_key: dict[str, list[Path]] = defaultdict(list)
        self.by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.files:
            key = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
            self.by_key[key].append(path)
            self.by_stem[_stem(key)].append(path)
        self.stems = Counter(_stem(key) for key in self.by_key)

    def find(self, key: str, *, lone: bool, apart_from: Collection[Path]) -> list[Path]:
        """The files of this name; by the bare name if it is `lone` among the labels and here. No label is an image."""
        found = self.by_key.get(key) or []
        if not found and lone and self.stems[_stem(key)] == 1:
            found = self.by_stem[_stem(key)]
        return _drop_lossy(found) if self.what == "mask" else [path for path in found if path not in apart_from]


def _stem(key: str) -> str:
    return key.rpartition("/")[2]


def _only(candidates: list[Path], what: str, folder: Path) -> Path:
    if not candidates:
        raise _NotOne(f"no {what} of its name in `{folder}`")
    if len(candidates) > 1:
        raise _NotOne(f"several {what}s of its name: {', '.join(path.name for path in sorted(candidates))}")
    return candidates[0]


def _drop_lossy(candidates: list[Path]) -> list[Path]:
    """Where a photo lies beside its label or mask, the lossless file is meant; a lone one is left to the reader."""
    return [path for path in candidates if path.suffix.lower() in _LOSSLESS] or candidates


def _pair_single(label: Path, image: Path | None, mask: Path | None) -> Pairing:
    for other, what in ((image, "image"), (mask, "mask")):
        if other is not None and not other.is_file():
            raise InputError(f"`{label}` is one label file, so `{other}` must be one {what} file")
    return Pairing((Pair(label.name, label, image, mask),), (), ())


def walk_files(folder: Path) -> Iterator[Path]:
    """Files below a folder, sorted, hidden ones left out; a folder reached twice through links is read once."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))
