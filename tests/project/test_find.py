from pathlib import Path

import pytest

from fs4cli.errors import ProjectError
from fs4cli.project.find import find_project, look_for_project


def make_project(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fs4.yaml").touch()
    return folder


def test_where_it_does_not_matter_which_several_projects_are_as_none(tmp_path):
    for name in ("a", "b"):
        make_project(tmp_path / name)
    assert look_for_project(None, environment={}, folder=tmp_path, is_needed=False) is None
    with pytest.raises(ProjectError, match="2 projects"):
        look_for_project(None, environment={}, folder=tmp_path)


def test_the_order_is_named_then_variable_then_around_then_below(tmp_path):
    named, variable, around = (make_project(tmp_path / name) for name in ("named", "variable", "around"))
    below = make_project(around / "below")
    deep = around / "some" / "folder"
    deep.mkdir(parents=True)
    environment = {"FS4_PROJECT": str(variable)}

    assert find_project(named, environment=environment, folder=deep).project.root == named
    assert find_project(None, environment=environment, folder=deep).project.root == variable
    assert find_project(None, environment={}, folder=deep).project.root == around
    (around / "fs4.yaml").unlink()
    assert find_project(None, environment={}, folder=around).project.root == below


def test_the_nearest_of_two_projects_around_is_meant(tmp_path):
    make_project(tmp_path)
    inner = make_project(tmp_path / "inner")

    assert find_project(None, environment={}, folder=inner).project.root == inner


def test_only_the_project_below_is_a_guess(tmp_path):
    make_project(tmp_path / "only")

    assert find_project(None, environment={}, folder=tmp_path).is_guess
    assert not find_project(Path("only"), environment={}, folder=tmp_path).is_guess
    assert not find_project(None, environment={}, folder=tmp_path / "only").is_guess


def test_a_project_two_folders_below_is_not_found(tmp_path):
    make_project(tmp_path / "a" / "b")

    assert look_for_project(None, environment={}, folder=tmp_path) is None


def test_two_projects_below_are_listed(tmp_path):
    make_project(tmp_path / "b")
    make_project(tmp_path / "a")
    with pytest.raises(ProjectError) as caught:
        find_project(None, environment={}, folder=tmp_path)

    assert caught.value.details == ("`a`", "`b`")
    assert "`-C a`" in caught.value.hints[0]


def test_no_project_at_all_lists_the_ways_to_name_one(tmp_path):
    with pytest.raises(ProjectError, match="no project here") as caught:
        find_project(None, environment={}, folder=tmp_path)
    ways = " ".join(caught.value.hints)

    assert all(way in ways for way in ("fs4 init", "-C DIR", "--project DIR", "FS4_PROJECT"))
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(("named", "variable"), [(Path("missing"), None), (None, "missing"), (Path("empty"), None)])
def test_a_named_folder_that_is_no_project_is_refused_and_not_searched_around(tmp_path, named, variable):
    make_project(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProjectError, match="--project" if named else "FS4_PROJECT"):
        look_for_project(named, environment={"FS4_PROJECT": variable} if variable else {}, folder=tmp_path)


def test_a_relative_variable_starts_where_one_types(tmp_path):
    project = make_project(tmp_path / "p")

    assert find_project(None, environment={"FS4_PROJECT": "p"}, folder=tmp_path).project.root == project


def test_a_linked_project_is_the_folder_it_leads_to(tmp_path):
    project = make_project(tmp_path / "real")
    (tmp_path / "link").symlink_to(project)

    assert find_project(tmp_path / "link", environment={}, folder=tmp_path).project.root == project
