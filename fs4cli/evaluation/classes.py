"""Which label value means which class: `classes.yaml` in, a table with its lookup out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Int

from fs4cli.errors import InputError

VALUES = 65536
"""Label files hold at most 16 bits."""

OPEN_LIMIT = 4096
"""Without a table, ids from here on are taken for instance ids, not classes."""

VOID, UNKNOWN = -1, -2
"""What a lookup gives for a value that is not counted, and for one that nobody named."""

FILE_NAME = "classes.yaml"
_FILE_LIMIT = 1024 * 1024


@dataclass(frozen=True)
class ClassTable:
    """The classes of a set of labels, in the order of the confusion matrix' columns.

    Args:
        names: Name of each class; no two alike.
        values: Label values of each class; several where fine classes are scored as one.
        void: Label values that are not counted.
        kinds: "thing", "stuff" or "" of each class.
        origin: Where the table is from, for the report.
    """

    names: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    void: frozenset[int]
    kinds: tuple[str, ...] = ()
    origin: str = ""

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def lookup(self) -> Int[np.ndarray, " values"]:
        """Class of each label value: in [0, classes), `VOID` or `UNKNOWN`."""
        table = np.full(VALUES, UNKNOWN, np.int32)
        table[list(self.void)] = VOID
        for index, values in enumerate(self.values):
            table[list(values)] = index
        return table

    def describe_values(self) -> str:
        """The known values in a few words: `0..10, void 255`."""
        return f"{_ranges(value for values in self.values for value in values)}, void {_ranges(self.void)}"


def open_lookup(void: int) -> Int[np.ndarray, " values"]:
    """The lookup where no table names the classes: each value below `OPEN_LIMIT` is a class of its own."""
    table = np.full(VALUES, UNKNOWN, np.int32)
    table[:OPEN_LIMIT] = np.arange(OPEN_LIMIT)
    table[void] = VOID
    return table


def table_of_seen(ids: Iterable[int], void: int) -> ClassTable:
    """The table of the ids that were found in the labels, named `class-0`, `class-1` and so on."""
    ids = tuple(ids)
    return ClassTable(
        names=tuple(f"class-{value}" for value in ids),
        values=tuple((value,) for value in ids),
        void=frozenset({void}),
        kinds=("",) * len(ids),
        origin="the ids seen in the labels",
    )


def find_class_table(labels: Path, *, void: int | None = None) -> ClassTable | None:
    """The table of the nearest `classes.yaml`: in the labels' folder or one of the two above; None if there is none.

    Args:
        labels: Folder of labels, or one label file.
        void: The value that is not counted; the file's `void_id` if left out, 255 if that is missing too.

    Raises:
        InputError: The file is there and cannot be used.
    """
    folder = labels.resolve()
    folder = folder if folder.is_dir() else folder.parent
    for place in (folder, *folder.parents[:2]):
        if (place / FILE_NAME).is_file():
            return read_class_table(place / FILE_NAME, void=void)
    return None


def read_class_table(path: Path, *, void: int | None = None) -> ClassTable:
    """Read a `classes.yaml`: `classes`, a list of names or of `{id, name, kind}`, and `void_id`.

    Raises:
        InputError: Not that, or an id or a name twice, or an id outside 0..65535, or the void value used by a class.
    """
    content = _load(path)
    if void is None:
        void = content.get("void_id", 255)
    if type(void) is not int or not 0 <= void < VALUES:
        raise _bad(path, "`void_id` is no whole number in 0..65535")
    rows = content.get("classes")
    if isinstance(rows, dict):
        rows = [{"id": value, "name": name} for value, name in rows.items()]
    if not isinstance(rows, list) or not rows:
        raise _bad(path, "it has no list `classes`")
    names, values, kinds = [], [], []
    for position, row in enumerate(rows):
        row = {"id": position, "name": row} if isinstance(row, str) else row
        if not isinstance(row, dict) or type(row.get("id")) is not int or not 0 <= row["id"] < VALUES:
            raise _bad(path, f"entry {position + 1} of `classes` has no `id` in 0..65535")
        name = row.get("name", f"class-{row['id']}")
        if not isinstance(name, str | int) or not str(name).strip():
            raise _bad(path, f"the `name` of id {row['id']} is no text")
        names.append(str(name))
        values.append(row["id"])
        kinds.append(row["kind"] if row.get("kind") in ("thing", "stuff") else "")
    for what, entries in (("id", values), ("name", names)):
        entry, count = Counter(entries).most_common(1)[0]
        if count > 1:
            raise _bad(path, f"the {what} `{entry}` stands there twice")
    if void in values:
        raise _bad(path, f"id {void} is a class and the void value at once")
    return ClassTable(tuple(names), tuple((value,) for value in values), frozenset({void}), tuple(kinds), str(path))


class _Loader(yaml.SafeLoader):
    """Without aliases: each level of them doubles what a small file costs."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (`*name`) are not allowed")
        return super().compose_node(parent, index)


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _FILE_LIMIT:
            raise _bad(path, "it is larger than 1 MB")
        content = _Loader(path.read_text(encoding="utf-8")).get_single_data()
    # a tag on a value that does not fit it (`!!int` on nothing) fails in many ways
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        raise _bad(path, "it is no YAML" + ("" if line is None else f" (line {line + 1})")) from error
    except OSError as error:
        raise _bad(path, (error.strerror or "it cannot be read").lower()) from error
    if not isinstance(content, dict):
        raise _bad(path, "it has no list `classes`")
    return {key: value for key, value in content.items() if isinstance(key, str)}


def _bad(path: Path, reason: str) -> InputError:
    return InputError(
        f"`{path}` cannot be used: {reason}",
        hints=("it should read: `void_id: 255`, then `classes:` with a line `- {id: 0, name: sky}` a class",),
    )


def _ranges(values: Iterable[int]) -> str:
    """Whole numbers in a few words: `0..2, 7`."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(str(first) if first == last else f"{first}..{last}" for first, last in runs)
