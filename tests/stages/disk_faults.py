"""A disk that gives out at one place: opening, writing or renaming one file of a project fails as the kernel would.

An audit hook sees every file that Python opens or renames, also inside NumPy; it is in place for good, and does nothing
unless a `Fault` is set. Writing is made to fail by a file object in the place of the real one.
"""

import builtins
import errno
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CODES = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOENT)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_open = io.open


@dataclass
class Fault:
    """What is to fail below a folder; without a place, only what is written there is listed.

    Args:
        root: The folder.
        kind: "open", "write" or "rename".
        place: Name of the file, numbers left out.
        code: What the kernel says.
        seen: The (kind, place) of everything that was written, in order, once.
        struck: How often it failed.
    """

    root: Path
    kind: str = ""
    place: str = ""
    code: int = errno.ENOSPC
    seen: list[tuple[str, str]] = field(default_factory=list)
    struck: int = 0

    def meet(self, kind: str, path: Any) -> bool:
        """Note a step; whether it is to fail."""
        if isinstance(path, int):
            try:
                path = os.readlink(f"/proc/self/fd/{path}")
            except OSError:
                return False
        try:
            text = os.path.abspath(os.fsdecode(path))
        except (TypeError, ValueError):
            return False
        if not text.startswith(f"{self.root}{os.sep}"):
            return False
        step = (kind, shorten(os.path.relpath(text, self.root)))
        if step not in self.seen:
            self.seen.append(step)
        if step != (self.kind, self.place):
            return False
        self.struck += 1
        return True


_fault: Fault | None = None


def shorten(place: str) -> str:
    """A place without what differs from run to run: numbers, hashes, the random part of temporary names."""
    folder, name = os.path.split(place)
    name = re.sub(r"^\.(.*)\.\d+-[0-9a-f]{8}\.tmp$", r"\1", name)
    name = re.sub(r"-[0-9a-f]{12}\.", "-HASH.", name)
    return re.sub(r"\d+", "N", os.path.join(folder, name))


@contextmanager
def disk_fault(fault: Fault) -> Iterator[Fault]:
    """The disk gives out as `fault` says, until the block ends."""
    global _fault
    _fault = fault
    io.open = builtins.open = _open_faulty  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield fault
    finally:
        io.open = builtins.open = _open
        _fault = None


def _watch(event: str, values: tuple[Any, ...]) -> None:
    fault = _fault
    if fault is None:
        return
    if event == "open" and isinstance(values[2], int) and values[2] & _WRITES:
        if fault.meet("open", values[0]):
            raise OSError(fault.code, os.strerror(fault.code), values[0])
    elif event == "os.rename" and fault.meet("rename", values[1]):
        raise OSError(fault.code, os.strerror(fault.code), values[0], None, values[1])


sys.addaudithook(_watch)


def _open_faulty(file: Any, mode: str = "r", buffering: int = -1, *values: Any, **named: Any) -> Any:
    fault = _fault
    if fault is None or not set(mode) & set("wax+") or not fault.meet("write", file):
        return _open(file, mode, buffering, *values, **named)
    raw = _Full(file, mode.replace("b", "").replace("t", ""), fault.code)
    if buffering == 0:
        return raw
    buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
    return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding="utf-8")


class _Full(io.FileIO):
    def __init__(self, file: Any, mode: str, code: int):
        super().__init__(file, mode)
        self._code = code

    def write(self, data: Any) -> int:
        raise OSError(self._code, os.strerror(self._code))
