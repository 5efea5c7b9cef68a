import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from photo_folder import choose, entries_of, ingest, save, snapshot
from PIL import Image

from fs4cli.config import Settings
from fs4cli.data.cache import ImageCache
from fs4cli.data.images import decode_image
from fs4cli.data.index import read_index
from fs4cli.data.masks import make_palette, write_classes
from fs4cli.data.packing import write_outputs
from fs4cli.errors import ConfigError, InputError, ProjectError
from fs4cli.progress import SilentProgress
from fs4cli.project.project import Project
from fs4cli.project.record import read_record


def test_every_image_gets_its_record_and_its_pixels_in_one_order(project: Project, photos: Path):
    result = ingest(project, photos)

    entries, cache = read_index(project.index), ImageCache.open(project.cache)
    assert (result.images, result.new, result.bad, result.duplicates, result.gone) == (6, 6, 0, 0, 0)
    assert [entry.path for entry in entries] == ["0.png", "1.png", "2.png", "3.png", "sub/4.png", "sub/5.png"]
    assert cache.image_ids == [entry.image_id for entry in entries]
    assert cache.sizes.tolist() == [[32, 48]] * 6
    for entry, pixels in zip(entries, cache, strict=True):
        assert (entry.height, entry.width, entry.state, entry.root) == (40, 60, "ok", str(photos))
        assert (pixels == decode_image((photos / entry.path).read_bytes(), short_side=32).pixels).all()
    assert result.cache_bytes == cache.bytes == 6 * 32 * 48 * 3


def test_the_record_is_done_and_tells_what_was_found(project: Project, photos: Path):
    result = ingest(project, photos)

    record = read_record(project, "ingest")
    assert record is not None and record.state == "done"
    assert record.fingerprint == result.fingerprint
    assert record.summary["images"] == 6
    assert record.settings["images"] == [str(photos)]


@pytest.mark.parametrize(("few", "warned"), [(6, []), (7, ["only 6 images"])])
def test_few_images_are_warned_of(project: Project, photos: Path, monkeypatch, few, warned):
    monkeypatch.setattr("fs4cli.stages.ingest.FEW", few)
    progress = SilentProgress()

    ingest(project, photos, progress=progress)

    assert [line[:13] for line in progress.warned] == warned


def test_small_images_are_not_enlarged(project: Project, tmp_path: Path):
    save(tmp_path / "photos" / "small.png", 1, size=(20, 18))

    ingest(project, tmp_path / "photos")

    assert ImageCache.open(project.cache).sizes.tolist() == [[18, 20]]


def test_nothing_is_written_where_the_images_are(project: Project, photos: Path):
    (photos / "bad.jpg").write_bytes(b"words")
    before = snapshot(photos)

    ingest(project, photos)

    assert snapshot(photos) == before


def test_running_again_does_nothing_where_nothing_changed(project: Project, photos: Path):
    first = ingest(project, photos)
    before = snapshot(project.root)
    progress = SilentProgress()

    second = ingest(project, photos, progress=progress)

    assert snapshot(project.root) == before
    assert (second.images, second.new, second.changed, second.gone) == (6, 0, 0, 0)
    assert second.fingerprint == first.fingerprint
    assert progress.said == ["ingest: nothing new among 6 files"]


def test_only_what_is_new_or_changed_is_read_again(project: Project, photos: Path, monkeypatch: pytest.MonkeyPatch):
    first = ingest(project, photos)
    save(photos / "new.png", 100)
    save(photos / "1.png", 101)
    (photos / "2.png").unlink()
    read: list[str] = []
    read_all = sys.modules["fs4cli.data.readers"].ReaderPool.read_all

    def watch(self, paths, **options):
        paths = list(paths)
        if not options.get("only_size"):
            read.extend(path.name for path in paths)
        return read_all(self, paths, **options)

    monkeypatch.setattr("fs4cli.data.readers.ReaderPool.read_all", watch)
    second = ingest(project, photos)

    assert sorted(read) == ["1.png", "new.png"]
    assert (second.images, second.new, second.changed, second.gone) == (6, 1, 1, 1)
    assert second.fingerprint != first.fingerprint
    assert entries_of(project)["2.png"].state == "gone"
    entries = [entry for entry in read_index(project.index) if entry.state == "ok"]
    for entry, pixels in zip(entries, ImageCache.open(project.cache), strict=True):
        assert (pixels == decode_image((photos / entry.path).read_bytes(), short_side=32).pixels).all()


def test_an_incremental_run_ends_as_one_from_scratch(project: Project, photos: Path, tmp_path: Path):
    ingest(project, photos)
    save(photos / "a" / "first.png", 100)
    (photos / "3.png").unlink()
    again = ingest(project, photos)

    fresh = ingest(Project(tmp_path / "other"), photos)

    assert again.fingerprint == fresh.fingerprint
    mine, theirs = ImageCache.open(project.cache), ImageCache.open(tmp_path / "other" / "ingest" / "cache")
    assert mine.image_ids == theirs.image_ids
    assert all((one == other).all() for one, other in zip(mine, theirs, strict=True))


def test_a_touched_file_is_not_a_changed_one(project: Project, photos: Path):
    first = ingest(project, photos)
    for path in photos.glob("*.png"):
        os.utime(path, ns=(1, 1))

    second = ingest(project, photos)

    assert (second.new, second.changed, second.fingerprint) == (0, 0, first.fingerprint)
    assert ingest(project, photos, progress=(progress := SilentProgress())).images == 6
    assert progress.said == ["ingest: nothing new among 6 files"]


def test_a_file_that_comes_back_is_new_again(project: Project, photos: Path, tmp_path: Path):
    first = ingest(project, photos)
    shutil.move(photos / "3.png", tmp_path / "3.png")
    assert ingest(project, photos).gone == 1
    shutil.move(tmp_path / "3.png", photos / "3.png")

    third = ingest(project, photos)

    assert (third.images, third.new, third.gone) == (6, 1, 0)
    assert third.fingerprint == first.fingerprint


def test_ids_and_fingerprint_do_not_depend_on_where_the_images_lie(project: Project, photos: Path, tmp_path: Path):
    here = ingest(project, photos)
    ids = ImageCache.open(project.cache).image_ids
    shutil.copytree(photos, tmp_path / "elsewhere")

    there = ingest(project, tmp_path / "elsewhere")

    assert there.fingerprint == here.fingerprint
    assert ImageCache.open(project.cache).image_ids == ids


def test_a_renamed_image_and_another_cache_size_change_the_fingerprint(project: Project, photos: Path):
    first = ingest(project, photos)
    second = ingest(project, photos, settings=choose(cache_size=36))
    (photos / "0.png").rename(photos / "00.png")
    third = ingest(project, photos, settings=choose(cache_size=36))

    assert len({first.fingerprint, second.fingerprint, third.fingerprint}) == 3
    assert ImageCache.open(project.cache).sizes.tolist() == [[36, 54]] * 6


def test_what_a_run_was_given_holds_for_the_next(project: Project, photos: Path):
    ingest(project, photos, settings=choose(cache_size=36))

    again = ingest(project, settings=Settings(workers=1))
    fresh = ingest(project, settings=choose(cache_size=36), fresh=True)

    assert (again.images, again.new) == (6, 0)
    assert (fresh.images, fresh.new, fresh.fingerprint) == (6, 6, again.fingerprint)


def test_relative_sources_in_the_settings_start_at_the_project(project: Project):
    save(project.root / "images" / "a.png", 1)
    settings = Settings(workers=1, images=("images",))

    assert ingest(project, settings=settings).images == 1


def test_a_project_among_its_images_does_not_learn_from_its_own_masks(tmp_path: Path, photos: Path):
    project = Project(photos / "fs4-project")
    save(project.root / "predict" / "masks" / "0.png", 50)

    assert ingest(project, photos).images == 6
    assert ingest(project, photos / "**" / "*.png").images == 6


def test_masks_and_overlays_among_the_images_are_not_learned_from(project: Project, photos: Path):
    masks = photos / "masks"
    palette = make_palette(2)
    paths = {"overlay": masks / "overlays" / "0.jpg", "mask": masks / "0.png"}
    write_outputs(
        paths,
        np.zeros((40, 60), np.uint8),
        np.zeros((40, 60), np.uint8),
        palette,
        pixels=np.zeros((40, 60, 3), np.uint8),
    )
    write_classes(masks / "classes.json", ("a", "b"), palette, model="")

    result = ingest(project, photos)

    assert (result.images, result.bad) == (6, 0)
    assert not [entry for entry in read_index(project.index) if entry.path.startswith("masks") and entry.state == "ok"]


def test_without_a_source_the_user_is_told_how_to_give_one(project: Project, tmp_path: Path):
    with pytest.raises(ConfigError, match="nobody said where the images are"):
        ingest(project)
    with pytest.raises(InputError, match="there is no"):
        ingest(project, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no files in `.*/empty`"):
        ingest(project, tmp_path / "empty")
    assert not project.root.exists()


def test_exact_duplicates_are_kept_out_and_near_ones_reported(project: Project, photos: Path):
    shutil.copy(photos / "3.png", photos / "sub" / "copy.png")
    with Image.open(photos / "0.png") as picture:
        picture.resize((66, 44)).save(photos / "again.jpg", quality=90)

    result = ingest(project, photos)

    entry = entries_of(project)["sub/copy.png"]
    assert (result.images, result.duplicates, result.near_duplicates) == (7, 1, 1)
    assert (entry.state, entry.reason) == ("duplicate", "duplicate: the same bytes as 3.png")
    (row,) = csv.DictReader((project.stage("ingest") / "near_duplicates.csv").open())
    assert (row["file"], row["resembles"]) == (str(photos / "again.jpg"), str(photos / "0.png"))


def test_the_index_is_plain_json_lines(project: Project, photos: Path):
    ingest(project, photos)

    row = json.loads(project.index.read_text().splitlines()[0])
    assert row["path"] == "0.png" and row["state"] == "ok" and len(row["sha256"]) == 64


def test_ingest_needs_no_torch():
    script = "import sys, fs4cli.stages.ingest; print('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"


def test_a_damaged_record_is_refused_and_starting_over_heals_it(project: Project, photos: Path):
    first = ingest(project, photos)
    project.record("ingest").write_text("{")
    with pytest.raises(ProjectError, match="is damaged"):
        ingest(project, photos)

    assert ingest(project, photos, fresh=True).fingerprint == first.fingerprint
