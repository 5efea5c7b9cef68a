"""The table and the file of the quality bench, on cells that nobody ran."""

import argparse
import json
from pathlib import Path

import pytest
from cells import Cell, Result, choose_metrics
from quality import SCHEMA, find_floors, format_table, list_cells, read_results, write_results
from sets import DataSet


def make_result(method: str, seed: int, miou: float, **values) -> Result:
    metrics = {"miou": miou, "accuracy": 0.5, "many_to_one_miou": 0.6, "many_to_one_accuracy": 0.7, "boundary_f": 0.4}
    known = {"set": "allsky", "budget": 600, "options": (), "settings": {}, "state": "done", "metrics": metrics}
    return Result(method=method, seed=seed, **{**known, **values})


def make_floor(name: str, miou: float) -> Result:
    return make_result(f"floor: {name}", 0, miou, budget=0)


def row_of(table: str, method: str) -> list[str]:
    [line] = [line for line in table.splitlines() if f"| {method} |" in line]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_is_the_mean_over_seeds_with_the_lowest_and_the_highest():
    table = format_table([make_result("fs4", seed, miou) for seed, miou in enumerate((0.70, 0.80, 0.75))])

    row = row_of(table, "fs4")
    assert row[:6] == ["allsky", "10 min", "fs4", "3", "75.0", "70.0 to 80.0"]
    assert row[6:9] == ["50.0", "60.0", "40.0"]


def test_every_method_is_held_against_the_best_floor_of_its_set():
    results = [make_floor("colour", 0.50), make_floor("random network", 0.30), make_result("fs4", 0, 0.62)]

    assert find_floors(results) == {"allsky": ("floor: colour", 0.50)}
    table = format_table(results)
    assert row_of(table, "fs4")[-1] == "+12.0"
    assert row_of(table, "**floor: colour**")[-1] == "best floor"
    assert row_of(table, "floor: random network")[-1] == "-20.0"


def test_half_and_double_the_budget_are_rows_of_their_own():
    table = format_table([make_result("fs4", 0, 0.5, budget=budget) for budget in (1200, 300, 600)])

    assert [row.split("|")[2].strip() for row in table.splitlines()[2:]] == ["5 min", "10 min", "20 min"]


def test_a_cell_that_failed_is_named_and_counts_nowhere():
    table = format_table([make_result("fs4", 0, 0.5), make_result("fs4", 1, 0.9, state="failed", metrics={})])

    assert row_of(table, "fs4")[3:5] == ["1", "50.0"]
    assert "failed: allsky, fs4, seed 1" in table


def test_the_speed_of_both_stages_stands_beside_the_result():
    updates = {"pretrain": {"per_minute": 120.0}, "train": {"per_minute": 90.0}}
    row = row_of(format_table([make_result("fs4", 0, 0.5, updates=updates, wall_seconds=630.0)]), "fs4")

    assert row[11:13] == ["10.5", "120 + 90"]


def test_results_are_read_back_as_they_were_written(tmp_path):
    results = [make_result("fs4", 0, 0.5, options=("preset=tiny",)), make_floor("colour", 0.4)]
    write_results(tmp_path / "quality.json", results)

    assert json.loads((tmp_path / "quality.json").read_text())["schema"] == SCHEMA
    assert read_results(tmp_path / "quality.json") == results
    assert read_results(tmp_path / "none.json") == []


def test_a_file_of_another_kind_is_not_written_over(tmp_path):
    (tmp_path / "quality.json").write_text('{"schema": "other/1"}')
    with pytest.raises(ValueError, match="is no `fs4.quality/1`"):
        read_results(tmp_path / "quality.json")


def test_only_a_finished_result_of_the_same_cell_answers_it():
    cell = Cell("allsky", "fs4", 0, 600)

    assert make_result("fs4", 0, 0.5).answers(cell)
    assert not make_result("fs4", 0, 0.5, state="failed").answers(cell)
    for other in ({"seed": 1}, {"budget": 300}, {"options": ("preset=tiny",)}):
        assert not make_result("fs4", **{"seed": 0, "miou": 0.5, **other}).answers(cell)


def test_cells_come_seed_by_seed_and_floors_without_a_budget():
    data = DataSet("allsky", 3, 600, Path(), Path(), Path(), (), ())
    methods = ["floor: most frequent class", "floor: colour", "fs4"]
    options = argparse.Namespace(seeds=[0, 1], methods=methods, budget=None, curve=True, set=[])

    cells = list_cells({"allsky": data}, options)
    assert [(cell.method, cell.seed, cell.budget) for cell in cells] == [
        ("floor: most frequent class", 0, 0),
        ("floor: colour", 0, 0),
        *(("fs4", 0, budget) for budget in (300, 600, 1200)),
        ("floor: colour", 1, 0),
        *(("fs4", 1, budget) for budget in (300, 600, 1200)),
    ]
    assert len({cell.place for cell in cells}) == len(cells)


def test_the_figures_are_those_of_the_report():
    found = {"miou": 0.5, "accuracy": 0.6, "many_to_one_miou": 0.7, "many_to_one_accuracy": 0.8, "boundary_f": 0.4}
    found |= {"nmi": 0.3, "class_iou": {"sky": 0.9}, "ari": 0.1}

    kept = choose_metrics(found)
    assert kept["miou"] == 0.5 and kept["boundary_f"] == 0.4 and kept["iou of sky"] == 0.9
