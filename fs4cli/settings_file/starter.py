"""The starter `fs4.yaml`: the settings that people change, with their help lines; only given ones are not commented."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fs4cli.files import write_text
from fs4cli.settings_file.keys import default_text, setting_fields

SHOWN = {
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
}
"""The settings that the starter file always has."""
_EXAMPLES = {"images": "[./photos]", "budget": "20m", "pretrain.weights": "./weights.safetensors"}
_WIDTH = 28


def write_starter(path: Path, given: Mapping[str, Any] | None = None) -> None:
    """Write a commented `fs4.yaml`, of at most 40 lines if no setting is given that it would not show.

    Args:
        path: Where; a file there is replaced.
        given: By dotted key, the values that are set; all others are left to their defaults. `images` are written
            relative to `path`'s folder when they lie in it or beside it, so that both can be moved together.
    """
    values = dict(given or {})
    if "images" in values:
        values["images"] = [_relative(Path(image), path.parent) for image in values["images"]]
    # JSON is YAML: texts in quotes, lists in brackets
    write_text(path, starter_text({key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}))


def starter_text(given: Mapping[str, str] | None = None) -> str:
    """The starter file's text; `given` are values, written as YAML, of settings that are not left commented."""
    given = given or {}
    lines = [
        "# Settings of this fs4 project. All may be left out: `auto` is planned from your images and this machine,",
        "# and plan.json says why. Remove a `#` to change a line. `fs4 config show` lists every setting.",
    ]
    section = ""
    for key in [key for key in setting_fields() if key in SHOWN or key in given]:
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
