"""What tests share: small drawn images, the folder of real data, a quiet machine."""

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")


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
