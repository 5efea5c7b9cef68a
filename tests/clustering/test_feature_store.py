"""Features on disk, resumable."""

import numpy as np
import pytest

from fs4cli.clustering.feature_store import FeatureStore

SHAPE = (3, 2, 4)


def _rows(number: int) -> np.ndarray:
    return np.full((2, 4), number, np.float32)


def _open(folder, *, key: str = "a", shape=SHAPE) -> FeatureStore:
    return FeatureStore(folder / "level-1" / "features.npy", shape, key=key)


def _fill(store: FeatureStore, count: int, first: int = 1) -> FeatureStore:
    for number in range(first, first + count):
        store.write(store.rows, _rows(number))
    return store


def test_rows_are_there_when_the_store_is_opened_again(tmp_path):
    _fill(_open(tmp_path), 3).save()
    again = _open(tmp_path)
    assert again.rows == 3
    assert again.array[:, 0, 0].tolist() == [1, 2, 3]
    assert np.load(tmp_path / "level-1" / "features.npy").shape == SHAPE


def test_filling_goes_on_after_the_last_row_that_was_saved(tmp_path):
    store = _fill(_open(tmp_path), 1)
    store.save()
    _fill(store, 1, first=99)  # a kill comes before this one is saved

    again = _open(tmp_path)
    assert again.rows == 1
    _fill(again, 2, first=2).save()
    assert _open(tmp_path).array[:, 1, 3].tolist() == [1, 2, 3]


def test_a_store_of_another_origin_or_shape_starts_over(tmp_path):
    _fill(_open(tmp_path), 3).save()
    assert _open(tmp_path, shape=(3, 2, 5)).rows == 0
    _fill(_open(tmp_path), 3).save()
    assert _open(tmp_path, key="b").rows == 0


def test_what_was_forgotten_does_not_come_back(tmp_path):
    # opened for other weights and killed at once, then opened for the first ones again: the rows are gone
    _fill(_open(tmp_path), 3).save()
    _open(tmp_path, key="b")
    assert _open(tmp_path, key="a").rows == 0


@pytest.mark.parametrize("left", [0, 60, -4])
def test_a_file_cut_short_starts_over(tmp_path, left):
    _fill(_open(tmp_path), 3).save()
    path = tmp_path / "level-1" / "features.npy"
    path.write_bytes(path.read_bytes()[:left])
    store = _open(tmp_path)
    assert store.rows == 0
    _fill(store, 3).save()
    assert _open(tmp_path).rows == 3


def test_only_the_next_row_may_be_written(tmp_path):
    store = _fill(_open(tmp_path), 1)
    for row in (0, 2):
        with pytest.raises(ValueError, match="row 1 comes next"):
            store.write(row, _rows(1))
