"""What tests share: small drawn images, the folder of real data, a quiet machine without a network."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")

_NO_NETWORK = str(Path(__file__).parent / "no_network")
sys.path.insert(0, _NO_NETWORK)
os.environ["PYTHONPATH"] = os.pathsep.join(place for place in (_NO_NETWORK, os.environ.get("PYTHONPATH")) if place)

from no_network import attempts, block_network  # noqa: E402

block_network()


@pytest.fixture(autouse=True)
def no_network() -> Iterator[list[str]]:
    """No test asks the internet, not even in code that swallows the refusal; what was refused, for those that look."""
    attempts.clear()
    yield attempts
    assert attempts == [], "the network was asked"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images that `FS4_DATA` names."""
    folder = os.environ.get("FS4_DATA")
    if not folder:
        pytest.skip("FS4_DATA is not set: it names the folder with camvid, allsky, hostile and the rest")
    return Path(folder)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)
