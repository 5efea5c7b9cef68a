"""The starter `fs4.yaml`: the settings that people change, with their help lines; only given ones are not commented."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from fs4cli.files import write_text
from fs4cli.settings_file.keys import default_text, setting_fields

SHOWN = (
    "images",
    "classes",
    "preset",
    "budget",
    "seed",
    "device",
    "ingest.pattern",
    "ingest.cache_size",
    "model.backbone",
    "pretrain.weights",
    "pretrain.steps",
    "pretrain.batch_size",
    "pretrain.crop",
    "train.steps",
    "train.batch_size",
    "predict.size",
)
"""The settings in the starter file, in order."""
_EXAMPLES = {"images": "[./photos]", "budget": "20m", "pretrain.weights": "./weights.safetensors"}
_WIDTH = 28


def write_starter(path: Path, *, images: Sequence[str] = (), classes: int | str | None = None) -> None:
    """Write a commented `fs4.yaml` of at most 40 lines.

    Args:
        path: Where; a file there is replaced.
        images: Folders, files, globs or list files. Written relative to `path`'s folder when they lie in it or beside
            it, so that both can be moved together.
        classes: Classes the model shall tell apart; left to the default if None.
    """
    given = {}
    if images:
        given["images"] = json.dumps([_relative(Path(image), path.parent) for image in images], ensure_ascii=False)
    if classes is not None:
        given["classes"] = str(classes)
    write_text(path, starter_text(given))


def starter_text(given: dict[str, str] | None = None) -> str:
    """The starter file's text; `given` are values, written as YAML, of settings that are not left commented."""
    given = given or {}
    lines = [
        "# Settings of this fs4 project. All may be left out: `auto` is planned from your images and this machine,",
        "# and plan.json says why. Remove a `#` to change a line. `fs4 config show` lists every setting.",
    ]
    section = ""
    for key in SHOWN:
        head, _, name = key.rpartition(".")
        if head != section:
            lines += [f"{head}:"]
            section = head
        value = given.get(key) or _EXAMPLES.get(key) or _quoted(default_text(key))
        text = f"{name}: {value}"
        text = text if key in given else f"# {text}"
        text = f"  {text}" if head else text
        lines.append(f"{text:<{_WIDTH}}  # {setting_fields()[key].description}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text if text[:1].isalnum() else json.dumps(text)


def _relative(image: Path, folder: Path) -> str:
    absolute = os.path.normpath(Path.cwd() / os.path.expanduser(image))
    relative = os.path.relpath(absolute, os.path.realpath(folder))
    near = not relative.startswith(os.path.join("..", ".."))
    if near and Path(os.path.realpath(folder), relative).exists() == Path(absolute).exists():
        return relative if relative.startswith("..") else os.path.join(".", relative)
    return absolute
