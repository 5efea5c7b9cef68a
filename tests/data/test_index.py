import csv
import json
import os
from pathlib import Path

import pytest

from fs4cli.data.index import ImageEntry, choose_scaling, make_image_id, read_index, settle_entries, write_index
from fs4cli.data.near_duplicates import NearDuplicate
from fs4cli.data.quarantine import judge_share, write_near_duplicates, write_quarantine
from fs4cli.data.sources import show_path
from fs4cli.errors import InputError, ProjectError

ODD_NAMES = [
    "new\nline.jpg",
    "tab\there.jpg",
    os.fsdecode(b"latin1_\xe9.jpg"),
    "back\\slash.jpg",
    "\u202egpj.exe.jpg",
    'quote\'s "and" $(echo hi);&.jpg',
    'comma, "quoted".jpg',
    "=cmd|' /C calc'!A0.jpg",
]


def entry(path: str, sha256: str = "aa", *, root: str = "/photos", height: int = 100, **values) -> ImageEntry:
    facts = {
        "image_id": "", "root": root, "path": path, "height": height, "width": height, "bytes": 9, "modified": 1,
        "sha256": sha256, "perceptual_hash": "", "state": "ok" if height else "bad", "is_grey": False,
    }  # fmt: skip
    return ImageEntry(**{**facts, **values})


def test_an_index_comes_back_as_it_was_written_whatever_the_names(tmp_path: Path):
    entries = [entry(name, f"{place:02x}", conversions=("EXIF turn 6",)) for place, name in enumerate(ODD_NAMES)]

    write_index(tmp_path / "index.jsonl", entries)

    assert read_index(tmp_path / "index.jsonl") == entries
    lines = (tmp_path / "index.jsonl").read_text(encoding="ascii").splitlines()
    assert len(lines) == len(ODD_NAMES)
    assert json.loads(lines[0])["path"] == "new\nline.jpg"


def test_there_are_no_records_where_there_is_no_index(tmp_path: Path):
    assert read_index(tmp_path / "index.jsonl") == []


def test_an_index_of_another_version_is_refused(tmp_path: Path):
    (tmp_path / "index.jsonl").write_text('{"image_id": "1", "colour": "red"}\n')

    with pytest.raises(ProjectError, match="not an index of this version"):
        read_index(tmp_path / "index.jsonl")


def test_ids_depend_on_the_relative_path_and_the_content_alone():
    here, there = settle_entries([entry("a/b.jpg", root="/here")]), settle_entries([entry("a/b.jpg", root="/there")])

    assert here[0].image_id == there[0].image_id == make_image_id("a/b.jpg", "aa")
    assert len({make_image_id(*pair) for pair in [("a", "bb"), ("a", "cc"), ("b", "bb"), ("ab", "b")]}) == 4


def test_of_equal_bytes_the_first_is_learned_from():
    settled = settle_entries([entry("a.jpg", "11"), entry("b.jpg", "22"), entry("c.jpg", "11"), entry("d.jpg", "11")])

    assert [one.state for one in settled] == ["ok", "ok", "duplicate", "duplicate"]
    assert settled[2].reason == "duplicate: the same bytes as a.jpg"


def test_the_same_name_and_bytes_under_two_roots_get_two_ids_and_count_once():
    settled = settle_entries([entry("a.jpg", root="/one"), entry("a.jpg", root="/two"), entry("a.jpg", root="/three")])

    assert [one.state for one in settled] == ["ok", "duplicate", "duplicate"]
    assert len({one.image_id for one in settled}) == 3


def test_a_duplicate_takes_over_when_the_first_is_gone():
    before = settle_entries([entry("a.jpg"), entry("b.jpg")])

    (after,) = settle_entries(before[1:])

    assert (after.state, after.reason, after.image_id) == ("ok", "", before[1].image_id)


@pytest.mark.parametrize(
    ("ranges", "stretches", "chosen"),
    [(0, 0, ""), (1, 0, "range"), (0, 1, "stretch"), (9, 1, "range"), (8, 1, "stretch")],
)
def test_the_whole_range_is_kept_where_nine_in_ten_deep_pictures_would_keep_it(ranges, stretches, chosen):
    deep = [entry("a", own_scaling="range")] * ranges + [entry("b", own_scaling="stretch")] * stretches

    assert choose_scaling([*deep, entry("no.jpg"), entry("bad.png", height=0, own_scaling="stretch")]) == chosen


def test_bad_files_are_no_duplicates_of_each_other():
    settled = settle_entries([entry("a.jpg", height=0, reason="x"), entry("b.jpg", height=0, reason="x")])

    assert [one.state for one in settled] == ["bad", "bad"]


def test_the_quarantine_has_one_line_a_file_whatever_the_names(tmp_path: Path):
    entries = [entry(name, height=0, reason="too small: 1 x 1") for name in ODD_NAMES] + [entry("good.jpg")]

    write_quarantine(tmp_path / "quarantine.csv", entries, folders=["/photos/closed"])

    text = (tmp_path / "quarantine.csv").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 1 + len(ODD_NAMES) + 1
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["file"] for row in rows] == [f"/photos/{show_path(name)}" for name in ODD_NAMES] + ["/photos/closed"]
    assert {row["kind"] for row in rows[:-1]} == {"too small"}
    assert not any(row["file"].startswith(("=", "+", "-", "@")) for row in rows)


def test_near_duplicates_are_listed_in_pairs(tmp_path: Path):
    write_near_duplicates(tmp_path / "near.csv", [entry("a.jpg"), entry("b.jpg")], [NearDuplicate(1, 0, 3)])

    assert (tmp_path / "near.csv").read_text() == "file,resembles,distance\n/photos/b.jpg,/photos/a.jpg,3\n"


def test_too_many_bad_files_are_refused_with_their_kinds():
    bad = [
        entry(f"{place}.jpg", height=0, reason=reason) for place, reason in enumerate(["0 bytes", "HEIC: x", "HEIC: y"])
    ]
    skipped = [entry(f"{place}.txt", height=0, state="skipped", reason="not an image") for place in range(9)]

    judge_share([entry("good.jpg"), *bad, *skipped], ["/photos"], largest=0.75, hints=())
    with pytest.raises(InputError, match="3 of 4 images in `/photos` cannot be read") as caught:
        judge_share([entry("good.jpg"), *bad, *skipped], ["/photos"], largest=0.74, hints=("see the list",))
    assert caught.value.details == ("2 HEIC, 1 0 bytes",)
    with pytest.raises(InputError, match="no readable images in `/photos`") as caught:
        judge_share(bad, ["/photos"], largest=1.0, hints=("see the list",))
    assert caught.value.details == ("looked at 3 files: 2 HEIC, 1 0 bytes",)
