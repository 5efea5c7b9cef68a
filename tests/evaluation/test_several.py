"""Several models on the same images: the mean, the spread, and every run as it would be alone."""

import copy
import csv

import numpy as np
import pytest

from fs4cli.errors import InputError
from fs4cli.evaluation.classes import ClassTable
from fs4cli.evaluation.confusion import Tally, count_image
from fs4cli.evaluation.report import build_report
from fs4cli.evaluation.several import join_reports
from fs4cli.evaluation.tables import write_table

TABLE = ClassTable(("sky", "road", "sea"), ((0,), (1,), (2,)), frozenset({255}), ("stuff", "stuff", "thing"))


def report_on(clusters, name):
    tally = Tally()
    tally.add(count_image(np.array([clusters]), np.array([[0, 0, 0, 0, 1, 1, 1, 1]])))
    source = {"labels": "truth", "predictions": name, "model": None}
    return build_report(tally, TABLE, source=source, skipped=(), unlabelled=0)


@pytest.fixture
def reports():
    # accuracies 1, 7/8 and 6/8
    masks = ([0, 0, 0, 0, 1, 1, 1, 1], [5, 5, 5, 5, 5, 3, 3, 3], [0, 0, 0, 1, 0, 1, 1, 1])
    return [report_on(mask, f"seed-{seed}") for seed, mask in enumerate(masks)]


def test_figures_are_means_and_the_spread_is_that_of_a_sample(reports):
    joined = join_reports(reports)
    assert joined["metrics"]["all"]["accuracy"] == pytest.approx(7 / 8)
    assert joined["spread"]["all"]["accuracy"] == {"std": pytest.approx(1 / 8), "min": 6 / 8, "max": 1}
    assert joined["metrics"]["stuff"]["class_iou"]["sky"] == pytest.approx((1 + 4 / 5 + 3 / 5) / 3)
    assert joined["spread"]["all"]["class_iou"]["sky"]["min"] == pytest.approx(3 / 5)
    assert joined["metrics"]["all"]["class_iou"]["sea"] is None
    assert joined["spread"]["all"]["class_iou"]["sea"] is None


def test_every_run_is_in_the_report_as_it_would_be_alone(reports):
    joined = join_reports(copy.deepcopy(reports))
    assert joined["runs"] == reports
    assert joined["source"]["predictions"] == ["seed-0", "seed-1", "seed-2"]
    assert np.array(joined["confusion"]["counts"]).shape == (3, 6, 3)
    assert "means over 3 runs" in joined["notes"][0]


def test_a_note_of_all_runs_is_said_once_and_that_of_one_run_with_its_number(reports):
    reports[1]["notes"].append("only here")
    notes = join_reports(reports)["notes"]
    assert notes.count("run 2: only here") == 1
    assert sum("fitted on the images scored" in note for note in notes) == 1


def test_reports_over_other_classes_are_refused(reports):
    reports[1]["classes"] = reports[1]["classes"][:2]
    with pytest.raises(InputError, match="different classes"):
        join_reports(reports)


def test_the_table_has_the_means_and_the_standard_deviations(reports, tmp_path):
    write_table(tmp_path / "t.csv", join_reports(reports))
    with (tmp_path / "t.csv").open() as file:
        rows = {(part, figure, label): value for part, figure, label, value in csv.reader(file)}
    assert float(rows["all", "accuracy", ""]) == pytest.approx(7 / 8)
    assert float(rows["all (std)", "accuracy", ""]) == pytest.approx(1 / 8)
    assert float(rows["all (std)", "iou", "sky"]) > 0
    assert rows["all (std)", "iou", "sea"] == ""
