"""What fs4 made is told from other people's files by its mark."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fs4cli.data.masks import make_palette, write_classes
from fs4cli.data.own_files import is_own_file, leave_out_own
from fs4cli.data.packing import write_outputs
from fs4cli.data.sources import find_images

MASK = np.arange(6, dtype=np.uint8).reshape(2, 3)
PIXELS = np.zeros((2, 3, 3), np.uint8)


def make_outputs(folder: Path) -> dict[str, Path]:
    names = {"overlay": "o.jpg", "confidence": "c.png", "probabilities": "p.npz", "mask": "m.png"}
    paths = {what: folder / name for what, name in names.items()}
    planes = [np.zeros((2, 3), np.float32)] * 6
    write_outputs(paths, MASK, MASK, make_palette(6), pixels=PIXELS, probabilities=planes)
    return paths


def test_all_that_is_made_of_an_image_is_known_again(tmp_path):
    paths = make_outputs(tmp_path)
    assert [what for what, path in paths.items() if is_own_file(path)] == list(paths)


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "arrays.npz", "missing.png", "words.png", "empty.jpg"])
def test_other_files_are_not_ours(tmp_path, name):
    path = tmp_path / name
    if name.startswith("photo"):
        Image.fromarray(PIXELS).save(path)
    elif name == "arrays.npz":
        np.savez(path, probabilities=MASK, more=MASK)
    elif name != "missing.png":
        path.write_bytes(b"words" if name == "words.png" else b"")
    assert not is_own_file(path)


def test_our_pictures_are_left_out_in_and_below_a_folder_with_our_table(tmp_path):
    photos = tmp_path / "photos"
    for folder in (photos / "masks" / "deep", photos / "elsewhere"):
        make_outputs(folder)
    Image.fromarray(PIXELS).save(photos / "masks" / "photo.jpg")
    write_classes(photos / "masks" / "classes.json", ("a",), make_palette(1), model="")

    left = leave_out_own(find_images([str(photos)], "*.[jp][pn]g").files)

    # beside a table that is not ours nothing is opened: a mask there is a picture like any other
    assert [file.path for file in left] == [
        "elsewhere/c.png", "elsewhere/m.png", "elsewhere/o.jpg", "masks/photo.jpg",
    ]  # fmt: skip
