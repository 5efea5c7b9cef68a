"""The soak of `benchmarks/soak.py` in the small: kills at files and at moments, with and without reading processes."""

from collections.abc import Iterator

import pytest
from launcher import Launcher
from soaking import soak


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    launcher = Launcher()
    yield launcher
    launcher.close()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_project_killed_ten_times_at_files_and_at_moments_ends_as_one_left_alone(launcher, tmp_path, workers):
    soaked = soak(tmp_path, launcher, kills=10, workers=workers, seed=1)

    assert soaked.differing == []
    assert soaked.lost == 0
    assert sum(soaked.kills.values()) >= 10
    assert soaked.files > 20 and soaked.bytes > 500_000
