import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from fs4cli.data.index import ImageEntry, make_image_id, read_index, settle_entries, write_index
from fs4cli.data.near_duplicates import NearDuplicate, find_near_duplicates
from fs4cli.data.quarantine import judge_share, write_near_duplicates, write_quarantine
from fs4cli.data.sources import find_images, show_path
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


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def paths_of(*sources: Path | str, pattern: str = "*") -> list[str]:
    return [file.path for file in find_images([str(source) for source in sources], pattern)]


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


def test_bad_files_are_no_duplicates_of_each_other():
    settled = settle_entries([entry("a.jpg", height=0, reason="x"), entry("b.jpg", height=0, reason="x")])

    assert [one.state for one in settled] == ["bad", "bad"]


def test_folders_are_walked_to_the_bottom_in_an_order_of_names_alone(tmp_path: Path):
    touch(*(tmp_path / name for name in ["b/2.jpg", "b/1.jpg", "a.jpg", "B/x.jpg", "b.jpg/inside.jpg", "b/c/d/e.jpg"]))

    assert paths_of(tmp_path) == ["B/x.jpg", "a.jpg", "b.jpg/inside.jpg", "b/1.jpg", "b/2.jpg", "b/c/d/e.jpg"]


def test_links_in_a_circle_and_links_upwards_are_not_followed(tmp_path: Path):
    photos = tmp_path / "photos"
    touch(tmp_path / "beside.jpg", photos / "a" / "1.jpg", photos / "b" / "2.jpg")
    (photos / "loop").symlink_to(".")
    (photos / "a" / "up").symlink_to("../..")
    (photos / "b" / "sideways").symlink_to("../a")
    (photos / "itself").symlink_to("itself")

    found = find_images([str(photos)])

    assert [file.path for file in found if not file.problem] == ["a/1.jpg", "b/2.jpg"]
    assert [file.path for file in found if file.problem] == ["itself"]


def test_a_folder_that_is_linked_to_is_walked_at_its_link(tmp_path: Path):
    touch(tmp_path / "elsewhere" / "1.jpg", tmp_path / "photos" / "2.jpg")
    (tmp_path / "photos" / "link").symlink_to(tmp_path / "elsewhere")

    assert paths_of(tmp_path / "photos") == ["2.jpg", "link/1.jpg"]


def test_a_link_to_a_file_counts_once_and_the_file_goes_first(tmp_path: Path):
    touch(tmp_path / "photos" / "z.jpg", tmp_path / "elsewhere.jpg")
    (tmp_path / "photos" / "a.jpg").symlink_to("z.jpg")
    (tmp_path / "photos" / "outside.jpg").symlink_to(tmp_path / "elsewhere.jpg")

    assert paths_of(tmp_path / "photos") == ["outside.jpg", "z.jpg"]


def test_dangling_links_pipes_and_vanished_files_have_their_reason(tmp_path: Path):
    (tmp_path / "dangling.jpg").symlink_to("/nonexistent.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")

    found = find_images([str(tmp_path), str(tmp_path / "pipe.jpg")])

    assert [(file.path, file.problem) for file in found] == [
        ("dangling.jpg", "file not found"),
        ("pipe.jpg", "not a regular file: a named pipe"),
    ]


def test_a_file_given_through_two_roots_counts_once_under_the_first(tmp_path: Path):
    touch(tmp_path / "a" / "b" / "1.jpg", tmp_path / "a" / "2.jpg")

    twice = find_images([str(tmp_path / "a" / "b"), str(tmp_path / "a"), str(tmp_path / "a" / "2.jpg"), str(tmp_path)])

    assert [(Path(file.root).name, file.path) for file in twice] == [("b", "1.jpg"), ("a", "2.jpg")]


def test_hidden_and_system_files_are_passed_over_unless_named(tmp_path: Path):
    names = [".hidden.jpg", "._a.jpg", ".git/1.jpg", "Thumbs.db", "__MACOSX/a.jpg", ".DS_Store", "a.jpg"]
    touch(*(tmp_path / name for name in names))

    found = find_images([str(tmp_path)])

    assert [file.path for file in found] == ["a.jpg"]
    assert found.passed_over == 6
    assert paths_of(tmp_path / ".hidden.jpg") == [".hidden.jpg"]
    assert paths_of(tmp_path / ".git") == ["1.jpg"]


def test_the_pattern_goes_by_names_in_either_case(tmp_path: Path):
    touch(*(tmp_path / name for name in ["a.jpg", "b.JPG", "sub/c.Jpg", "d.png", "jpg"]))

    assert paths_of(tmp_path, pattern="*.jpg") == ["a.jpg", "b.JPG", "sub/c.Jpg"]


@pytest.mark.parametrize(
    "glob, matches",
    [
        ("*.jpg", ["a.jpg"]),
        ("s*/*.jpg", ["sub/b.jpg"]),
        ("**/*.jpg", ["a.jpg", "sub/b.jpg", "sub/deep/c.jpg"]),
        ("sub/**", ["b.jpg", "deep/c.jpg", "deep/d.png"]),
        ("s?b", ["sub/b.jpg", "sub/deep/c.jpg", "sub/deep/d.png"]),
        ("**/[cd].*", ["sub/deep/c.jpg", "sub/deep/d.png"]),
    ],
)
def test_globs_match_as_in_a_shell_and_matched_folders_are_walked(tmp_path: Path, glob, matches):
    touch(*(tmp_path / name for name in ["a.jpg", "sub/b.jpg", "sub/deep/c.jpg", "sub/deep/d.png", ".h/e.jpg"]))
    (tmp_path / "sub" / "deep" / "loop").symlink_to("../..")

    assert paths_of(f"{tmp_path}/{glob}") == matches


def test_a_name_with_brackets_is_a_name_where_there_is_such_a_file(tmp_path: Path):
    touch(tmp_path / "100%25 {braces} [x].jpg", tmp_path / "x.jpg")

    assert paths_of(tmp_path / "100%25 {braces} [x].jpg") == ["100%25 {braces} [x].jpg"]


def test_a_list_file_names_files_one_a_line(tmp_path: Path):
    touch(tmp_path / "a.jpg", tmp_path / "sub" / "b.jpg", tmp_path / "far" / "c.jpg", tmp_path / "far" / "e.jpg")
    (tmp_path / "lists").mkdir()
    lines = ["# a remark", "", "a.jpg", "sub/b.jpg\r", str(tmp_path / "far" / "c.jpg"), "../far", "none.jpg"]
    (tmp_path / "list.txt").write_bytes("\ufeff".encode() + "\n".join(lines).replace("../far", "far").encode())

    found = find_images([str(tmp_path / "list.txt")])

    assert sorted((file.path, file.problem) for file in found) == [
        ("a.jpg", ""),
        ("c.jpg", ""),
        ("e.jpg", ""),
        ("none.jpg", "file not found"),
        ("sub/b.jpg", ""),
    ]


def test_a_source_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="there is no `.*/none`"):
        find_images([str(tmp_path / "none")])
    with pytest.raises(InputError, match="nothing matches `.*none"):
        find_images([f"{tmp_path}/*.none"])


def test_folders_of_our_own_are_not_entered(tmp_path: Path):
    touch(tmp_path / "a.jpg", tmp_path / "project" / "predict" / "mask.png", tmp_path / "project" / "photos" / "b.jpg")

    def names(source: Path) -> list[str]:
        return [file.path for file in find_images([str(source)], except_folders=[str(tmp_path / "project")])]

    assert names(tmp_path) == ["a.jpg"]
    assert names(tmp_path / "project" / "photos") == ["b.jpg"]


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may list everything")
def test_a_folder_without_permission_is_reported(tmp_path: Path):
    touch(tmp_path / "a.jpg", tmp_path / "closed" / "b.jpg")
    (tmp_path / "closed").chmod(0)

    found = find_images([str(tmp_path)])
    (tmp_path / "closed").chmod(0o755)

    assert [file.path for file in found] == ["a.jpg"]
    assert found.unreadable_folders == (str(tmp_path / "closed"),)


def test_what_cannot_be_printed_is_shown_as_an_escape():
    assert show_path(os.fsdecode(b"a\xe9\n\tb")) == "a\\xe9\\n\\tb"
    assert show_path("\u202egpj.exe") == "\\u202egpj.exe"
    assert show_path("ünïcödé 日本語 🌲 a b") == "ünïcödé 日本語 🌲 a b"


def test_the_quarantine_has_one_line_a_file_whatever_the_names(tmp_path: Path):
    entries = [entry(name, height=0, reason="too small: 1 x 1") for name in ODD_NAMES] + [entry("good.jpg")]

    write_quarantine(tmp_path / "quarantine.csv", entries, folders=["/photos/closed"])

    text = (tmp_path / "quarantine.csv").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 1 + len(ODD_NAMES) + 1
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["file"] for row in rows] == [f"/photos/{show_path(name)}" for name in ODD_NAMES] + ["/photos/closed"]
    assert {row["kind"] for row in rows[:-1]} == {"too small"}
    assert not any(row["file"].startswith(("=", "+", "-", "@")) for row in rows)


def test_near_duplicates_are_those_that_differ_in_few_bits():
    hashes = ["00000000000000ff", "", "00000000000000fe", "ffffffffffffffff", "00000000000000ff", "000000000000f0ff"]

    found = find_near_duplicates(hashes, distance=4)

    assert found == [NearDuplicate(2, 0, 1), NearDuplicate(4, 0, 0), NearDuplicate(5, 0, 4)]


@pytest.mark.parametrize("distance", [0, 1, 4, 7, 20, 63, 64])
def test_no_near_duplicate_is_missed(random: np.random.Generator, distance):
    values = [int(value) for value in random.integers(0, 2**63, size=150, dtype=np.uint64)]
    for place in range(2, 150, 3):  # every third resembles the one two before it
        values[place] = values[place - 2]
        for bit in random.integers(0, 64, size=6):
            values[place] ^= 1 << int(bit)
    expected = []
    for later in range(150):
        apart = [(values[later] ^ values[earlier]).bit_count() for earlier in range(later)]
        if apart and min(apart) <= distance:
            expected.append(NearDuplicate(later, apart.index(min(apart)), min(apart)))

    assert find_near_duplicates([f"{value:016x}" for value in values], distance=distance) == expected


def test_no_picture_resembles_another_where_there_are_none():
    assert find_near_duplicates([], distance=4) == []
    assert find_near_duplicates(["", ""], distance=64) == []


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
