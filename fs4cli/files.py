"""Files that are whole or not there: atomic writes, JSON, JSON lines, hashes.

Everything fs4 keeps is written beside its place, flushed to the disk and renamed, so that a process killed at any
moment leaves either the old file or the new one.
"""

import errno
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from fs4cli.errors import ProjectError, ResourceError

_LINE_LIMIT = 16 * 1024 * 1024
_Row = TypeVar("_Row")
_SPACE = {errno.ENOSPC, errno.EDQUOT}
_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS}
_TAKEN = {errno.EISDIR, errno.EEXIST, errno.ENOTDIR}
_GONE = {getattr(errno, name) for name in ("ENOENT", "EIO", "ENODEV", "ENXIO", "ESTALE") if hasattr(errno, name)}


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn a disk that gives out at `path` into a `ResourceError` that names it.

    Raises:
        ResourceError: The disk is full, read-only or gone, the folder may not be written or has vanished, or
            something else is in its place.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _SPACE:
            raise ResourceError(
                f"no space left on the disk of `{path}`",
                hints=("free some space; the same command goes on where it stopped",),
            ) from error
        if error.errno in _ACCESS:
            raise ResourceError(
                f"cannot write `{path}`: {os.strerror(error.errno or 0).lower()}",
                hints=("make the folder writable; the same command goes on where it stopped",),
            ) from error
        if error.errno in _TAKEN:
            raise ResourceError(
                f"cannot write `{path}`: {os.strerror(error.errno or 0).lower()}",
                hints=("a file or a folder is in its place: move it away, or name another place",),
            ) from error
        if error.errno in _GONE:
            raise ResourceError(
                f"cannot write `{path}`: {os.strerror(error.errno or 0).lower()}",
                hints=("bring its folder or its disk back; the same command goes on where it stopped",),
            ) from error
        raise


@contextmanager
def write_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes `path`'s place only when the block ends without an error.

    The temporary file lies in the same folder (a rename must not cross disks), is created exclusively so that a
    planted link is never followed, and reaches the disk before the rename does.

    Raises:
        ResourceError: The disk is full or the folder may not be written; the old file is intact.
    """
    path = Path(path)
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name[:150]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with write_atomic(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with a final newline, whole or not at all. NaN is refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_encode) + "\n"
    # a file name that is no UTF-8 holds lone surrogates: Python's escape for them is JSON's as well
    write_bytes(path, text.encode(errors="backslashreplace"))


def read_json(path: Path, *, limit: int = 256 * 1024 * 1024) -> Any:
    """Read a JSON file of our own.

    Raises:
        ProjectError: The file is cut short, over `limit` bytes, or no JSON (NaN and Infinity are none).
        FileNotFoundError: There is no such file.
    """
    try:
        if path.stat().st_size > limit:
            raise ProjectError(f"`{path}` is larger than {limit} bytes", hints=("move it away and run again",))
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProjectError(
            f"`{path}` is damaged: {error}", hints=("delete it, or restore it from a copy, and run again",)
        ) from error


def append_json_line(path: Path, value: dict[str, Any]) -> None:
    """Add one JSON object as a line. A line cut by a kill is dropped by `read_json_lines`."""
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(json.dumps(value, ensure_ascii=False, default=_encode) + "\n")


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a JSON-lines file, in order; an unfinished last line is left out. Empty if no file.

    Raises:
        ProjectError: A line before the last is no JSON object, or a line is longer than any of ours.
    """
    if not path.exists():
        return []
    rows = []
    with path.open("rb") as file:
        while line := file.readline(_LINE_LIMIT):
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("it is no JSON object")
                rows.append(row)
            except (ValueError, RecursionError):
                if line.endswith(b"\n") or len(line) >= _LINE_LIMIT:
                    raise ProjectError(
                        f"`{path}` is damaged near line {len(rows) + 1}", hints=("delete it and run again",)
                    ) from None
    return rows


def build_row(kind: type[_Row], row: Any) -> _Row:
    """A dataclass from a JSON object that holds its fields, each of the type that it declares.

    Args:
        kind: The dataclass; its fields are texts, numbers, lists, tuples, dictionaries, or one of some words.
        row: What was read.

    Raises:
        TypeError: It is no object, or a field is missing, unknown or of another type.
    """
    if not isinstance(row, dict):
        raise TypeError("it is no JSON object")
    hints, values = _field_types(kind), {}
    for name, value in row.items():
        hint = hints.get(name)
        if hint is not None and not _fits(value, hint):
            raise TypeError(f"`{name}` is not as fs4 writes it")
        values[name] = tuple(value) if get_origin(hint) is tuple else value
    return kind(**values)


def cut_json_lines(path: Path, *, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Rewrite a JSON-lines file with only the rows that `keep` wants (a resumed run cuts what it will do again)."""
    if not path.exists():
        return
    lines = [json.dumps(row, ensure_ascii=False) for row in read_json_lines(path) if keep(row)]
    write_bytes(path, "".join(line + "\n" for line in lines).encode(errors="backslashreplace"))


def remove_leftovers(folder: Path, *, below: bool = True) -> None:
    """Delete what killed runs left half written in a folder of which this process is the one writer.

    Args:
        folder: Where.
        below: In its sub-folders as well.
    """
    with explain_os_errors(folder):
        for path in (folder.rglob if below else folder.glob)(".*.tmp"):
            if re.search(r"\.\d+-[0-9a-f]{8}\.tmp$", path.name):
                path.unlink(missing_ok=True)


def hash_file(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_value(value: Any) -> str:
    """The sha256 of a JSON value with sorted keys, in hex: the fingerprint of settings and indexes."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_encode)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@cache
def _field_types(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value is of a declared type; a bool is no number."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin in (list, tuple):
        return isinstance(value, list | tuple) and all(_fits(item, inner[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(item, inner[1]) for item in value.values())
    if hint is int:
        return type(value) is int
    return isinstance(value, hint)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):  # a numpy or torch scalar
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
