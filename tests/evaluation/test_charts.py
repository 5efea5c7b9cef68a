"""The pictures of a report, and its table."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fs4cli.evaluation.charts import share_rows, write_charts
from fs4cli.evaluation.classes import ClassTable
from fs4cli.evaluation.confusion import Tally, count_image
from fs4cli.evaluation.report import build_report
from fs4cli.evaluation.tables import write_table

TABLE = ClassTable(("cat", "sky", "sea"), ((0,), (1,), (2,)), frozenset({255}), ("thing", "stuff", "stuff"))


@pytest.fixture
def report():
    tally = Tally()
    tally.add(count_image(np.array([[4, 4, 4, 2, 2, 4]]), np.array([[0, 0, 0, 1, 1, 1]])))
    return build_report(tally, TABLE, source={}, skipped=(), unlabelled=0)


def test_clusters_stand_in_the_order_of_their_classes_and_each_class_adds_up_to_one(report):
    assert share_rows(report) == pytest.approx(np.array([[1, 0], [1 / 3, 2 / 3], [0, 0]]))


def test_both_pictures_are_written_as_svg_and_png(report, tmp_path):
    paths = write_charts(tmp_path / "charts", report)
    assert {path.name for path in paths} == {"class_iou.svg", "class_iou.png", "confusion.svg", "confusion.png"}
    for path in paths:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert min(picture.size) > 100
        else:
            assert path.read_text().lstrip().startswith("<?xml")


def test_a_report_without_a_labelled_pixel_is_drawn_too(tmp_path):
    tally = Tally()
    tally.add(count_image(np.array([[0, 1]]), np.array([[-1, -1]])))
    assert len(write_charts(tmp_path, build_report(tally, TABLE, source={}, skipped=(), unlabelled=0))) == 4


def test_matplotlib_is_not_imported_before_a_chart_is_drawn():
    code = "import sys, fs4cli.evaluation.charts; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_table_has_a_row_a_figure_and_nothing_where_there_is_none(report, tmp_path):
    write_table(tmp_path / "figures.csv", report)
    with (tmp_path / "figures.csv").open(newline="") as file:
        rows = {(row["part"], row["figure"], row["class"]): row["value"] for row in csv.DictReader(file)}
    assert float(rows["all", "accuracy", ""]) == pytest.approx(5 / 6)
    assert float(rows["all", "iou", "cat"]) == pytest.approx(3 / 4)
    assert float(rows["stuff", "iou", "sky"]) == pytest.approx(2 / 3)
    assert rows["all", "iou", "sea"] == ""
    assert float(rows["things", "accuracy", ""]) == 1.0
    assert ("things (picie-as-released)", "miou", "") in rows
