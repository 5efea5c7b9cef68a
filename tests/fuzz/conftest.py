"""Helpers beside the tests; after a long run, how many inputs were tried."""

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves helpers beside the tests out


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """A folder for all inputs, with nothing of other tests below it: they would take its files for their own."""
    return tmp_path_factory.mktemp("fuzz")


def pytest_sessionfinish():
    path = os.environ.get("FS4_FUZZ_REPORT")
    if path:
        from hostile import tried

        Path(path).write_text(json.dumps(dict(tried), indent=2) + "\n")
