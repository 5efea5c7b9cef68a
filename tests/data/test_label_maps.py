"""Pseudo-label maps on disk, cut as the crops of a batch."""

import numpy as np
import pytest
import torch

from fs4cli.data.augment import Placement
from fs4cli.data.cells import locate_in_image
from fs4cli.data.label_maps import LabelMaps, LabelMapWriter
from fs4cli.errors import ProjectError

FIRST = np.array([[0, 1, 2, 3], [4, 5, 6, 7]])
SECOND = np.array([[300, 9], [10, 11], [12, 13]])


@pytest.fixture
def maps(tmp_path) -> LabelMaps:
    writer = LabelMapWriter(tmp_path)
    writer.add(FIRST, np.full((2, 4), 0.2))
    writer.add(SECOND, np.array([[0, 0.5], [1, 1], [1, 1]]))
    return writer.finish()


def test_maps_come_back_as_they_were_written(maps):
    assert len(maps) == 2
    assert maps[0].tolist() == FIRST.tolist()
    assert maps[1].tolist() == SECOND.tolist()
    assert maps.confidence(0).tolist() == [[51] * 4] * 2
    assert maps.confidence(1).tolist() == [[0, 128], [255, 255], [255, 255]]


def test_there_is_no_map_beyond_the_last(maps):
    for position in (2, -1):
        with pytest.raises(IndexError):
            maps[position]
        with pytest.raises(IndexError):
            maps.confidence(position)
    assert [labels.shape for labels in maps] == [(2, 4), (3, 2)]


def test_a_cut_of_the_whole_image_is_the_map(maps):
    whole = Placement(torch.tensor([[1.0, 1.0]]), torch.zeros(1, 2))
    places = locate_in_image(whole, torch.tensor([[0.0, 0.0, 1.0, 1.0]]), (3, 2))
    labels, confidence = maps.cut(torch.tensor([1]), places)
    assert labels[0].tolist() == SECOND.tolist()
    assert confidence[0, 0].tolist() == pytest.approx([0, 128 / 255])


def test_each_place_takes_the_label_of_the_pixel_it_lies_in(maps, random):
    indices = torch.tensor([1, 0, 1])
    places = torch.tensor(random.random((3, 5, 6, 2)), dtype=torch.float32)
    labels, confidence = maps.cut(indices, places)
    for image, index in enumerate(indices.tolist()):
        whole = (FIRST, SECOND)[index]
        for row in range(5):
            for column in range(6):
                x, y = places[image, row, column].tolist()
                pixel = int(y * whole.shape[0]), int(x * whole.shape[1])
                assert labels[image, row, column] == whole[pixel]
                assert confidence[image, row, column] == pytest.approx(maps.confidence(index)[pixel] / 255)


def test_places_beyond_the_image_take_its_nearest_pixel(maps):
    places = torch.tensor([[[[-0.5, -0.5], [1.0, 1.0], [2.0, 0.0]]]])
    assert maps.cut(torch.tensor([0]), places)[0].tolist() == [[[0, 7, 3]]]


def test_maps_that_were_never_finished_are_not_found(tmp_path):
    writer = LabelMapWriter(tmp_path)
    writer.add(FIRST, np.ones((2, 4)))
    with pytest.raises(FileNotFoundError):
        LabelMaps(tmp_path)


def test_a_new_writer_takes_back_that_the_old_maps_are_finished(maps):
    LabelMapWriter(maps.folder)
    with pytest.raises(FileNotFoundError):
        LabelMaps(maps.folder)


@pytest.mark.parametrize("name", ["labels.bin", "confidence.bin", "table.npy"])
@pytest.mark.parametrize("left", [0, 1])
def test_a_file_cut_short_is_refused(maps, name, left):
    path = maps.folder / name
    path.write_bytes(path.read_bytes()[: -1 if left else 0])
    with pytest.raises(ProjectError, match="damaged"):
        LabelMaps(maps.folder)
