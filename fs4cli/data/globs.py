"""Globs, and what stands in a folder: matching that survives links in a circle and passes over what is hidden."""

import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence

SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "__macosx", "@eadir", "$recycle.bin"})
"""Files and folders that file managers leave behind (in lower case): passed over like hidden ones."""


def expand_glob(pattern: str) -> tuple[str, list[str]]:
    """What an absolute glob matches: its longest folder without magic, and sorted paths relative to it.

    `**` stands for any folders, and no folder is entered twice; hidden names match only where the glob has the dot.
    """
    parts = pattern.split(os.sep)
    first = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    root = os.sep.join(parts[:first]) or os.sep
    return root, sorted(set(_expand(root, "", parts[first:], set())), key=os.fsencode)


def is_passed_over(name: str) -> bool:
    """Whether a file or folder of this name is hidden or left behind by a file manager."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def is_inside(path: str, folder: str) -> bool:
    """Whether an absolute path lies in a folder, at any depth, or is that folder; both without links."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _expand(root: str, folder: str, parts: Sequence[str], seen: set[str]) -> Iterator[str]:
    """Relative paths below `root` that match the glob's `parts`; as the shell does, hidden names only if asked for."""
    part, rest = parts[0], parts[1:]
    place = os.path.join(root, folder)
    if part == "**":
        real = os.path.realpath(place)
        real_root = os.path.realpath(root)
        if real in seen or (real != real_root and is_inside(real_root, real)):  # a link in a circle, or up and out
            return
        seen.add(real)
        yield from _expand(root, folder, rest, set()) if rest else [folder]
    try:
        with os.scandir(place) as entries:
            names = sorted(((entry.name, leads_to_folder(entry)) for entry in entries), key=lambda pair: pair[0])
    except OSError:
        return
    for name, is_folder in names:
        path = f"{folder}/{name}" if folder else name
        if part == "**":
            if is_folder and not is_passed_over(name):
                yield from _expand(root, path, parts, seen)
        elif fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith(".")):
            if not rest:
                yield path
            elif is_folder:
                yield from _expand(root, path, rest, seen)
