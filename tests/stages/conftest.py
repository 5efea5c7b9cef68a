"""A project and a folder of photographs for the tests of stages."""

import sys
import tarfile
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


@pytest.fixture
def odd_names(tmp_path: Path, real_data: Path) -> Path:
    """A folder of one picture under seven names that are hard to handle."""
    with tarfile.open(real_data / "hostile" / "odd_names.tar.gz", errors="surrogateescape") as archive:
        # Python 3.11 before 3.11.4 knows no filters
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        archive.extractall(tmp_path)
    return tmp_path / "odd_names"
