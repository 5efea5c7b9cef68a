import shutil

import numpy as np
import pytest
from PIL import Image

from fs4cli.data.images import read_image
from fs4cli.data.masks import read_mask
from fs4cli.demo.folder import SceneFolder, write_scenes
from fs4cli.demo.materials import MATERIALS, PALETTE
from fs4cli.demo.scenes import draw_scene
from fs4cli.errors import Interrupted, ProjectError
from fs4cli.evaluation.classes import find_class_table
from fs4cli.evaluation.pairs import pair_files
from fs4cli.progress import SilentProgress


@pytest.fixture
def folder(tmp_path):
    return SceneFolder(tmp_path / "demo", train=3, test=2)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = SceneFolder(tmp_path_factory.mktemp("drawn") / "demo", train=3, test=2)
    assert write_scenes(folder, progress=SilentProgress()) == 5
    return folder


@pytest.fixture
def written(drawn, folder):
    shutil.copytree(drawn.root, folder.root)
    return folder


class StopAfter(SilentProgress):
    def __init__(self, asks):
        super().__init__()
        self.asks = asks

    def stop_requested(self):
        self.asks -= 1
        return 15 if self.asks < 0 else None


def test_no_truth_lies_among_the_images(written):
    assert sorted(path.name for path in written.images("train").parent.rglob("*") if path.is_file()) == sorted(
        [f"scene-000{number}.jpg" for number in (0, 1, 2)] + [f"scene-000{number}.jpg" for number in (0, 1)]
    )
    assert written.root / "images" not in written.truth("train").parents


def test_images_and_truth_have_one_size_and_belong_together(written):
    for split, count in (("train", 3), ("test", 2)):
        pairing = pair_files(written.truth(split), images=written.images(split))
        assert (len(pairing.pairs), pairing.problems, pairing.unlabelled) == (count, (), ())
        for number in range(count):
            picture, truth = written.paths(split, number)
            assert read_image(picture).size == read_mask(truth).shape == (192, 256)


def test_the_files_hold_the_scenes_and_the_held_out_ones_are_others(written):
    scene = draw_scene(0, 3)  # the first after three to learn from
    picture, truth = written.paths("test", 0)

    assert np.array_equal(read_mask(truth), scene.labels)
    assert np.abs(read_image(picture).pixels.astype(int) - scene.pixels).mean() < 5  # JPEG


def test_an_evaluation_finds_the_names_of_the_materials(written):
    table = find_class_table(written.truth("test"))

    assert table is not None
    assert table.names == MATERIALS


def test_the_truth_is_seen_in_the_colours_of_the_legend(written):
    with Image.open(written.paths("train", 0)[1]) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), PALETTE[np.asarray(image)])


def test_only_what_is_missing_is_drawn_again_and_in_the_same_way(written):
    picture, truth = written.paths("train", 1)
    other = written.paths("train", 2)[0]
    before, stamp = picture.read_bytes(), other.stat().st_mtime_ns
    truth.unlink()
    picture.write_bytes(b"")

    assert write_scenes(written, progress=SilentProgress()) == 1
    assert picture.read_bytes() == before
    assert other.stat().st_mtime_ns == stamp
    assert write_scenes(written, progress=SilentProgress()) == 0


def test_drawing_stops_when_asked_and_goes_on(folder):
    with pytest.raises(Interrupted) as caught:
        write_scenes(folder, progress=StopAfter(2))

    assert caught.value.exit_code == 143
    assert write_scenes(folder, progress=SilentProgress()) == 3


def test_a_folder_with_anything_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")

    with pytest.raises(ProjectError, match="is not empty"):
        write_scenes(SceneFolder(tmp_path), progress=SilentProgress())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_demo_of_other_scenes_is_left_alone(written):
    with pytest.raises(ProjectError, match="another demo"):
        write_scenes(SceneFolder(written.root, train=4, test=2), progress=SilentProgress())
