"""Small folders of the quality bench: which images are learned from, and which may not be seen."""

from pathlib import Path

import pytest
from PIL import Image
from sets import open_set


@pytest.fixture
def sky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty images to learn from, 00.png to 39.png, one held out; no labels are read here."""
    images = tmp_path / "data" / "allsky" / "images"
    for split, count in (("train", 40), ("test", 1)):
        (images / split).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (2, 2), (number, 0, 0)).save(images / split / f"{number:02d}.png")
    monkeypatch.setenv("FS4_DATA", str(tmp_path / "data"))
    return images


def test_a_small_folder_holds_every_second_of_forty_images(sky: Path, tmp_path: Path) -> None:
    few = open_set("allsky-20", tmp_path / "work")
    assert sorted(path.name for path in few.train.iterdir()) == [f"{number:02d}.png" for number in range(1, 40, 2)]


def test_a_small_folder_is_scored_on_the_same_images_as_the_whole_one(sky: Path, tmp_path: Path) -> None:
    few, whole = (open_set(name, tmp_path / "work") for name in ("allsky-20", "allsky"))
    assert (few.classes, few.test, few.labels) == (whole.classes, whole.test, whole.labels)


def test_the_images_left_out_of_a_small_folder_may_not_be_seen(sky: Path, tmp_path: Path) -> None:
    few, whole = (open_set(name, tmp_path / "work") for name in ("allsky-20", "allsky"))
    assert {whole.train, *whole.held_out} == set(few.held_out)
