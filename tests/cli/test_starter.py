import re
from pathlib import Path

import pytest
import yaml

from fs4cli.settings_file import load_settings, write_starter
from fs4cli.settings_file.keys import read_setting
from fs4cli.settings_file.starter import SHOWN


def test_the_starter_has_at_most_forty_lines_and_sets_nothing(tmp_path):
    path = tmp_path / "fs4.yaml"
    write_starter(path)

    assert len(path.read_text().splitlines()) <= 40
    assert load_settings(path, environment={}).settings.model_fields_set == set()


def test_every_line_of_the_starter_is_a_setting_once_its_mark_is_removed(tmp_path):
    path = tmp_path / "fs4.yaml"
    write_starter(path)
    text = path.read_text()
    path.write_text(re.sub(r"^( *)# (\w+: )", r"\1\2", text, flags=re.MULTILINE))
    settings = load_settings(path, environment={})

    assert {key for key, origin in settings.origins.items() if origin != "default"} == set(SHOWN)
    assert settings.settings.classes == 27
    assert settings.settings.ingest.pattern == "*"
    assert settings.settings.budget == "20m"


def test_given_values_are_set_and_nothing_else(tmp_path):
    path = tmp_path / "fs4.yaml"
    write_starter(path, {"images": ["/data/a b", "/data/#1: x/*.jpg"], "classes": 11})
    loaded = load_settings(path, environment={})

    assert loaded.settings.images == ("/data/a b", "/data/#1: x/*.jpg")
    assert loaded.settings.model_fields_set == {"images", "classes"}


def test_given_settings_that_it_seldom_shows_stand_in_their_sections(tmp_path):
    path = tmp_path / "fs4.yaml"
    given = {
        "budget": "30m",
        "device": "cuda:1",
        "pretrain.weights": None,
        "cluster.grids": (1, 3),
        "cluster.balanced": False,
        "train.steps": 7,
    }
    write_starter(path, given)
    loaded = load_settings(path, environment={})
    text = path.read_text()

    assert {key for key, origin in loaded.origins.items() if origin != "default"} == set(given)
    assert {key: read_setting(loaded.settings, key) for key in given} == given
    assert "cluster:\n  grids: [1, 3]" in text
    assert "  balanced: false" in text
    assert text.count("train:\n") == 1 + text.count("pretrain:\n")


@pytest.mark.parametrize(
    ("images", "written"),
    [("photos", "../photos"), ("p/inside", "./inside"), ("../far/photos", None)],
)
def test_images_in_or_beside_the_project_are_written_relative_to_it(tmp_path, monkeypatch, images, written):
    here = tmp_path / "here"
    (here / "p").mkdir(parents=True)
    monkeypatch.chdir(here)
    Path(images).mkdir(parents=True)
    write_starter(Path("p/fs4.yaml"), {"images": [images]})
    path = here / "p" / "fs4.yaml"

    assert yaml.safe_load(path.read_text())["images"] == [written or str(tmp_path / "far" / "photos")]
    assert load_settings(path, environment={}).settings.images == (str((here / images).resolve()),)
