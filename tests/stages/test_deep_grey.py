"""Grey of 16 bits: the pictures of one folder become 8 bits in one way, from ingest to the score."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from photo_folder import entries_of, ingest, snapshot
from PIL import Image
from toy_project import choose_tiny, draw_picture

from fs4cli.data.cache import ImageCache
from fs4cli.data.images import decode_image, read_image
from fs4cli.data.index import read_index
from fs4cli.errors import Interrupted
from fs4cli.pipeline import train_from_images
from fs4cli.progress import SilentProgress, SilentTask, Task
from fs4cli.project.project import Project
from fs4cli.project.record import read_record
from fs4cli.project.verify import verify_project
from fs4cli.stages.evaluate import run_evaluate
from fs4cli.stages.predict import run_predict

DIM, BRIGHT = 0.45, 0.55
"""Bright ends on both sides of half the range: by themselves the first are stretched, the second are not."""


def save_deep(path: Path, number: int, end: float) -> Path:
    """A picture of grey squares from 0 to `end` of 65535."""
    path.parent.mkdir(parents=True, exist_ok=True)
    squares = np.random.default_rng(number).permutation(np.linspace(0, end * 65535, 20)).reshape(4, 5)
    Image.fromarray(np.kron(squares, np.ones((10, 12))).round().astype(np.uint16)).save(path)
    return path


def save_series(folder: Path, ends: list[float]) -> Path:
    for number, end in enumerate(ends):
        save_deep(folder / f"{number:02}.png", number, end)
    return folder


def brightest(project: Project) -> list[int]:
    return [int(pixels.max()) for pixels in ImageCache.open(project.cache)]


@pytest.mark.parametrize(
    ("ends", "scaling", "shown"),
    [
        ([DIM] * 3, "stretch", [255] * 3),
        ([BRIGHT] * 3, "range", [140] * 3),
        ([DIM, BRIGHT, BRIGHT, BRIGHT], "stretch", [255] * 4),
        ([DIM] + [BRIGHT] * 9, "range", [115] + [140] * 9),
    ],
)
def test_neighbours_of_a_series_do_not_differ_in_how_they_are_scaled(project: Project, tmp_path, ends, scaling, shown):
    ingest(project, save_series(tmp_path / "series", ends))

    assert brightest(project) == shown
    record = read_record(project, "ingest")
    assert record is not None and record.outputs["scaling"] == scaling
    assert {entry.scaling for entry in read_index(project.index)} == {scaling}
    assert not verify_project(project).damages


def test_what_was_scaled_for_the_folder_is_said(project: Project, tmp_path):
    progress = SilentProgress()

    ingest(project, save_series(tmp_path / "series", [DIM, DIM, BRIGHT]), progress=progress)

    (said,) = (line for line in progress.said if "converted" in line)
    assert "2 16 bit to 8 by percentile, 1 16 bit to 8 by percentile as its folder" in said


def test_flat_pictures_and_elevations_have_no_choice(project: Project, tmp_path):
    series = save_series(tmp_path / "series", [DIM, DIM])
    Image.fromarray(np.full((40, 60), 51400, np.uint16)).save(series / "flat.png")
    heights = np.linspace(-100, 100, 2400, dtype=np.float32).reshape(40, 60)
    Image.fromarray(heights).save(series / "heights.tif")

    ingest(project, series)

    found = entries_of(project)
    assert [found[name].scaling for name in ("00.png", "flat.png", "heights.tif")] == ["stretch", "", ""]
    assert brightest(project)[:3] == [255, 255, 200]


def test_more_pictures_may_change_it_and_end_as_a_run_from_scratch(project: Project, tmp_path):
    series = save_series(tmp_path / "series", [DIM] + [BRIGHT] * 8)
    ingest(project, series)
    assert set(brightest(project)) == {255}
    save_deep(series / "09.png", 9, BRIGHT)

    result = ingest(project, series)

    assert (result.new, result.changed) == (1, 0)
    other = Project(tmp_path / "other")
    other.root.mkdir()
    assert ingest(other, series).fingerprint == result.fingerprint
    assert brightest(project) == brightest(other) == [115] + [140] * 9
    before = snapshot(project.root)
    ingest(project, series)
    assert snapshot(project.root) == before


@pytest.mark.parametrize(("in_pass", "after"), [(1, 2), (1, 6), (2, 1), (2, 3)])
def test_a_run_stopped_in_either_pass_ends_as_one_in_one_go(project: Project, tmp_path, in_pass, after):
    series = save_series(tmp_path / "series", [BRIGHT] * 4 + [DIM] * 2)  # four are read twice
    with pytest.raises(Interrupted):
        ingest(project, series, progress=_StoppingInPass(in_pass, after))

    ingest(project, series)

    assert brightest(project) == [255] * 6
    assert {entry.scaling for entry in read_index(project.index)} == {"stretch"}


class _StoppingInPass(SilentProgress):
    """Asks to stop once so many images of a pass over them are read."""

    def __init__(self, number: int, after: int):
        super().__init__()
        self.number, self.after, self.passes, self.read = number, after, 0, 0

    @contextmanager
    def task(self, name: str, total: int | None, *, unit: str, done: int = 0) -> Iterator[Task]:
        self.passes, self.read = self.passes + 1, 0
        progress = self

        class Counting(SilentTask):
            def advance(self, count: int = 1, **values: float | int | str) -> None:
                progress.read += count

        yield Counting()

    def stop_requested(self) -> int | None:
        return 15 if (self.passes, self.read) >= (self.number, self.after) else None


def test_model_masks_and_scores_see_pictures_as_training_did(tmp_path):
    for number in range(6):
        pixels, _ = draw_picture(number)
        grey = pixels.mean(2) / 255 * 65535 * (0.5 if number % 2 else 1.0)
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(grey.round().astype(np.uint16)).save(tmp_path / "images" / f"{number}.png")
    project = Project(tmp_path / "project")
    project.root.mkdir()
    settings = choose_tiny(pretrain__steps=2, train__steps=2, predict__size=64)
    train_from_images(project, settings, images=[str(tmp_path / "images")], progress=SilentProgress())

    picture = tmp_path / "images" / "0.png"  # bright: by itself it would keep the range
    by_hand = tmp_path / "by_hand.png"
    Image.fromarray(read_image(picture, scaling="stretch").pixels).save(by_hand)
    assert decode_image(picture.read_bytes()).scaling == "range"
    for image in (picture, by_hand):
        out = tmp_path / "masks" / image.name
        run_predict([str(image)], out=out, project=project, model=None, settings=settings, progress=SilentProgress())
    mask, expected = (np.asarray(Image.open(tmp_path / "masks" / name)) for name in ("0.png", "by_hand.png"))
    assert (mask == expected).all()

    (tmp_path / "labels").mkdir()
    (tmp_path / "masks" / "0.png").rename(tmp_path / "labels" / "0.png")
    (tmp_path / "scored").mkdir()
    picture.rename(tmp_path / "scored" / "0.png")
    result = run_evaluate(
        settings, labels=tmp_path / "labels", images=tmp_path / "scored", project=project, progress=SilentProgress()
    )
    assert result.report["metrics"]["all"]["accuracy"] == 1.0
