"""The pyramid cell of each pixel, through any crop."""

import torch

from fs4cli.data.augment import Placement, draw_placement
from fs4cli.data.cells import divide_map, find_cells, locate_in_image

WHOLE = Placement(torch.tensor([[1.0, 1.0]]), torch.zeros(1, 2))
WHOLE_BOX = torch.tensor([[0.0, 0.0, 1.0, 1.0]])


def test_cells_are_counted_row_by_row():
    places = locate_in_image(WHOLE, WHOLE_BOX, (4, 4))
    assert find_cells(places, 2).tolist() == [[[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]]
    assert find_cells(places, 1).unique().tolist() == [0]
    assert find_cells(places, 4).flatten().tolist() == list(range(16))


def test_a_mirrored_view_has_its_cells_mirrored():
    mirrored = Placement(torch.tensor([[-1.0, 1.0]]), torch.zeros(1, 2))
    assert find_cells(locate_in_image(mirrored, WHOLE_BOX, (2, 2)), 2).tolist() == [[[1, 0], [3, 2]]]


def test_a_view_of_a_window_of_an_image_by_hand():
    # the window is the image's lower right quarter, the view is the window's left half, mirrored
    box = torch.tensor([[0.5, 0.5, 0.5, 0.5]])
    placement = Placement(torch.tensor([[-0.5, 1.0]]), torch.tensor([[-0.5, 0.0]]))
    places = locate_in_image(placement, box, (1, 2))
    # from x = 0.75 down to 0.5 in the image: pixel centres at 0.6875 and 0.5625; y in the middle of 0.5 to 1
    assert places.tolist() == [[[[0.6875, 0.75], [0.5625, 0.75]]]]
    assert find_cells(places, 4).tolist() == [[[14, 14]]]
    assert find_cells(places, 16).tolist() == [[[12 * 16 + 11, 12 * 16 + 9]]]


def test_boxes_may_be_wider_than_high():
    # top, left, height, width: the upper half of the image, full width
    box = torch.tensor([[0.0, 0.0, 0.5, 1.0]])
    assert find_cells(locate_in_image(WHOLE, box, (2, 2)), 2).tolist() == [[[0, 1], [0, 1]]]


def test_cells_agree_with_a_loop_over_pixels(random):
    placement = draw_placement(5, scale=(0.3, 1.0), generator=torch.Generator().manual_seed(1))
    boxes = torch.tensor(random.uniform(0, 0.5, (5, 4)), dtype=torch.float32)
    cells = find_cells(locate_in_image(placement, boxes, (3, 4)), 4)
    for image in range(5):
        for row in range(3):
            for column in range(4):
                across = ((column + 0.5) / 4 * 2 - 1) * placement.scale[image, 0] + placement.shift[image, 0]
                down = ((row + 0.5) / 3 * 2 - 1) * placement.scale[image, 1] + placement.shift[image, 1]
                top, left, height, width = boxes[image]
                x, y = left + (across + 1) / 2 * width, top + (down + 1) / 2 * height
                assert cells[image, row, column] == int(y * 4) * 4 + int(x * 4)


def test_places_beyond_the_image_count_to_the_nearest_cell():
    places = torch.tensor([[[[-0.1, 0.5], [1.0, 1.0], [1.3, -2.0]]]])
    assert find_cells(places, 2).tolist() == [[[2, 3, 1]]]


def test_the_cells_of_a_whole_map_are_those_of_a_view_that_shows_all_of_it():
    # also where the cells do not fit evenly: clustering and the losses must mean the same cell
    for size in ((8, 16), (7, 5), (3, 10)):
        for grid in (1, 2, 3, 4):
            assert torch.equal(divide_map(size, grid), find_cells(locate_in_image(WHOLE, WHOLE_BOX, size), grid)[0])
