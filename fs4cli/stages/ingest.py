"""A folder of images -> the index and the cache that every later stage reads.

In: folders, files, globs, list files. Out, in the project's `ingest/`: `index.jsonl`, `cache/`, `quarantine.csv`,
`near_duplicates.csv`. Run again it looks only at what is new, changed or gone; killed, it goes on where it was. In the
folders of images nothing is ever written.
"""

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import PIL

from fs4cli.config import IngestSettings, Settings, stage_settings, with_values
from fs4cli.data.cache import is_untouched
from fs4cli.data.entries import all_unchanged, doubt_refusals
from fs4cli.data.images import RULES
from fs4cli.data.index import ImageEntry, choose_scaling, count_conversions, settle_entries, write_index
from fs4cli.data.journal import Journal, read_known
from fs4cli.data.near_duplicates import find_near_duplicates
from fs4cli.data.own_files import leave_out_own
from fs4cli.data.quarantine import (
    count_reasons,
    join_counts,
    judge_share,
    refuse_nothing,
    write_near_duplicates,
    write_quarantine,
)
from fs4cli.data.readers import ReaderPool
from fs4cli.data.shards import ShardWriter
from fs4cli.data.sources import FoundFiles, find_images
from fs4cli.data.survey import Survey, show_bytes
from fs4cli.errors import ConfigError, Interrupted, ProjectError
from fs4cli.files import hash_value
from fs4cli.machine import usable_cores
from fs4cli.planning.stage import keep_earlier_choices
from fs4cli.progress import Progress
from fs4cli.project.project import STAGES, Project
from fs4cli.project.record import Record, finish_record, read_record, start_record, write_record
from fs4cli.scaling import Scaling

FEW = 20
"""Fewer images are warned of."""


@dataclass(frozen=True)
class IngestResult:
    """What the index holds now, and what this run found.

    Args:
        images: To learn from.
        duplicates: Files with the bytes of another one, kept out of training.
        near_duplicates: Images that look like an earlier one; they are learned from.
        bad: Files without a usable picture.
        reasons: How many bad files by kind of reason.
        skipped: Files that are no images and not named as such, hidden and system files, those outside the pattern.
        new, changed, gone: Files since the run before.
        cache_bytes: Of all decoded pixels.
        quarantine: The list of bad files.
        fingerprint: Of images, order and cache settings: the same as long as they are.
    """

    images: int
    duplicates: int
    near_duplicates: int
    bad: int
    reasons: dict[str, int]
    skipped: int
    new: int
    changed: int
    gone: int
    cache_bytes: int
    quarantine: Path
    fingerprint: str


def run_ingest(
    project: Project, settings: Settings, *, images: Sequence[str] = (), progress: Progress, fresh: bool = False
) -> IngestResult:
    """Read every image once; run again, only what is new, changed or gone.

    Args:
        project: Whose images.
        settings: As the user chose them; what an earlier run was given and this one is not stays as it was.
        images: Absolute paths and globs, instead of `settings.images` (where relative ones start at the project).
        progress: Is told what is found.
        fresh: Forget the index and the cache first.

    Raises:
        ConfigError: Nobody said where the images are.
        InputError: A source does not exist, no image can be read, or too many cannot.
        ResourceError: The cache does not fit on the disk.
        Interrupted: A signal asked to stop; what was read is kept.
    """
    if images:
        settings = with_values(settings, {"images": tuple(images)})
    before = _read_before(project, progress, fresh=fresh)
    if before is not None:
        settings = _keep_choices(settings, before, fresh=fresh)
    sources = _absolute_sources(project, settings)
    own = [str(project.root), *(str(project.stage(stage)) for stage in STAGES)]
    found = find_images(sources, settings.ingest.pattern, except_folders=own)
    files = tuple(leave_out_own(found.files))
    found = replace(found, files=files, passed_over=found.passed_over + len(found) - len(files))
    if not found.files:
        raise refuse_nothing(sources, found)
    if fresh and project.stage("ingest").exists():
        project.record("ingest").unlink(missing_ok=True)  # first of all: what is half removed must not pass for done
        shutil.rmtree(project.stage("ingest"))
        before = None
    record = _start(settings)
    known = read_known(project.index, _journal_path(project), progress.warn)
    if before is not None and hash_value(before.settings) != hash_value(record.settings):
        known = doubt_refusals(known)  # another limit may let them in
    if before is not None and _is_current(project, record, before, found, known):
        progress.say(f"ingest: nothing new among {len(found):,} files")
        return _make_result(project, before, new=0, changed=0, gone=0)
    write_record(project, record)  # `running`: until the end no stage takes what lies there for whole
    shards = ShardWriter(project.cache, short_side=settings.ingest.cache_size, rules=RULES)
    survey = Survey(found, known, shards, max_pixels=settings.ingest.max_pixels)
    if survey.unread:
        _read_images(project, settings, survey, progress)
    scaling = choose_scaling(survey.entries)  # known only when all were read
    survey.doubt_scaling(scaling)
    if survey.unread:
        _read_images(project, settings, survey, progress, scaling=scaling)
    entries = settle_entries(survey.entries)
    write_quarantine(project.quarantine, entries, folders=found.unreadable_folders)
    remedies = (f"`{project.quarantine}` lists them", "to go on without them, raise `ingest.max_bad_share`")
    judge_share(entries, sources, largest=settings.ingest.max_bad_share, hints=remedies)
    record = _finish(project, settings.ingest, record, entries, survey, shards, scaling)
    result = _make_result(project, record, new=survey.new, changed=survey.changed, gone=survey.lost)
    _tell(result, entries, progress)
    return result


def _read_images(
    project: Project, settings: Settings, survey: Survey, progress: Progress, scaling: Scaling = ""
) -> None:
    """Read what is unread into the journal and the shards, if there is room for it."""
    ingest = settings.ingest
    with ReaderPool(
        usable_cores() if settings.workers == "auto" else settings.workers,
        max_pixels=ingest.max_pixels,
        seconds=ingest.decode_seconds,
        short_side=ingest.cache_size,
        scaling=scaling,
        should_stop=lambda: progress.stop_requested() is not None,
    ) as pool:
        survey.check_room(
            pool,
            project.stage("ingest"),
            hints=("free some space", f"or make the copies smaller than `ingest.cache_size: {ingest.cache_size}`"),
        )
        done = len(survey.entries)
        with (
            progress.task("ingest", done + len(survey.unread), unit="images", done=done) as task,
            Journal(_journal_path(project)) as journal,
        ):
            for _ in survey.read(pool, journal):
                task.advance()
    if not survey.is_read:
        raise Interrupted(
            f"ingest stopped after {len(survey.entries):,} files; they are kept",
            signal=progress.stop_requested() or 2,
            hints=("the same command goes on where it stopped",),
        )


def _finish(
    project: Project,
    ingest: IngestSettings,
    record: Record,
    entries: list[ImageEntry],
    survey: Survey,
    shards: ShardWriter,
    scaling: Scaling,
) -> Record:
    """Write the index, the cache's table, the lists and, last of all, the record."""
    images = [entry for entry in entries if entry.state == "ok"]
    cache = shards.publish([(entry.image_id, entry.pixels_key) for entry in images])
    write_index(project.index, [*entries, *survey.gone])
    near = find_near_duplicates([entry.perceptual_hash for entry in images], distance=ingest.near_duplicate_distance)
    write_near_duplicates(project.stage("ingest") / "near_duplicates.csv", images, near)
    states = Counter(entry.state for entry in entries)
    record = finish_record(
        record,
        outputs={
            "images": hash_value([[entry.image_id, entry.pixels_key] for entry in images]),
            "short_side": ingest.cache_size,
            "rules": RULES,
            **({"scaling": scaling} if scaling else {}),
        },
        summary={
            "images": states["ok"],
            "duplicates": states["duplicate"],
            "near_duplicates": len(near),
            "bad": states["bad"],
            "reasons": count_reasons(entries),
            "skipped": states["skipped"] + survey.passed_over,
            "cache_bytes": cache.bytes,
        },
    )
    write_record(project, record)
    _journal_path(project).unlink(missing_ok=True)
    return record


def _is_current(
    project: Project, record: Record, before: Record, found: FoundFiles, known: dict[str, ImageEntry]
) -> bool:
    """Whether the last result is whole and nothing of what it was made from has changed since."""
    is_same = before.state == "done" and hash_value(before.settings) == hash_value(record.settings)
    return is_same and all_unchanged(known, found) and is_untouched(project.cache)


def _tell(result: IngestResult, entries: list[ImageEntry], progress: Progress) -> None:
    progress.say(
        f"ingest: {result.images:,} images ({result.new:,} new, {result.changed:,} changed, {result.gone:,} gone),"
        f" {result.duplicates:,} duplicates left out, {result.near_duplicates:,} look alike,"
        f" cache {show_bytes(result.cache_bytes)}"
    )
    if conversions := count_conversions(entries):
        progress.say(f"ingest: converted {join_counts(conversions)}")
    if result.images < FEW:
        found = "1 image" if result.images == 1 else f"{result.images:,} images"
        progress.warn(f"only {found} to learn from: classes may not fit others; with some hundreds they do better")
    if result.bad:
        progress.warn(f"{result.bad:,} files are left out ({join_counts(result.reasons)}): see `{result.quarantine}`")


def _read_before(project: Project, progress: Progress, *, fresh: bool) -> Record | None:
    """The record of the run before; starting over, a damaged one is as none."""
    try:
        return read_record(project, "ingest")
    except ProjectError as error:
        if not fresh:
            raise
        progress.warn(f"{error.message}: what it chose is forgotten")
        return None


def _keep_choices(settings: Settings, before: Record, *, fresh: bool) -> Settings:
    """What an earlier run was given holds on; starting over, that is only where the images are."""
    if not fresh:
        return keep_earlier_choices(settings, "ingest", before)
    if "images" in stage_settings(settings, "ingest")[1]:
        return settings
    return with_values(settings, {"images": tuple(before.settings.get("images", ()))})


def _start(settings: Settings) -> Record:
    values, explicit = stage_settings(settings, "ingest")
    record = start_record("ingest", settings=values, explicit=explicit, inputs={}, seed=settings.seed)
    return replace(record, versions={**record.versions, "pillow": PIL.__version__})


def _make_result(project: Project, record: Record, *, new: int, changed: int, gone: int) -> IngestResult:
    return IngestResult(
        **record.summary,
        new=new,
        changed=changed,
        gone=gone,
        quarantine=project.quarantine,
        fingerprint=record.fingerprint,
    )


def _absolute_sources(project: Project, settings: Settings) -> list[str]:
    if not settings.images:
        raise ConfigError(
            "nobody said where the images are",
            hints=("give them once: `fs4 ingest --images DIR`", f"or set `images` in `{project.settings_path}`"),
        )
    return [os.path.abspath(os.path.join(project.root, os.path.expanduser(source))) for source in settings.images]


def _journal_path(project: Project) -> Path:
    return project.stage("ingest") / "journal.jsonl"
