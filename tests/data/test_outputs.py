"""Names of masks: legal everywhere, never the same twice, the same every time."""

import os
import string
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fs4cli.data.outputs import name_outputs
from fs4cli.data.sources import FoundFile


def _found(*paths: str, root: str = "/photos") -> list[FoundFile]:
    return [FoundFile(root, path, 1, 1) for path in paths]


def _name(path: str) -> str:
    return name_outputs(_found(path))[0]


def test_the_tree_mirrors_the_source():
    assert name_outputs(_found("a.jpg", "deep/er/a.jpg", "deep/b.tiff")) == ["a", "deep/er/a", "deep/b"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.b.c.tar.jpg", "a.b.c.tar"),
        ("no_extension", "no_extension"),
        ("  leading and trailing space .jpg", "  leading and trailing space "),
        ("-rf.jpg", "-rf"),
        ("100%25 percent {braces} [x].jpg", "100%25 percent {braces} [x]"),
        ("ünïcödé 日本語 фото.jpg", "ünïcödé 日本語 фото"),
        ("emoji_🌲🏠.png", "emoji_🌲🏠"),
        ("cafe\u0301_nfd.jpg", "cafe\u0301_nfd"),
        ("👩\u200d🌾.jpg", "👩\u200d🌾"),
    ],
)
def test_legal_names_keep_their_stem(path, name):
    assert _name(path) == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("new\nline.jpg", "new_line"),
        ("tab\there.jpg", "tab_here"),
        ("nul\x00.jpg", "nul_"),
        ("back\\slash.jpg", "back_slash"),
        ("12:30:01.jpg", "12_30_01"),
        ('quote\'s "and" $(echo hi);&.jpg', "quote's _and_ $(echo hi);&"),
        ("\u202egpj.exe.jpg", "_gpj.exe"),
        ("latin1_\udce9.jpg", "latin1_%e9"),
        ("CON.jpg", "_CON"),
        ("con.tar.jpg", "_con.tar"),
        ("lpt1.jpg", "_lpt1"),
        ("console.jpg", "console"),
        ("../up.jpg", "_/up"),
        ("trailing. ./x.jpg", "trailing/x"),
        ("aux/x.jpg", "_aux/x"),
        ("overlays/x.jpg", "overlays_/x"),
        ("Confidence/x.jpg", "Confidence_/x"),
        ("deep/overlays/x.jpg", "deep/overlays/x"),
    ],
)
def test_names_that_some_system_refuses_are_mended(path, name):
    assert _name(path) == name


def test_names_that_are_too_long_are_cut_but_stay_apart():
    first, second = name_outputs(_found("é" * 120 + "1.jpg", "é" * 120 + "2.jpg"))

    assert first != second
    assert max(len(name.encode()) for name in (first, second)) <= 180


def test_images_of_one_stem_keep_their_endings():
    assert name_outputs(_found("scene.jpg", "scene.png", "other.jpg")) == ["scene.jpg", "scene.png", "other"]


def test_names_that_differ_only_in_case_or_accents_stay_apart():
    names = name_outputs(_found("scene.jpg", "Scene.JPG", "cafe\u0301.jpg", "caf\u00e9.jpg"))

    assert len({name.casefold() for name in names}) == 4
    assert names[0].startswith("scene.jpg-")
    assert names[1].startswith("Scene.JPG-")


def test_a_mask_never_has_the_name_of_a_folder():
    assert name_outputs(_found("x.png/inside.jpg", "x.jpg")) == ["x.png/inside", "x.jpg"]
    assert name_outputs(_found("x.jpg/inside.jpg", "x.tif")) == ["x.jpg/inside", "x.tif"]  # of overlays


def test_an_ending_that_was_kept_does_not_meet_another_stem():
    names = name_outputs(_found("a.jpg", "a.png", "a.jpg.tif"))

    assert len(set(names)) == 3
    assert names[2] == "a.jpg"


def test_several_roots_get_a_folder_each():
    files = _found("a.jpg", root="/x/north") + _found("a.jpg", root="/x/south")
    assert name_outputs(files) == ["north/a", "south/a"]


def test_roots_of_one_name_are_told_apart_by_the_folders_above():
    files = _found("a.jpg", root="/x/images") + _found("a.jpg", root="/y/images")
    assert name_outputs(files) == ["x/images/a", "y/images/a"]


def test_the_root_of_the_disk_is_a_root_too():
    names = name_outputs(_found("a.jpg", root="/") + _found("a.jpg", root="/x"))
    assert len(set(names)) == 2
    assert not any(name.startswith("/") for name in names)


def test_a_name_once_given_stays_and_is_nobody_elses():
    before = name_outputs(_found("a.jpg"))
    now = name_outputs(_found("a.jpg", "a.png"), kept={"/photos/a.jpg": "a"})

    assert before == ["a"]
    assert now == ["a", "a.png"]


def test_a_name_of_an_image_that_is_not_asked_for_is_not_given_away():
    assert name_outputs(_found("a.jpg"), kept={"/elsewhere/a.jpg": "a"}) == ["a.jpg"]


_ODD = st.text(string.ascii_letters[:6] + 'éÉe\u0301. -_:\n\\"日\u202e\udce9', min_size=1, max_size=6)
_PATHS = st.lists(
    st.lists(_ODD.filter(lambda part: part not in (".", "..")), min_size=1, max_size=3).map("/".join),
    unique=True,
    max_size=12,
)


@given(_PATHS, st.randoms())
@example(["..:"], Random(0))
@settings(max_examples=60, deadline=None)
def test_no_two_images_share_a_mask_and_the_order_does_not_matter(paths, random):
    def is_folder_of_another(path: str) -> bool:
        return any(other.startswith(path + "/") for other in paths)

    files = _found(*[path for path in paths if not is_folder_of_another(path)])
    names = name_outputs(files)
    shuffled = random.sample(range(len(files)), len(files))

    assert len({f"{name}.png".casefold() for name in names}) == len(files)
    assert name_outputs([files[place] for place in shuffled]) == [names[place] for place in shuffled]
    for name in names:
        for part in name.split("/"):
            assert part not in ("", ".", "..")
            assert not set(part) & set('\\:*?"<>|\n\x00')
            part.encode()  # UTF-8
            assert len(os.fsencode(part)) <= 200
