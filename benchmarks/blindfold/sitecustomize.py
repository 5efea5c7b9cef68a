"""Whoever opens or lists a forbidden folder is stopped: Python imports this by itself, in a run and in all it starts.

In: `FS4_BLINDFOLD`, folders with the path separator between them, and `FS4_BLINDFOLD_LOG`, a file that is told of each
try: a process may take the refusal for a bad image and go on. An audit hook cannot be taken away again; it sees
what Python itself opens, through links too. (Weights are read by safetensors past it; no label is such a file.)
"""

import os
import runpy
import sys
from pathlib import Path
from typing import Any


class Blindfolded(RuntimeError):
    """A run wanted to see what only the scorer may see."""


_FORBIDDEN = tuple(os.path.realpath(place) for place in os.environ.get("FS4_BLINDFOLD", "").split(os.pathsep) if place)
_LOG = os.environ.get("FS4_BLINDFOLD_LOG", "")
_EVENTS = ("open", "os.listdir", "os.scandir", "os.link", "os.symlink", "os.rename")


def _refuse(event: str, values: tuple[Any, ...]) -> None:
    if event not in _EVENTS:
        return
    for value in values[: 1 if event in ("open", "os.listdir", "os.scandir") else 2]:
        if isinstance(value, str | bytes | os.PathLike):
            place = os.path.realpath(os.fsdecode(value))
            if any(place == folder or place.startswith(folder + os.sep) for folder in _FORBIDDEN):
                if _LOG:
                    with open(_LOG, "a", encoding="utf-8", errors="backslashreplace") as log:
                        log.write(f"{event} of `{place}`\n")
                raise Blindfolded(f"{event} of `{place}`: only the scorer may see it")


if _FORBIDDEN:
    sys.addaudithook(_refuse)

# Python imports only the first file of this name: another one further on (the tests have one) has its turn here
for _place in sys.path:
    _other = Path(_place) / "sitecustomize.py"
    if _other.is_file() and not _other.samefile(__file__):
        runpy.run_path(str(_other))
        break
