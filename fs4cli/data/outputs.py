"""Where each image's mask goes: a tree that mirrors the sources and never lays one mask over another.

In: the files found behind the sources, and the names given before. Out: a relative name for each, legal on every file
system, the same every time.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from fs4cli.data.sources import FoundFile

EXTRA_FOLDERS = {"overlay": "overlays", "confidence": "confidence", "probabilities": "probabilities"}
"""Folders beside the masks for what else is made of an image."""

ENDINGS = {"mask": ".png", "overlay": ".jpg", "confidence": ".png", "probabilities": ".npz"}
"""File endings by what they are."""

_LONGEST = 180  # bytes of one part of a name; file systems take 255, and a temporary name adds some
_FORBIDDEN = '\\/:*?"<>|'
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}


def name_outputs(files: Sequence[FoundFile], *, kept: Mapping[str, str] | None = None) -> list[str]:
    """The relative path of each file's mask, without an ending, with `/`.

    `a.jpg` gives `a`. Where that would be the name of two masks, or of a folder, they keep their ending (`a.jpg`,
    `a.png`); where that is not enough, 8 digits follow. With several roots each gets a folder named as the root.

    Args:
        files: As found; no file twice.
        kept: Names given before, by the file's absolute path: a file keeps its name, and no other gets it.
    """
    kept = kept or {}
    roots = _name_roots(list(dict.fromkeys(file.root for file in files)))
    mirrored = [PurePosixPath(roots[file.root], file.path) for file in files]
    folders = {_fold(str(folder)) for path in mirrored for folder in PurePosixPath(_clean(path)).parents}
    taken = {_fold(name) for name in kept.values()}
    names = [kept.get(file.place, "") for file in files]
    attempts = (_short_name, _full_name, _sure_name)
    for attempt in attempts:
        wanted = {place: attempt(path) for place, path in enumerate(mirrored) if not names[place]}
        counts = Counter(_fold(name) for name in wanted.values())
        for place, name in wanted.items():
            key = _fold(name)
            is_folder = any(_fold(name + ending) in folders for ending in ENDINGS.values())
            if attempt is _sure_name or (counts[key] == 1 and key not in taken and not is_folder):
                names[place] = name
        taken.update(_fold(name) for name in names if name)
    return names


def _short_name(path: PurePosixPath) -> str:
    # joined, not `with_name`: the stem of `..:` is `.`, which no path may have as its last name
    return _clean(path.parent / (path.stem if path.stem != "." else "_"))


def _full_name(path: PurePosixPath) -> str:
    return _clean(path)


def _sure_name(path: PurePosixPath) -> str:
    clean = PurePosixPath(_clean(path))
    return str(clean.with_name(f"{clean.name}-{_digest(str(path))}"))


def _name_roots(roots: list[str]) -> dict[str, str]:
    """Each root as its last folders, as many as it takes to tell them apart; nothing for a single one."""
    if len(roots) <= 1:
        return dict.fromkeys(roots, "")
    parts = {root: PurePosixPath(root.lstrip("/")).parts for root in roots}
    for depth in range(1, max(map(len, parts.values())) + 1):
        names = {root: "/".join(parts[root][-depth:]) for root in roots}
        if len({_fold(_clean(PurePosixPath(name))) for name in names.values()}) == len(roots):
            return names
    return {root: f"{'/'.join(parts[root])}-{_digest(root)}" for root in roots}


def _fold(name: str) -> str:
    """Names that some file systems hold for one are the same here."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _clean(path: PurePosixPath) -> str:
    parts = [_clean_part(part) for part in path.parts if part not in (".", "/")]
    # the last part gets an ending: dots and spaces before it harm nobody
    parts[:-1] = [part.rstrip(". ") or "_" for part in parts[:-1]]
    if len(parts) > 1 and parts[0].lower() in EXTRA_FOLDERS.values():
        parts[0] += "_"
    return "/".join(parts)


def _clean_part(part: str) -> str:
    clean = "_" if part == ".." else "".join(_clean_letter(letter) for letter in part)
    if clean.split(".")[0].strip().lower() in _RESERVED:
        clean = f"_{clean}"
    data = clean.encode()
    if len(data) > _LONGEST:
        clean = f"{data[: _LONGEST - 9].decode(errors='ignore')}-{_digest(part)}"
    return clean


def _clean_letter(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        return f"%{code & 0xFF:02x}"
    is_unprintable = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and letter not in "\u200c\u200d"
    return "_" if is_unprintable or letter in _FORBIDDEN else letter


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
