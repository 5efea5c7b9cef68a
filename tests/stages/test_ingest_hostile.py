import csv
import io
import os
import sys
from pathlib import Path

import pytest
import yaml
from photo_folder import choose, entries_of, ingest, save
from PIL import Image

from fs4cli.data.cache import ImageCache
from fs4cli.data.images import read_image
from fs4cli.data.index import read_index
from fs4cli.errors import InputError, ProjectError
from fs4cli.project.project import Project
from fs4cli.project.record import read_record


def test_a_folder_of_bad_files_is_refused_with_their_kinds(project: Project, tmp_path: Path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"words")
    (folder / "b.jpg").write_bytes(b"")

    with pytest.raises(InputError, match=r"no readable images in `.*/photos`") as caught:
        ingest(project, folder)

    assert caught.value.details == ("looked at 2 files: 1 not an image, 1 0 bytes",)
    assert str(project.quarantine) in caught.value.hints[0]
    rows = list(csv.DictReader(project.quarantine.open(encoding="utf-8")))
    assert [Path(row["file"]).name for row in rows] == ["a.jpg", "b.jpg"]
    with pytest.raises(ProjectError):
        ImageCache.open(project.cache)


def test_too_many_bad_files_stop_it_until_that_is_allowed(project: Project, photos: Path):
    for number in range(4):
        (photos / f"bad{number}.jpg").write_bytes(b"words %d" % number)

    with pytest.raises(InputError, match="4 of 10 images"):
        ingest(project, photos, settings=choose(max_bad_share=0.3))
    record = read_record(project, "ingest")
    assert record is not None and record.state == "running"

    result = ingest(project, photos, settings=choose(max_bad_share=0.4))
    assert (result.images, result.bad, result.reasons) == (6, 4, {"not an image": 4})


def test_files_beside_the_images_are_no_bad_images(project: Project, photos: Path):
    for name in ["labels.json", "notes.txt", "README", "Thumbs.db", ".hidden.png", "annotations.csv"]:
        (photos / name).write_text("words")

    result = ingest(project, photos)

    assert (result.images, result.bad, result.skipped) == (6, 0, 6)
    assert len(project.quarantine.read_text().splitlines()) == 1


def test_a_raised_limit_lets_in_what_it_had_kept_out(project: Project, photos: Path):
    first = ingest(project, photos, save(photos / "large.png", 9, size=(80, 60)), settings=choose(max_pixels=3000))
    second = ingest(project, settings=choose(max_pixels=4800))
    third = ingest(project, settings=choose(max_pixels=3000))

    assert (first.images, first.reasons) == (6, {"too many pixels": 1})
    assert (second.images, second.bad) == (7, 0)
    assert (third.images, third.fingerprint) == (6, first.fingerprint)


def test_black_and_white_pictures_do_not_resemble_each_other(project: Project, photos: Path):
    Image.new("RGB", (40, 40)).save(photos / "black.png")
    Image.new("RGB", (40, 40), (255, 255, 255)).save(photos / "white.png")

    assert ingest(project, photos).near_duplicates == 0


def test_a_file_that_vanishes_while_others_are_read_has_its_reason(
    project: Project, photos: Path, monkeypatch: pytest.MonkeyPatch
):
    find = sys.modules["fs4cli.stages.ingest"].find_images

    def find_and_remove(*arguments, **options):
        found = find(*arguments, **options)
        (photos / "2.png").unlink()
        return found

    monkeypatch.setattr("fs4cli.stages.ingest.find_images", find_and_remove)
    result = ingest(project, photos)

    assert (result.images, result.reasons) == (5, {"file not found": 1})


def test_pipes_loops_and_dangling_links_do_no_harm(project: Project, photos: Path):
    (photos / "loop").symlink_to(".")
    (photos / "sub" / "up").symlink_to("../..")
    (photos / "dangling.jpg").symlink_to("/nonexistent.jpg")
    (photos / "link.png").symlink_to("0.png")
    os.mkfifo(photos / "pipe.jpg")

    result = ingest(project, photos)

    assert (result.images, result.duplicates) == (6, 0)
    assert result.reasons == {"file not found": 1, "not a regular file": 1}
    assert ingest(project, photos).fingerprint == result.fingerprint


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_be_read_later_is_tried_again(project: Project, photos: Path):
    (photos / "0.png").chmod(0)
    first = ingest(project, photos)
    (photos / "0.png").chmod(0o644)

    second = ingest(project, photos)

    assert (first.images, first.reasons) == (5, {"permission denied": 1})
    assert second.images == 6


def test_a_file_that_takes_too_long_is_left_out_and_the_rest_goes_on(project: Project, photos: Path):
    Image.new("L", (14000, 14000)).save(photos / "0slow.png")

    result = ingest(project, photos, settings=choose(decode_seconds=0.4))

    assert (result.images, result.reasons) == (6, {"took too long": 1})


ODD = [b"new\nline.jpg", b"tab\there.jpg", b"latin1_\xe9.jpg", b"back\\slash.jpg", "\u202egpj.exe.jpg".encode()]


def test_odd_names_and_odd_folders_come_through(project: Project, tmp_path: Path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd_\xff"))
    for number, name in enumerate(ODD):
        save(folder / os.fsdecode(name), number)
    (folder / os.fsdecode(b"bad\n\xe9.jpg")).write_bytes(b"words")

    result = ingest(project, folder)
    again = ingest(project)

    assert (result.images, result.bad) == (5, 1)
    assert again.fingerprint == result.fingerprint and again.new == 0
    assert sorted(os.fsencode(path) for path in entries_of(project) if path in map(os.fsdecode, ODD)) == sorted(ODD)
    text = project.quarantine.read_text(encoding="utf-8")
    assert len(text.splitlines()) == 2 and "/odd_\\xff/bad\\n\\xe9.jpg," in text


@pytest.mark.real_data
def test_the_odd_names_in_the_archive_come_through(project: Project, odd_names: Path):
    result = ingest(project, odd_names)

    assert (result.images, result.duplicates, result.bad) == (1, 6, 0)  # all seven hold the same bytes
    assert len(project.index.read_text(encoding="ascii").splitlines()) == 7


@pytest.mark.real_data
def test_a_folder_of_hostile_files_is_ingested_as_it_should_be_twice(project: Project, tmp_path: Path, real_data: Path):
    folder = real_data / "hostile"
    cases = yaml.safe_load((folder / "hostile.yaml").read_text(encoding="utf-8"))["files"]

    first = ingest(project, folder / "files")
    second = ingest(Project(tmp_path / "other"), folder / "files")

    entries = entries_of(project)
    listed = {row["file"]: row["reason"] for row in csv.DictReader(io.StringIO(project.quarantine.read_text("utf-8")))}
    assert len(cases) == 98
    for case in cases:
        path = case["file"].removeprefix("files/")
        answers = {case["expect"], case.get("also_acceptable", case["expect"])}
        entry = entries.get(path)
        if entry is None or entry.state in ("bad", "skipped"):
            assert "reject" in answers, path
            assert case.get("quiet") or str(folder / "files" / path) in listed, path
        else:
            assert answers & {"accept", "convert"}, path
            after = case.get("after")
            assert not after or (entry.height, entry.width) == (after["height"], after["width"]), path
        if case.get("quiet"):
            assert str(folder / "files" / path) not in listed
    assert {path for path, entry in entries.items() if entry.state == "duplicate"} == {
        "dup/original (1).jpg",
        "dup/original.jpg",
        "plain.jpg",
    }
    assert first.fingerprint == second.fingerprint
    assert project.index.read_bytes() == (tmp_path / "other" / "ingest" / "index.jsonl").read_bytes()
    resembling = (project.stage("ingest") / "near_duplicates.csv").read_text()
    for name in ["near_q40", "near_resized", "near_cropped", "near_brighter", "same_pixels.png"]:
        assert f"/dup/{name}" in resembling


@pytest.mark.real_data
def test_the_cached_pixels_are_those_that_reading_gives(project: Project, real_data: Path):
    ingest(project, real_data / "camvid" / "images" / "val" / "0016E5_08*.jpg")

    entries = [entry for entry in read_index(project.index) if entry.state == "ok"]
    cache = ImageCache.open(project.cache)
    assert len(entries) == len(cache) > 3
    for entry, pixels in zip(entries, cache, strict=True):
        assert (pixels == read_image(Path(entry.place), short_side=32).pixels).all()
