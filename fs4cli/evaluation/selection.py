"""A data set's files in, the pairs that are scored out: which list of images, which mask belongs to which.

Papers score COCO-Stuff on a published list of 2,175 images. A copy that holds at least half of the list is taken for
the data set: the list is scored, and what is missing of it is a problem. A smaller copy is taken for a sample: all of
it is scored, and that is said, because no published figure compares with it.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fs4cli.errors import InputError, UsageError
from fs4cli.evaluation.benchmarks import Benchmark, read_curated_list
from fs4cli.evaluation.downloads import OFFICIAL_COUNTS
from fs4cli.evaluation.layouts import Layout, image_id
from fs4cli.evaluation.pairs import Pair, walk_files
from fs4cli.evaluation.problems import Problem

MASK_SUFFIXES = (".png", ".tif", ".tiff")


@dataclass(frozen=True)
class Selection:
    """What is scored.

    Args:
        pairs: Sorted by name.
        problems: Labels without a partner or with several, and images of the list that are not there.
        unlabelled: Images without a label.
        listing: Which images, in words.
        is_sample: The copy holds so little that no published figure compares.
    """

    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]
    unlabelled: tuple[str, ...]
    listing: str
    is_sample: bool


def select_images(
    benchmark: Benchmark, layout: Layout, *, listing: str = "auto", masks: Path | None = None, images: bool = False
) -> Selection:
    """Choose the images of a split and find their masks.

    Args:
        benchmark: The data set.
        layout: Its files.
        listing: "auto" as the head of this file says, "curated", "all", or a text file with an image id a line.
        masks: Folder of ready masks, of any shape.
        images: Every label needs its image.

    Raises:
        InputError: A folder or list is missing or empty, or nothing is left to score.
        UsageError: The data set has no published list.
    """
    names, missing, words, is_sample = _choose_names(benchmark, layout, listing)
    shelf = _MaskShelf(benchmark, masks) if masks is not None else None
    pairs, problems = [], [Problem(name, "is on the list of images, but its label is not there") for name in missing]
    for name in names:
        reason = _find_fault(layout, name, shelf, images=images)
        if reason:
            problems.append(Problem(name, reason))
            continue
        mask = shelf.find(name)[0] if shelf is not None else None
        pairs.append(Pair(name, layout.labels[name], layout.images.get(name), mask))
    return Selection(
        pairs=tuple(pairs),
        problems=tuple(problems),
        unlabelled=tuple(sorted(set(layout.images) - set(layout.labels))),
        listing=words,
        is_sample=is_sample,
    )


def _choose_names(benchmark: Benchmark, layout: Layout, listing: str) -> tuple[list[str], list[str], str, bool]:
    """The names to score, those that are listed but not there, the list in words, and whether this is a sample."""
    everything = [name for names in layout.parts.values() for name in names]
    if listing not in ("auto", "curated", "all"):
        return _choose_from_file(layout, Path(listing))
    if layout.listed is not None:
        wanted = [f"{part}/{key}" for part, keys in layout.listed.items() for key in sorted(keys)]
        return _divide(wanted, everything, f"the {len(wanted):,} images of the data set's own list", is_sample=False)
    official = sum(OFFICIAL_COUNTS.get((benchmark.family, part), 0) for part in layout.parts)
    if not benchmark.has_list or listing == "all":
        if listing == "curated":
            raise UsageError(f"{benchmark.title} has no published list", hints=("leave out `--list`",))
        is_sample = 2 * len(everything) < official
        of = f" of {official:,}" if official and len(everything) != official else ""
        return everything, [], f"all {len(everything):,} labelled images that are there{of}", is_sample
    wanted = [f"{part}/{key}" for part in layout.parts for key in sorted(read_curated_list(part))]
    there = len(set(wanted) & set(everything))
    if listing == "auto" and 2 * there < len(wanted):
        words = f"all {len(everything):,} labelled images of a sample; the data set has {official:,}"
        return everything, [], f"{words}, the published list {len(wanted):,}", True
    words = f"the published list of {len(wanted):,} images (IIC, version 7)"
    return _divide(wanted, everything, words, is_sample=2 * there < len(wanted))


def _choose_from_file(layout: Layout, path: Path) -> tuple[list[str], list[str], str, bool]:
    if not path.is_file():
        raise InputError(
            f"no list of images `{path}`", hints=("`--list` is `auto`, `curated`, `all`, or a file with an id a line",)
        )
    ids = dict.fromkeys(path.read_text(encoding="utf-8", errors="replace").split())
    by_id = {name.partition("/")[2]: name for names in layout.parts.values() for name in names}
    names = sorted(by_id[key] for key in ids if key in by_id)
    return names, sorted(key for key in ids if key not in by_id), f"the {len(ids):,} images of `{path}`", False


def _divide(
    wanted: list[str], everything: list[str], words: str, *, is_sample: bool
) -> tuple[list[str], list[str], str, bool]:
    there = set(everything)
    names = sorted(name for name in wanted if name in there)
    return names, sorted(name for name in wanted if name not in there), words, is_sample


def _find_fault(layout: Layout, name: str, shelf: "_MaskShelf | None", *, images: bool) -> str | None:
    if name in layout.twice:
        return f"several files of its name: {', '.join(f'`{path}`' for path in layout.twice[name])}"
    if images and name not in layout.images:
        return "no image of its name"
    found = [] if shelf is None else shelf.find(name)
    if shelf is not None and not found:
        return f"no mask of its name in `{shelf.folder}`"
    if len(found) > 1:
        return f"several masks of its name: {', '.join(f'`{path}`' for path in sorted(found)[:3])}"
    return None


class _MaskShelf:
    """Ready masks by their path and by the id of their image."""

    def __init__(self, benchmark: Benchmark, folder: Path):
        if not folder.is_dir():
            raise InputError(f"no such folder of masks: `{folder}`")
        self.folder = folder
        self.by_path: Mapping[str, list[Path]] = defaultdict(list)
        self.by_id: Mapping[str, list[Path]] = defaultdict(list)
        for path in walk_files(folder):
            if path.suffix.lower() in MASK_SUFFIXES:
                self.by_path[path.relative_to(folder).with_suffix("").as_posix()].append(path)
                self.by_id[image_id(benchmark, path)].append(path)
        if not self.by_id:
            raise InputError(
                f"no masks in `{folder}`", hints=("masks are index PNGs, one an image, with the image's name",)
            )

    def find(self, name: str) -> list[Path]:
        """The masks of an image: of its path below the split, then of its id anywhere."""
        key = name.partition("/")[2]
        for path in (name, key):
            if path in self.by_path:
                return self.by_path[path]
        return self.by_id.get(key.rpartition("/")[2], [])
