"""Files that fs4 made: how they are marked, and how they are told from other people's.

In: files found behind a source. Out: those that are no masks or overlays of ours, which nobody wants to learn from.
"""

import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import JpegImagePlugin, PngImagePlugin

from fs4cli.data.sources import FoundFile

MADE_BY = "fs4"
"""What our pictures carry: PNGs as `Software`, JPEGs as comment."""

CLASSES_SCHEMA = "fs4.classes/1"
"""What `classes.json` says it is."""

PROBABILITIES = "probabilities.npy"
"""The only array of our npz files."""


def mark_png() -> PngImagePlugin.PngInfo:
    """What Pillow is to write into a PNG of ours."""
    mark = PngImagePlugin.PngInfo()
    mark.add_text("Software", MADE_BY)
    return mark


def is_own_file(path: Path) -> bool:
    """Whether fs4 wrote the mask, overlay, confidence or probabilities; of a picture only the header is read."""
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return archive.namelist() == [PROBABILITIES]
        with path.open("rb") as file:
            is_jpeg = file.read(2) == b"\xff\xd8"
        # not through Image.open: its limit of pixels is lower than that of the images we take
        if is_jpeg:
            with JpegImagePlugin.JpegImageFile(path) as image:
                return image.info.get("comment") == MADE_BY.encode()
        with PngImagePlugin.PngImageFile(path) as image:
            return image.info.get("Software") == MADE_BY
    except Exception:  # Pillow's readers raise nearly anything: whatever it is, it is not ours
        return False


def leave_out_own(files: Sequence[FoundFile]) -> list[FoundFile]:
    """The files without the pictures that fs4 made: those that carry its mark, in or below a folder with its table.

    Elsewhere no file is opened for it: among a hundred thousand photographs that would take minutes.

    Args:
        files: As found; above the root of a file no table is looked for.
    """
    known: dict[tuple[str, str], bool] = {}

    def has_table(folder: str, root: str) -> bool:
        key = (folder, root)
        if key not in known:
            is_below = len(folder) > len(root) and has_table(os.path.dirname(folder), root)
            known[key] = is_below or read_own_table(Path(folder, "classes.json")) is not None
        return known[key]

    return [
        file
        for file in files
        if file.problem
        or not has_table(os.path.dirname(file.place), file.root.rstrip(os.sep) or os.sep)
        or not is_own_file(Path(file.place))
    ]


def read_own_table(path: Path) -> dict[str, Any] | None:
    """What a `classes.json` says; None if there is none, or fs4 did not write it."""
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return table if isinstance(table, dict) and table.get("schema") == CLASSES_SCHEMA else None
