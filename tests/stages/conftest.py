"""A project and a folder of photographs for the tests of stages."""

import sys
from pathlib import Path

import pytest

from fs4cli.project.project import Project

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves helpers beside the tests out

from photo_folder import draw_photos  # noqa: E402


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return draw_photos(tmp_path / "photos")
