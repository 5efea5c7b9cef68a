"""Pictures that look alike: perceptual hashes in, for each picture the earlier one it resembles most out.

They are only reported: frames of one video and copies saved anew are told apart by nobody but their owner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt64

_BITS = 64
_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """A picture and the earlier one it resembles.

    Args:
        later, earlier: Places in the list of hashes.
        distance: Bits in which the hashes differ.
    """

    later: int
    earlier: int
    distance: int


def find_near_duplicates(hashes: Sequence[str], *, distance: int) -> list[NearDuplicate]:
    """For each hash the closest earlier one (of equals the first), where it differs in few enough bits.

    Two hashes that differ in at most d bits agree in one of d + 1 stretches of their bits: only hashes that share a
    stretch are compared, which finds all pairs without comparing each with each.

    Args:
        hashes: 64-bit hashes in hex; empty ones resemble nothing.
        distance: Bits in which near duplicates differ at most.
    """
    filled = np.array([place for place, text in enumerate(hashes) if text], np.int64)
    values = np.array([int(hashes[int(place)], 16) for place in filled], np.uint64)
    unique, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    closest = np.full(len(unique), -1, np.int64)
    apart = np.full(len(unique), _BITS + 1, np.int64)
    for start, stop in _stretches(distance + 1):
        part = (unique >> np.uint64(start)) & np.uint64((1 << (stop - start)) - 1)
        for members in _groups(part):
            _compare(unique, first, members, closest, apart, distance)
    found = []
    for place in range(len(values)):
        which = inverse[place]
        if first[which] != place:  # the very same hash came before: nothing is closer
            found.append(NearDuplicate(int(filled[place]), int(filled[first[which]]), 0))
        elif closest[which] >= 0:
            found.append(NearDuplicate(int(filled[place]), int(filled[closest[which]]), int(apart[which])))
    return found


def _stretches(count: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, _BITS, min(count, _BITS) + 1).round().astype(int).tolist()
    # with more than 64 bits allowed everything is alike: one empty stretch lets all share it
    return list(zip(edges[:-1], edges[1:], strict=True)) if count <= _BITS else [(0, 0)]


def _groups(part: UInt64[np.ndarray, " n"]) -> list[Int[np.ndarray, " m"]]:
    order = np.argsort(part, kind="stable")
    edges = np.flatnonzero(np.diff(part[order])) + 1
    return [group for group in np.split(order, edges) if len(group) > 1]


def _compare(
    unique: UInt64[np.ndarray, " n"],
    first: Int[np.ndarray, " n"],
    members: Int[np.ndarray, " m"],
    closest: Int[np.ndarray, " n"],
    apart: Int[np.ndarray, " n"],
    distance: int,
) -> None:
    """Improve `closest` and `apart` for the members of one group by each other."""
    members = members[np.argsort(first[members])]
    rows = max(1, _BLOCK // len(members))
    for top in range(0, len(members), rows):
        block = members[top : top + rows]
        bits = np.bitwise_count(unique[block][:, None] ^ unique[members][None, :]).astype(np.int64)
        bits[first[members][None, :] >= first[block][:, None]] = _BITS + 1
        best = bits.argmin(axis=1)  # of equals the first, as members stand in the order of the list
        least = bits[np.arange(len(block)), best]
        earlier = first[members[best]]
        better = (least <= distance) & ((least < apart[block]) | ((least == apart[block]) & (earlier < closest[block])))
        apart[block[better]] = least[better]
        closest[block[better]] = earlier[better]
