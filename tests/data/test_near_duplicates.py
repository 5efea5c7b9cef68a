import numpy as np
import pytest

from fs4cli.data.near_duplicates import NearDuplicate, find_near_duplicates


def test_near_duplicates_are_those_that_differ_in_few_bits():
    hashes = ["00000000000000ff", "", "00000000000000fe", "ffffffffffffffff", "00000000000000ff", "000000000000f0ff"]

    found = find_near_duplicates(hashes, distance=4)

    assert found == [NearDuplicate(2, 0, 1), NearDuplicate(4, 0, 0), NearDuplicate(5, 0, 4)]


@pytest.mark.parametrize("distance", [0, 1, 4, 7, 20, 63, 64])
def test_no_near_duplicate_is_missed(random: np.random.Generator, distance):
    values = [int(value) for value in random.integers(0, 2**63, size=150, dtype=np.uint64)]
    for place in range(2, 150, 3):  # every third resembles the one two before it
        values[place] = values[place - 2]
        for bit in random.integers(0, 64, size=6):
            values[place] ^= 1 << int(bit)
    expected = []
    for later in range(150):
        apart = [(values[later] ^ values[earlier]).bit_count() for earlier in range(later)]
        if apart and min(apart) <= distance:
            expected.append(NearDuplicate(later, apart.index(min(apart)), min(apart)))

    assert find_near_duplicates([f"{value:016x}" for value in values], distance=distance) == expected


def test_no_picture_resembles_another_where_there_are_none():
    assert find_near_duplicates([], distance=4) == []
    assert find_near_duplicates(["", ""], distance=64) == []
