"""A label file in, the class of each pixel out."""

from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt

from fs4cli.evaluation.classes import OPEN_LIMIT, UNKNOWN, VOID, ClassTable, open_lookup
from fs4cli.evaluation.index_image import BadIndexImage, read_index_image


class LabelReader:
    """Reads label files by one table, or by their own ids where there is none.

    Args:
        table: The classes; None to take every id below `classes.OPEN_LIMIT` for a class.
        void: The value that is not counted, where there is no table.
    """

    def __init__(self, table: ClassTable | None, *, void: int = 255):
        self.table = table
        self.void = void if table is None else min(table.void)
        self.lookup = open_lookup(void) if table is None else table.lookup

    def read(self, path: Path) -> Int[np.ndarray, "H W"]:
        """Class of each pixel, -1 where it is void.

        Raises:
            BadIndexImage: The file cannot be read, or holds a value that is neither a class nor void.
        """
        ids = read_index_image(path)
        _check_values(path, ids, self.lookup, self.table)
        return self.lookup[ids]


def read_ready_mask(path: Path) -> Int[np.ndarray, "H W"]:
    """Cluster of each pixel in a mask file from anywhere, -1 where it gives no answer.

    The highest value that the file can hold, 255 of 8 bits and 65535 of 16, means no answer.

    Raises:
        BadIndexImage: The file cannot be read, or holds an id from `classes.OPEN_LIMIT` on.
    """
    ids = read_index_image(path)
    clusters = ids.astype(np.int32)
    clusters[ids == np.iinfo(ids.dtype).max] = VOID
    if clusters.max(initial=VOID) >= OPEN_LIMIT:
        raise BadIndexImage(path, f"id {clusters.max()}: masks hold cluster ids below {OPEN_LIMIT}")
    return clusters


def describe_size_difference(found: tuple[int, ...], expected: tuple[int, ...], of: str) -> str | None:
    """Why two sizes, (height, width), do not fit, or None if they do.

    Args:
        found: Of the label.
        expected: Of what it must fit.
        of: What that is: "image", "mask".
    """
    if found == expected:
        return None
    turned = found == expected[::-1]
    why = "; its sides are swapped: one of the two was turned" if turned else ""
    return f"size differs: {found[1]}x{found[0]}, its {of} is {expected[1]}x{expected[0]}{why}"


def _check_values(
    path: Path, ids: UInt[np.ndarray, "H W"], lookup: Int[np.ndarray, " values"], table: ClassTable | None
) -> None:
    seen = np.flatnonzero(np.bincount(ids.ravel()))
    unknown = seen[lookup[seen] == UNKNOWN]
    if not unknown.size:
        return
    some = ", ".join(map(str, unknown[:3])) + (", ..." if unknown.size > 3 else "")
    what = f"unknown id{'s' if unknown.size > 1 else ''} {some}"
    if table is None:
        raise BadIndexImage(path, f"{what}: without a class list, ids from {OPEN_LIMIT} on are taken for instance ids")
    raise BadIndexImage(path, f"{what} (known are {table.describe_values()})")
