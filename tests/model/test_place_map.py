import pytest
import torch

from fs4cli.model.axes import AXES, PLACE
from fs4cli.model.place_map import PLACES, PlaceMap


def make_ramp() -> PlaceMap:
    """The first number rises by 1 from column to column of places, the second from row to row."""
    steps = torch.arange(PLACES, dtype=torch.float32)
    return PlaceMap(torch.stack([steps.expand(PLACES, -1), steps[:, None].expand(-1, PLACES)]))


def test_what_lies_at_a_place_stands_for_row_and_column_and_nothing_else_changes():
    described = torch.rand(2, AXES, PLACES, PLACES)
    mapped = make_ramp()(described)
    others = [axis for axis in range(AXES) if axis not in PLACE]

    assert mapped[1, PLACE[0], 3].tolist() == list(range(PLACES))
    assert mapped[0, PLACE[1], :, 5].tolist() == list(range(PLACES))
    assert torch.equal(mapped[:, others], described[:, others])


def test_between_the_middles_of_places_it_changes_evenly():
    mapped = make_ramp()(torch.zeros(1, AXES, 2 * PLACES, 2 * PLACES))[0, PLACE[0], 0]

    # cells lie a quarter of a place beside the middles; beyond the outermost middle nothing is known
    assert mapped[:5].tolist() == [0, 0.25, 0.75, 1.25, 1.75]
    assert mapped[-1] == PLACES - 1


@pytest.mark.parametrize("size", [(8, 12), (5, 7), (40, 30)])
def test_a_mirrored_image_has_mirrored_places(size):
    described = torch.rand(1, AXES, *size)
    place_map = PlaceMap(torch.rand(2, PLACES, PLACES))
    mirrored = place_map(described.flip(3), is_mirrored=True)

    assert torch.allclose(mirrored.flip(3), place_map(described), atol=1e-6)
