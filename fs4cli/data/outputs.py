"""Where each image's mask goes: a tree that mirrors the sources and never lays one mask over another.

In: the files found behind the sources. Out: a relative name for each, legal on every file system, the same every time.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from fs4cli.data.sources import FoundFile

LONGEST = 180
"""Bytes of one part of a name; file systems take 255, and a temporary name adds some."""

_FORBIDDEN = '\\:*?"<>|'
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}


def name_outputs(files: Sequence[FoundFile]) -> list[str]:
    """The relative path of each file's mask, without an ending, with `/`.

    `a.jpg` gives `a`. Where that would be the name of two masks, all of them keep their ending (`a.jpg`, `a.png`). With
    several roots each gets a folder named as the root.

    Args:
        files: As found; no file twice.
    """
    roots = _name_roots(list(dict.fromkeys(file.root for file in files)))
    whole = [PurePosixPath(roots[file.root]) / file.path for file in files]
    short = [_clean(path.with_suffix("") if path.suffix != path.name else path) for path in whole]
    counts = Counter(name.lower() for name in short)
    names = [name if counts[name.lower()] == 1 else _clean(path) for name, path in zip(short, whole, strict=True)]
    taken: Counter[str] = Counter()
    unique = []
    for name in names:
        # two names may still meet after cleaning: number the later ones
        candidate = name
        while taken[candidate.lower()]:
            candidate = f"{name}-{taken[name.lower()] + 1}"
            taken[name.lower()] += 1
        taken[candidate.lower()] += 1
        unique.append(candidate)
    return unique


def _name_roots(roots: list[str]) -> dict[str, str]:
    if len(roots) == 1:
        return {roots[0]: ""}
    names: Counter[str] = Counter()
    result = {}
    for root in roots:
        name = PurePosixPath(root).name or "root"
        names[name.lower()] += 1
        result[root] = name if names[name.lower()] == 1 else f"{name}-{names[name.lower()]}"
    return result


def _clean(path: PurePosixPath) -> str:
    return "/".join(_clean_part(part) for part in path.parts if part not in ("", ".", "..", "/"))


def _clean_part(part: str) -> str:
    letters = [
        f"%{ord(letter) & 0xFF:02x}" if 0xDC80 <= ord(letter) <= 0xDCFF  # a byte that is no UTF-8
        else "_" if ord(letter) < 32 or letter in _FORBIDDEN or 0x200E <= ord(letter) <= 0x202E
        else letter
        for letter in part
    ]  # fmt: skip
    clean = "".join(letters).rstrip(". ") or "_"
    if clean.split(".")[0].lower() in _RESERVED:
        clean = f"_{clean}"
    data = clean.encode()
    if len(data) > LONGEST:
        digest = hashlib.sha256(part.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        clean = data[: LONGEST - 9].decode(errors="ignore") + "-" + digest
    return clean
