"""What the report says of a tally."""

import json

import numpy as np
import pytest

from fs4cli.evaluation.classes import ClassTable
from fs4cli.evaluation.confusion import Tally, count_image
from fs4cli.evaluation.problems import Problem
from fs4cli.evaluation.report import build_report, list_classes, percent, summarize, write_report

TABLE = ClassTable(("sky", "road", "sea"), ((0,), (1,), (2,)), frozenset({255}))


def report_on(clusters, labels, skipped=()):
    tally = Tally()
    tally.add(count_image(np.array(clusters), np.array(labels)))
    return build_report(tally, TABLE, source={}, skipped=skipped, unlabelled=0)


def test_a_report_holds_fractions_and_null_for_what_occurs_nowhere():
    report = report_on([[1, 1, 1, 0, 0, 0, 0, 1, 1, 1]], [[0, 0, 0, 1, 1, 1, 1, 1, -1, -1]])
    scores = report["metrics"]["all"]
    assert scores["accuracy"] == pytest.approx(7 / 8)
    assert scores["class_iou"] == {"sky": pytest.approx(3 / 4), "road": pytest.approx(4 / 5), "sea": None}
    assert scores["miou"] == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert report["matching"]["class_of"] == {"0": "road", "1": "sky"}
    assert report["matching"]["fitted_on"] == "the images scored"
    assert report["counted"]["pixels"] == 8
    assert report["counted"]["void_pixels"] == 2
    assert report["confusion"]["counts"] == [[0, 4, 0], [3, 1, 0]]


def test_spare_clusters_are_listed_with_their_share():
    report = report_on([[0, 0, 0, 0, 3, 2, 1, 1]], [[0, 0, 0, 0, 0, 0, 1, 1]])
    # clusters 2 and 3 are left over; one of them is given to the sea, which no label has
    assert report["matching"]["class_of"] == {"0": "sky", "1": "road", "2": "sea", "3": None}
    assert report["spare_clusters"] == [{"cluster": 3, "pixels": 1, "share": 1 / 8}]
    assert any("1 spare cluster " in note and "12.5 %" in note for note in report["notes"])
    assert any("no label has sea" in note and "mIoU is 83.3 %" in note for note in report["notes"])


def test_nothing_but_void_gives_null_everywhere_and_says_so():
    report = report_on([[0, 1]], [[-1, -1]])
    scores = report["metrics"]["all"]
    assert {scores[key] for key in ("accuracy", "miou", "boundary_f", "nmi", "ari", "many_to_one_miou")} == {None}
    assert report["notes"] == ["no labelled pixel: every figure is null"]
    assert summarize(report)[1] == ("one cluster a class", "-", "-")
    json.dumps(report, allow_nan=False)


def test_pixels_without_an_answer_are_errors_and_said():
    report = report_on([[0, 0, 1, -1]], [[0, 0, 1, 1]])
    assert report["metrics"]["all"]["accuracy"] == pytest.approx(3 / 4)
    assert report["counted"]["unanswered_pixels"] == 1
    assert any("25.0 %" in note and "no answer" in note for note in report["notes"])


def test_skipped_labels_are_in_the_report():
    report = report_on([[0]], [[0]], skipped=[Problem("a.png", "0 bytes")])
    assert report["skipped"] == [{"label": "a.png", "reason": "0 bytes"}]
    assert report["counted"]["skipped"] == 1


def test_tables_have_rows_of_one_width_and_per_cent():
    report = report_on([[1, 1, 0, 0]], [[0, 0, 1, 1]])
    assert summarize(report)[:3] == [
        ("", "accuracy", "mIoU"),
        ("one cluster a class", "100.0", "100.0"),
        ("many clusters a class", "100.0", "100.0"),
    ]
    assert list_classes(report) == [
        ("class", "cluster", "IoU", "labels"),
        ("sky", "1", "100.0", "50.0"),
        ("road", "0", "100.0", "50.0"),
        ("sea", "none", "-", "0.0"),
    ]
    assert {len(row) for row in summarize(report)} == {3}
    assert percent(0.12345) == "12.3"


@pytest.mark.parametrize(
    ("place", "files"),
    [("out", ["out/report.json", "out/confusion.npy"]), ("a.json", ["a.json", "a.confusion.npy"])],
)
def test_a_report_goes_into_a_folder_or_to_a_name(tmp_path, place, files):
    report = report_on([[0, 1]], [[0, 1]])
    paths = write_report(tmp_path / place, report)
    assert [str(path.relative_to(tmp_path)) for path in paths] == files
    assert json.loads(paths[0].read_text()) == report
    assert np.load(paths[1]).tolist() == report["confusion"]["counts"] == [[1, 0, 0], [0, 1, 0]]
