"""Which images are to be segmented, and where everything made of them goes.

In: sources and a place for the masks. Out: a `Job` an image. Nothing that fs4 did not write itself is ever written
over, least of all an image.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fs4cli.data.outputs import ENDINGS, EXTRA_FOLDERS, name_outputs
from fs4cli.data.own_files import is_own_file, leave_out_own, read_own_table
from fs4cli.data.predictions import Prediction, PredictionLog
from fs4cli.data.sources import FoundFile, find_images, show_path
from fs4cli.errors import InputError, UsageError

_ELSEWHERE = ("write the masks to another place",)


@dataclass(frozen=True)
class Job:
    """One image and where its outputs go.

    Args:
        file: The image.
        name: Of its outputs, relative to their folders, without an ending.
        paths: Of what is made, by what it is: `mask`, `overlay`, `confidence`, `probabilities`; the mask last.
    """

    file: FoundFile
    name: str
    paths: Mapping[str, Path]

    @property
    def mask(self) -> Path:
        """The mask's path."""
        return self.paths["mask"]

    @property
    def extras(self) -> tuple[str, ...]:
        """What is made beside the mask."""
        return tuple(what for what in self.paths if what != "mask")

    def is_whole(self, row: Prediction | None, key: str) -> bool:
        """Whether everything wanted of this image is there from this model; the image itself is not looked at.

        Args:
            row: What came of the image before.
            key: Fingerprint of the model and its settings.
        """
        return (
            row is not None
            and (row.state, row.key, row.output) == ("written", key, self.name)
            and set(self.extras) <= set(row.extras)
            and all(path.is_file() for path in self.paths.values())
        )


def find_sources(sources: Sequence[str], folder: Path | None) -> tuple[list[FoundFile], int]:
    """The files behind the sources, and how many masks and overlays of fs4's own among them were left out.

    Args:
        sources: Images, folders, globs or list files.
        folder: Where the masks go, which may lie below a source.

    Raises:
        InputError: There is no file.
    """
    extras = [str(folder / name) for name in EXTRA_FOLDERS.values()] if folder is not None else []
    found = find_images([os.path.abspath(source) for source in sources], except_folders=extras)
    files = leave_out_own(found.files)
    if not files:
        raise InputError(
            "there is no image behind the sources",
            details=tuple(show_path(source) for source in sources),
            hints=("name images or folders of images",),
        )
    return files, len(found) - len(files)


def place_in_tree(
    files: Sequence[FoundFile], extras: Sequence[str], folder: Path, masks: Path, log: PredictionLog
) -> list[Job]:
    """A job for each file; the outputs mirror the sources.

    Args:
        files: The images.
        extras: What is made beside the masks.
        folder: Of the extras' folders.
        masks: Of the masks.
        log: Of what was made there before: an image keeps its name as long as it exists.

    Raises:
        InputError: Something would be written over.
    """
    now = {file.place for file in files}
    kept = {row.input: row.output for row in log.latest.values() if row.input in now or os.path.lexists(row.input)}
    places = {**{what: folder / EXTRA_FOLDERS[what] for what in extras}, "mask": masks}
    jobs = [
        Job(file, name, {what: Path(f"{place / name}{ENDINGS[what]}") for what, place in places.items()})
        for file, name in zip(files, name_outputs(files, kept=kept), strict=True)
    ]
    made = {row.output: {"mask", *row.extras} for row in log.latest.values() if row.state == "written"}
    _refuse_overwriting(jobs, made)
    return jobs


def place_in_file(files: Sequence[FoundFile], extras: Sequence[str], mask: Path) -> Job:
    """The job of one image whose mask goes to a file of that name, the extras beside it.

    Raises:
        UsageError: There are several images.
        InputError: Something would be written over.
    """
    if len(files) != 1:
        raise UsageError(f"`{mask}` is one file, but there are {len(files):,} images", hints=("name a folder",))
    beside = {what: mask.with_name(f"{mask.stem}_{what}{ENDINGS[what]}") for what in extras}
    job = Job(files[0], mask.stem, {**beside, "mask": mask})
    _refuse_overwriting([job], {})
    return job


def place_classes(folder: Path, model: str, *, beside: Path | None = None) -> Path:
    """Where the table of classes goes: `classes.json`, or named as the mask where that one is of another model.

    Args:
        folder: Of the masks.
        model: Hash of the model.
        beside: The mask, if there is only one in question.

    Raises:
        InputError: There is a `classes.json` that fs4 did not write.
    """
    path = folder / "classes.json"
    table = read_own_table(path)
    owner = model if not os.path.lexists(path) else table.get("model") if table is not None else None
    if beside is not None:
        return path if owner == model else beside.with_suffix(".classes.json")
    if owner is None:
        raise InputError(f"`{path}` is in the way: fs4 did not write it", hints=_ELSEWHERE)
    return path


def _refuse_overwriting(jobs: Sequence[Job], made: Mapping[str, set[str]]) -> None:
    """Stop at the first image, or at all other files, that fs4 did not write.

    Args:
        jobs: What is to be made.
        made: By the name of the outputs, what was made of it before.
    """
    images = {os.path.realpath(job.file.place) for job in jobs}
    foreign = []
    for job in jobs:
        for what, path in job.paths.items():
            if os.path.realpath(path) in images:
                raise InputError(f"`{show_path(str(path))}` is an image: no mask is written over it", hints=_ELSEWHERE)
            if what not in made.get(job.name, ()) and _is_foreign(path):
                foreign.append(path)
    if foreign:
        listed = [f"`{show_path(str(path))}`" for path in foreign[:10]]
        more = [f"and {len(foreign) - 10:,} more"] if len(foreign) > 10 else []
        files = (
            "1 file that fs4 did not write is"
            if len(foreign) == 1
            else f"{len(foreign):,} files that fs4 did not write are"
        )
        raise InputError(f"{files} in the way", details=(*listed, *more), hints=("move them away", *_ELSEWHERE))


def _is_foreign(path: Path) -> bool:
    try:
        return path.stat().st_size > 0 and not is_own_file(path)
    except FileNotFoundError:
        return False
