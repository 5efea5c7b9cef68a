"""A data set's folder in, its labels and images out: found by looking, in every layout of the official archives.

A file is known by its image's id (`000000000139`, `frankfurt_000000_000294`, `2007_000033`), so that ready masks may
bear the name of the image, of the label, or the bare id, in folders of any shape.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fs4cli.errors import UsageError
from fs4cli.evaluation.benchmarks import Benchmark
from fs4cli.evaluation.pairs import walk_files
from fs4cli.evaluation.roots import explain_missing

COCO_LABELS = ("annotations", "stuffthingmaps", "stuffthingmaps_trainval2017", "annotations/stuffthingmaps", "")
COCO_IMAGES = ("images", "", "coco", "images_trainval2017")
CITY_LABELS = ("gtFine", "annotations/gtFine")
VOC_PLACES = ("", "VOCdevkit/VOC2012", "VOC2012", "VOCdevkit/VOC2007", "VOC2007")

_COCO_FILE = re.compile(r"(\d{12})\.(png|jpe?g)", re.IGNORECASE)
_CITY_FILE = re.compile(r"([a-z-]+_\d{6}_\d{6})(?:_(?:leftImg8bit|gtFine_labelIds))?\.png", re.IGNORECASE)
_CITY_ID = re.compile(r"[a-z-]+_\d{6}_\d{6}", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """The files of one split, as they lie on the disk.

    Args:
        root: The folder that was searched.
        words: Where labels and images were found, for people.
        labels: By name (folder and image id), the label file.
        images: By the same names, the image file, of those that are there.
        parts: By folder of the split, the names in it, sorted.
        twice: Names of which there are several labels or images, with the files.
        listed: The ids that a list of the data set itself names; None without one.
        classes_near: Where a `classes.yaml` may lie.
    """

    root: Path
    words: tuple[str, ...]
    labels: Mapping[str, Path]
    images: Mapping[str, Path]
    parts: Mapping[str, tuple[str, ...]]
    twice: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    listed: Mapping[str, frozenset[str]] | None = None
    classes_near: Path | None = None


def find_layout(benchmark: Benchmark, root: Path, split: str) -> Layout:
    """The labels and images of a split.

    Args:
        benchmark: The data set.
        root: Its folder, or a folder that holds its folders.
        split: One of the data set's, or the name of its folder ("val2017").

    Raises:
        InputError: No label was found; the message says what was looked for where.
        UsageError: The data set has no such split.
    """
    parts = _choose_parts(benchmark, split)
    finder: Callable[[Path, Sequence[str]], Layout] = {
        "cocostuff": _find_coco,
        "cityscapes": _find_cityscapes,
        "voc": _find_voc,
        "folders": _find_folders,
    }[benchmark.family]
    layout = finder(root, parts)
    empty = [part for part in parts if not layout.parts.get(part)]
    if empty:
        where = tuple(f"looked for {line}" for line in _searched(benchmark, root, empty))
        raise explain_missing(benchmark, f"no labels of {benchmark.title}, split `{split}`, in `{root}`", where)
    return layout


def image_id(benchmark: Benchmark, path: Path) -> str:
    """The id of the image that a file of this name belongs to: a label, an image or a ready mask."""
    if benchmark.family == "cityscapes":
        found = _CITY_ID.match(path.name)
        if found:
            return found.group(0)
    return path.stem


def _choose_parts(benchmark: Benchmark, split: str) -> tuple[str, ...]:
    if benchmark.family == "folders":
        return (split,)
    if split in benchmark.splits:
        return benchmark.splits[split]
    parts = {part for folders in benchmark.splits.values() for part in folders}
    if split in parts:
        return (split,)
    why = {"test": ": its labels are not public", "train_extra": ": it has coarse labels only"}.get(split, "")
    known = ", ".join(f"`{known}`" for known in benchmark.splits)
    raise UsageError(f"{benchmark.title} has no split `{split}` to score{why}", hints=(f"its splits are {known}",))


def _find_coco(root: Path, parts: Sequence[str]) -> Layout:
    found = _Found(root)
    for part in parts:
        label_places = [base / place / part for base in _bases(root) for place in COCO_LABELS]
        image_places = [base / place / part for base in _bases(root) for place in COCO_IMAGES]
        labels = _first_with(label_places, lambda name: _match_coco(name, (".png",)))
        images = _first_with(image_places, lambda name: _match_coco(name, (".jpg", ".jpeg")))
        found.add(part, labels, images)
    return found.layout()


def _match_coco(name: str, suffixes: tuple[str, ...]) -> str | None:
    found = _COCO_FILE.fullmatch(name)
    return found.group(1) if found and name.lower().endswith(suffixes) else None


def _find_cityscapes(root: Path, parts: Sequence[str]) -> Layout:
    found = _Found(root)
    for part in parts:
        labels = [base / place / part for base in _bases(root) for place in CITY_LABELS]
        images = [base / "leftImg8bit" / part for base in _bases(root)]
        found.add(
            part,
            _first_tree(labels, lambda name: _match_city(name, "_gtFine_labelIds.png")),
            _first_tree(images, lambda name: _match_city(name, "_leftImg8bit.png")),
        )
    return found.layout()


def _match_city(name: str, ending: str) -> str | None:
    found = _CITY_FILE.fullmatch(name)
    return found.group(1) if found and name.endswith(ending) else None


def _find_voc(root: Path, parts: Sequence[str]) -> Layout:
    found = _Found(root)
    listed = {}
    for base in (root / place for place in VOC_PLACES):
        if not (base / "SegmentationClass").is_dir():
            continue
        labels = _first_with([base / "SegmentationClass"], lambda name: name[:-4] if name.endswith(".png") else None)
        images = _first_with([base / "JPEGImages"], lambda name: name[:-4] if name.endswith(".jpg") else None)
        for part in parts:
            path = base / "ImageSets" / "Segmentation" / f"{part}.txt"
            if path.is_file():
                listed[part] = frozenset(path.read_text(encoding="utf-8", errors="replace").split())
                found.add(part, _only(labels, listed[part]), _only(images, listed[part]))
        if found.words:
            break
    return found.layout(listed=listed)


def _only(place: "_Place", ids: frozenset[str]) -> "_Place":
    return _Place(place.folder, {key: paths for key, paths in place.files.items() if key in ids})


def _find_folders(root: Path, parts: Sequence[str]) -> Layout:
    (part,) = parts
    place = part if (root / "labels" / part).is_dir() else ""
    labels, images = _by_path(root / "labels" / place, ("png", "tif", "tiff")), _by_path(root / "images" / place)
    found = _Found(root)
    found.add(part, labels, images)
    return found.layout(classes_near=root / "labels" / place)


def _by_path(folder: Path, suffixes: Sequence[str] = ("jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp")) -> "_Place":
    files: dict[str, list[Path]] = defaultdict(list)
    for path in walk_files(folder) if folder.is_dir() else ():
        if path.suffix.lower().lstrip(".") in suffixes:
            files[path.relative_to(folder).with_suffix("").as_posix()].append(path)
    return _Place(folder, files)


@dataclass(frozen=True)
class _Place:
    """A folder and its files by image id."""

    folder: Path
    files: Mapping[str, list[Path]]


class _Found:
    """What was found so far, over the parts of a split."""

    def __init__(self, root: Path):
        self.root = root
        self.words: list[str] = []
        self.labels: dict[str, Path] = {}
        self.images: dict[str, Path] = {}
        self.parts: dict[str, tuple[str, ...]] = {}
        self.twice: dict[str, tuple[Path, ...]] = {}

    def add(self, part: str, labels: _Place, images: _Place) -> None:
        """Add a part's labels and images."""
        names = sorted(f"{part}/{key}" for key in labels.files)
        self.parts[part] = tuple(names)
        for place, into in ((labels, self.labels), (images, self.images)):
            for key, paths in place.files.items():
                into[f"{part}/{key}"] = paths[0]
                if len(paths) > 1:
                    self.twice[f"{part}/{key}"] = tuple(sorted(paths))
        if names:
            there = f"images in `{images.folder}`" if images.files else "no images"
            self.words.append(f"{len(names):,} labels in `{labels.folder}`, {there}")

    def layout(self, *, listed: Mapping[str, frozenset[str]] | None = None, classes_near: Path | None = None) -> Layout:
        """All of it."""
        return Layout(
            self.root, tuple(self.words), self.labels, self.images, self.parts, self.twice, listed, classes_near
        )


def _bases(root: Path) -> list[Path]:
    """The root, and the folders in it: archives are unpacked beside each other, or into folders of their own."""
    inner = sorted(Path(entry.path) for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    return [root, *inner[:100]]


def _first_with(places: Sequence[Path], match: Callable[[str], str | None]) -> _Place:
    """The first folder with a file whose name matches; `match` gives its image id."""
    for place in places:
        if not place.is_dir():
            continue
        files: dict[str, list[Path]] = defaultdict(list)
        for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
            key = match(entry.name)
            if key is not None and entry.is_file():
                files[key].append(Path(entry.path))
        if files:
            return _Place(place, files)
    return _Place(places[0], {})


def _first_tree(places: Sequence[Path], match: Callable[[str], str | None]) -> _Place:
    """The same, with a folder a city."""
    for place in places:
        files: dict[str, list[Path]] = defaultdict(list)
        for path in walk_files(place) if place.is_dir() else ():
            key = match(path.name)
            if key is not None:
                files[key].append(path)
        if files:
            return _Place(place, files)
    return _Place(places[0], {})


def _searched(benchmark: Benchmark, root: Path, parts: Sequence[str]) -> list[str]:
    patterns = {
        "cocostuff": [f"{place}/{{part}}/<12 digits>.png".lstrip("/") for place in COCO_LABELS],
        "cityscapes": [f"{place}/{{part}}/<city>/*_gtFine_labelIds.png" for place in CITY_LABELS],
        "voc": ["SegmentationClass/*.png with ImageSets/Segmentation/{part}.txt, also below VOCdevkit/VOC2012"],
        "folders": ["labels/{part}/*.png", "labels/*.png"],
    }[benchmark.family]
    also = "" if benchmark.family in ("voc", "folders") else f", in `{root}` and each folder in it"
    return [", ".join(f"`{pattern.format(part=part)}`" for pattern in patterns) + also for part in parts]
