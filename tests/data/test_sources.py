import os
from pathlib import Path

import pytest

from fs4cli.data.sources import find_images, show_path
from fs4cli.errors import InputError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def paths_of(*sources: Path | str, pattern: str = "*") -> list[str]:
    return [file.path for file in find_images([str(source) for source in sources], pattern)]


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
