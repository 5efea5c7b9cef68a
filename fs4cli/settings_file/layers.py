"""The layers of settings, one over the other, each value with its origin.

In: the project's `fs4.yaml`, the environment, `--set key=value`, and the values of options. Out: one frozen `Settings`
whose `model_fields_set` names exactly what somebody chose, and where each value came from.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fs4cli.config import Settings
from fs4cli.errors import ConfigError, ResourceError, UsageError
from fs4cli.settings_file.keys import (
    describe_values,
    is_list,
    is_text,
    is_text_list,
    nearest_key,
    section_names,
    setting_fields,
    takes_bool,
    value_text,
)
from fs4cli.settings_file.yaml_text import SIZE_LIMIT, Entry, parse_mapping, parse_value

PREFIX = "FS4__"
"""Environment variables that are settings: `FS4__TRAIN__BATCH_SIZE=8`."""
_LONGEST_KEY = 60  # letters of an unknown key that are shown, and compared with those that there are
PATH_KEYS = ("images", "pretrain.weights")
"""Settings that are paths: made absolute, from the folder of `fs4.yaml` or from where the command was typed."""


@dataclass(frozen=True)
class LoadedSettings:
    """Settings and where each came from.

    Args:
        settings: The settings; `model_fields_set` holds only what somebody chose.
        origins: For every dotted key: "default", "fs4.yaml line 3", "FS4__TRAIN__STEPS", "--set" or the option's name.
    """

    settings: Settings
    origins: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Choice:
    value: Any
    origin: str


def load_settings(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    options: Mapping[str, tuple[Any, str]] | None = None,
    folder: Path | None = None,
) -> LoadedSettings:
    """All settings: defaults < `path` < `environment` < `overrides` < `options`.

    Args:
        path: The project's `fs4.yaml`; None without a project. A missing file counts as empty.
        environment: Variables; those that begin with `FS4__` are settings. None: this process's.
        overrides: `key=value` as given with `--set`, the last one wins.
        options: By dotted key, the value of an option of its own and the option's name.
        folder: Where relative paths outside `path` start; None: the current folder.

    Raises:
        ConfigError: An unknown key (names the nearest), a bad value (names its bounds), or a file that is no YAML.
        UsageError: An override is not `key=value`.
    """
    folder = Path.cwd() if folder is None else folder
    chosen: dict[str, _Choice] = {}
    if path is not None:
        chosen.update(_from_file(path))
    chosen.update(_from_environment(os.environ if environment is None else environment, folder))
    chosen.update(_from_overrides(overrides, folder))
    for key, (value, origin) in (options or {}).items():
        chosen[key] = _Choice(_absolute(key, value, folder), origin)
    origins = {key: chosen[key].origin if key in chosen else "default" for key in setting_fields()}
    return LoadedSettings(_validate(chosen), origins)


def _from_file(path: Path) -> dict[str, _Choice]:
    text = _read_text(path)
    if text is None:
        return {}
    chosen = {}
    for entry in parse_mapping(text, source=path.name):
        origin = f"{path.name} line {entry.line}"
        if entry.key in section_names() and entry.value is None:
            continue  # a section whose settings are all commented out
        _check_key(entry.key, origin)
        chosen[entry.key] = _Choice(_absolute(entry.key, _from_entry(entry, origin), path.parent), origin)
    return chosen


def _read_text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResourceError(f"cannot read `{path}`: {os.strerror(error.errno or 0).lower()}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"`{path.name}` is not UTF-8 text (line {line})", hints=("save it as UTF-8",)) from None


def _from_environment(environment: Mapping[str, str], folder: Path) -> dict[str, _Choice]:
    chosen = {}
    for name in sorted(environment):
        text = environment[name]
        if not name.upper().startswith(PREFIX) or not text:
            continue
        key = name[len(PREFIX) :].lower().replace("__", ".")
        near = nearest_key(key[:_LONGEST_KEY])
        _check_key(key, name, suggestion=PREFIX + near.upper().replace(".", "__") if near else None)
        chosen[key] = _Choice(_absolute(key, _from_text(key, text, name), folder), name)
    return chosen


def _from_overrides(overrides: Sequence[str], folder: Path) -> dict[str, _Choice]:
    chosen = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(
                f"`--set {override}` is not `key=value`", hints=("for example `--set train.batch_size=8`",)
            )
        _check_key(key, "--set")
        chosen[key] = _Choice(_absolute(key, _from_text(key, text.strip(), "--set"), folder), "--set")
    return chosen


def _check_key(key: str, origin: str, *, suggestion: str | None = None) -> None:
    if key in setting_fields():
        return
    key = key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}..."
    if key in section_names():
        inner = next(name for name in setting_fields() if name.startswith(f"{key}."))
        raise ConfigError(
            f"`{key}` is a section of settings, not a setting ({origin})", hints=(f"for example `{inner}`",)
        )
    near = suggestion or nearest_key(key)
    question = f", did you mean `{near}`?" if near else ""
    hints = () if near else ("`fs4 config show` lists every setting",)
    raise ConfigError(f"unknown key `{key}`{question} ({origin})", hints=hints)


def _from_entry(entry: Entry, origin: str) -> Any:
    """A value from YAML: one text where a list is wanted is a list of one; a number where text is wanted is text."""
    value = entry.value
    if is_text_list(entry.key):
        items = value if isinstance(value, list) else [] if value is None else [entry.text]
        return [item if isinstance(item, str) else value_text(item) for item in items]
    if is_text(entry.key) and value is not None and not isinstance(value, list):
        return entry.text
    return _as_list(entry.key, value)


def _from_text(key: str, text: str, origin: str) -> Any:
    """A value from one word of the command line or the environment; lists as `1,2,4` or `[1, 2, 4]`."""
    if is_text_list(key):
        if text.startswith("[") and text.endswith("]"):
            return [str(item) for item in parse_value(text, source=origin)]
        return [text] if text else []
    if is_text(key):
        return None if text.lower() in ("", "null", "none") else text
    if is_list(key) and "," in text and not text.startswith("["):
        text = f"[{text}]"
    return _as_list(key, parse_value(text, source=origin))


def _as_list(key: str, value: Any) -> Any:
    """One number where a list is wanted is a list of one."""
    return [value] if is_list(key) and isinstance(value, int | float) and not isinstance(value, bool) else value


def _absolute(key: str, value: Any, folder: Path) -> Any:
    if key not in PATH_KEYS or value is None:
        return value
    if isinstance(value, str):
        return _absolute_path(key, value, folder)
    return [_absolute_path(key, str(item), folder) for item in value]


def _absolute_path(key: str, path: str, folder: Path) -> str:
    if "\0" in path:
        raise ConfigError(f"`{key}` names a path with a zero byte in it", hints=("no file has such a name",))
    return os.path.normpath(folder / os.path.expanduser(path))


def _validate(chosen: Mapping[str, _Choice]) -> Settings:
    nested: dict[str, Any] = {}
    for key, choice in chosen.items():
        if isinstance(choice.value, bool) and not takes_bool(key):
            raise _bad_value(key, choice)
        *sections, name = key.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = choice.value
    try:
        return Settings.model_validate(nested)
    except ValidationError as error:
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"][:2])
            key = key if key in chosen else str(problem["loc"][0]) if problem["loc"] else ""
            if key in chosen:
                raise _bad_value(key, chosen[key], problem) from None
        first = error.errors()[0]
        raise ConfigError(_plain(str(first["msg"]))) from None


def _bad_value(key: str, choice: _Choice, problem: Any = None) -> ConfigError:
    shown = value_text(choice.value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    details = [f"`{key}` takes {describe_values(key)}"]
    if problem is not None and problem.get("type") in ("value_error", "assertion_error"):
        details = [_plain(str(problem["msg"]))]
    return ConfigError(f"bad value `{shown}` for `{key}` ({choice.origin})", details=tuple(details))


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
