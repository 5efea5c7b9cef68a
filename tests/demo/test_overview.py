import numpy as np
import pytest

from fs4cli.demo.overview import GAP, HEAD, LINE, NONE, Row, draw_overview

NAMES = ("sky", "road")
PALETTE = np.array([(10, 20, 200), (90, 90, 90)], np.uint8)


def _row(height=20, width=120, truth=0, mask=0):
    pixels = np.full((height, width, 3), 77, np.uint8)
    return Row(pixels, np.full((height, width), truth, np.uint8), np.full((height, width), mask, np.uint8))


def _draw(rows, class_of=(0, 1), title="t"):
    return draw_overview(rows, names=NAMES, palette=PALETTE, class_of=np.array(class_of), title=title)


def _pictures(sheet, number=0, height=20, width=120):
    top = HEAD + number * (height + GAP)
    lefts = [GAP + column * (width + GAP) for column in range(4)]
    return [sheet[top : top + height, left : left + width] for left in lefts]


@pytest.mark.parametrize("rows", [1, 3])
def test_the_sheet_holds_four_pictures_a_row_a_title_and_a_legend(rows):
    sheet = _draw([_row()] * rows)

    assert sheet.shape == (HEAD + rows * (20 + GAP) + LINE + GAP, GAP + 4 * (120 + GAP), 3)


def test_image_truth_and_mask_stand_beside_each_other_in_the_colours_of_the_classes():
    image, truth, mask, overlay = _pictures(_draw([_row(truth=1, mask=0)], class_of=(0, 1)))

    assert (image == 77).all()
    assert (truth == PALETTE[1]).all()
    assert (mask == PALETTE[0]).all()
    assert ((overlay > np.minimum(77, PALETTE[0])) & (overlay < np.maximum(77, PALETTE[0]))).all()  # between the two


def test_clusters_have_the_colour_of_the_class_they_were_matched_with():
    mask = _pictures(_draw([_row(mask=0)], class_of=(1, 0)))[2]

    assert (mask == PALETTE[1]).all()


@pytest.mark.parametrize("cluster", [1, 7])
def test_a_cluster_without_a_class_is_white(cluster):
    mask = _pictures(_draw([_row(mask=cluster)], class_of=(0, -1)))[2]

    assert (mask == NONE).all()


def test_void_is_white_in_the_truth():
    assert (_pictures(_draw([_row(truth=255)]))[1] == NONE).all()


def test_each_row_shows_its_own_image():
    sheet = _draw([_row(mask=0), _row(mask=1)])

    assert (_pictures(sheet, 0)[2] == PALETTE[0]).all()
    assert (_pictures(sheet, 1)[2] == PALETTE[1]).all()


def test_the_title_is_written():
    empty, written = _draw([_row()], title=""), _draw([_row()], title="half of the pixels")

    assert (written[: HEAD - 20] != empty[: HEAD - 20]).any()
    assert (written[HEAD - 18 :] == empty[HEAD - 18 :]).all()


def test_the_legend_has_every_colour_and_more_lines_where_the_sheet_is_narrow():
    wide, narrow = _draw([_row(width=120)]), _draw([_row(width=20)])
    legend = narrow[HEAD + 20 + GAP :].reshape(-1, 3).tolist()

    assert PALETTE[0].tolist() in legend and PALETTE[1].tolist() in legend
    assert narrow.shape[0] == wide.shape[0] + LINE


def test_rows_of_different_sizes_or_none_are_refused():
    with pytest.raises(ValueError, match=r"\(20, 120\), \(21, 120\)"):
        _draw([_row(), _row(height=21)])
    with pytest.raises(ValueError, match="one size"):
        _draw([])
