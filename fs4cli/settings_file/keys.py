"""The settings as one flat table of dotted keys: what each takes, its default, the nearest key to a misspelt one."""

import difflib
import types
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fs4cli.config import Settings

_TYPES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


@cache
def setting_fields() -> dict[str, FieldInfo]:
    """Every setting by its dotted key (`train.steps`), in the order of `fs4cli.config`."""
    fields = {}
    for name, field in Settings.model_fields.items():
        section = _section(field)
        if section is None:
            fields[name] = field
        else:
            fields.update({f"{name}.{key}": inner for key, inner in section.model_fields.items()})
    return fields


def section_names() -> dict[str, str]:
    """The sections (`train`) and what each is about."""
    found = {}
    for name, field in Settings.model_fields.items():
        section = _section(field)
        if section is not None:
            found[name] = (section.__doc__ or "").strip().splitlines()[0]
    return found


def nearest_key(unknown: str) -> str | None:
    """The setting whose name is nearest to a misspelt one, or None if none is near.

    A key given without its section (`steps`), or with the wrong one, counts by its last word.
    """
    keys = list(setting_fields())
    words = keys + list(section_names())
    last = unknown.rpartition(".")[2]
    same = [key for key in keys if key.rpartition(".")[2] == last]
    if same:
        return max(same, key=lambda key: difflib.SequenceMatcher(None, unknown, key).ratio())
    found = difflib.get_close_matches(unknown, words, n=1, cutoff=0.75)
    if found:
        return found[0]
    tails = {key.rpartition(".")[2]: key for key in keys}
    found = difflib.get_close_matches(last, list(tails), n=1, cutoff=0.75)
    if found:
        return tails[found[0]]
    found = difflib.get_close_matches(unknown, words, n=1, cutoff=0.6)
    return found[0] if found else None


def describe_values(key: str) -> str:
    """What a setting takes, in words: "`auto` or a whole number, at least 1"."""
    field = setting_fields()[key]
    return _describe(field.annotation, list(field.metadata))


def default_text(key: str) -> str:
    """A setting's default as it would be written in `fs4.yaml`; "none" where there is none."""
    return value_text(setting_fields()[key].default)


def value_text(value: Any) -> str:
    """A value as it would be written in `fs4.yaml`, shortly."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_setting(settings: Settings, key: str) -> Any:
    """The value of a setting by its dotted key."""
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


def is_text(key: str) -> bool:
    """Does the setting take text as it stands (a name, a path, a time)?"""
    return str in set(_members(setting_fields()[key].annotation))


def is_list(key: str) -> bool:
    """May the setting be a list?"""
    return any(get_origin(member) is tuple for member in _members(setting_fields()[key].annotation))


def is_text_list(key: str) -> bool:
    """Is the setting a list of texts (paths)?"""
    return setting_fields()[key].annotation == tuple[str, ...]


def takes_bool(key: str) -> bool:
    """Is the setting a switch?"""
    return bool in set(_members(setting_fields()[key].annotation))


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _members(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _describe(annotation: Any, metadata: list[Any]) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _describe(inner, [*metadata, *more])
    if origin in (Union, types.UnionType):
        members = sorted(get_args(annotation), key=lambda member: get_origin(member) is not Literal)
        words = [_describe(member, metadata) for member in members if member is not type(None)]
        return " or ".join(words)
    if origin is Literal:
        *first, last = [f"`{value}`" for value in get_args(annotation)]
        return f"{', '.join(first)} or {last}" if first else last
    if origin is tuple:
        return f"a list, each {_describe(get_args(annotation)[0], [])}"
    return _TYPES.get(annotation, str(annotation)) + _bounds(metadata)


def _bounds(metadata: list[Any]) -> str:
    found = []
    for item in metadata:
        parts = item.metadata if isinstance(item, FieldInfo) else [item]
        for part in parts:
            found += [
                f"{word} {value_text(getattr(part, name))}" for name, word in _BOUNDS.items() if hasattr(part, name)
            ]
    return ", " + " and ".join(found) if found else ""
