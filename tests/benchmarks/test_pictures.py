"""Which masks a sheet of the quality bench shows."""

from pathlib import Path

from cells import Cell, Result
from pictures import choose_shown, find_masks


def make_result(seed: int) -> Result:
    return Result("camvid", "fs4", seed, 750, (), {}, "done")


def test_the_masks_of_a_result_lie_where_its_cell_put_them(tmp_path: Path):
    assert find_masks(make_result(1), tmp_path) == tmp_path / "runs" / Cell("camvid", "fs4", 1, 750).place / "masks"


def test_a_sheet_shows_the_lowest_seed_whose_masks_are_there(tmp_path: Path):
    results = [make_result(seed) for seed in (2, 0, 1)]
    for seed in (1, 2):
        find_masks(make_result(seed), tmp_path).mkdir(parents=True)

    assert choose_shown(results, tmp_path) == make_result(1)


def test_there_is_no_sheet_of_a_bench_that_goes_on_from_figures_alone(tmp_path: Path):
    assert choose_shown([make_result(0), make_result(1)], tmp_path) is None
