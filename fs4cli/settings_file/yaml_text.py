"""YAML text to flat settings with their line numbers: data only.

A subset on purpose: no anchors, aliases, tags, merge keys or several documents, no key twice, and not too much of it.
Plain words are read as YAML 1.2's core schema does (`1e-3` is a number, `no` and `1:30` are text), because YAML 1.1
surprises people.
"""

import re
from dataclasses import dataclass
from typing import Any

import yaml

from fs4cli.errors import ConfigError

SIZE_LIMIT = 1024 * 1024
"""Bytes that a settings file may have."""
VALUE_LIMIT = 20_000
"""Names and values that it may have: reading so many takes seconds."""
_DEPTH_LIMIT = 8


@dataclass(frozen=True)
class Entry:
    """One setting as it was written.

    Args:
        key: Its dotted key; not checked yet.
        value: None, a bool, number or text, or a list of them.
        text: A single value as it was written, without quotes; empty for a list.
        line: Where it stands, from 1.
    """

    key: str
    value: Any
    text: str
    line: int


class _Loader(yaml.SafeLoader):
    """Nodes only; their values are read by `_scalar`."""

    yaml_implicit_resolvers: dict = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused("anchors and aliases (`&`, `*`) are not allowed", line)
        if getattr(event, "tag", None) is not None:
            raise _Refused(f"tags (`{event.tag}`) are not allowed", line)
        self.count = getattr(self, "count", 0) + 1
        if self.count > VALUE_LIMIT:
            raise _Refused(f"more than {VALUE_LIMIT:,} names and values", line)
        self.depth = getattr(self, "depth", 0) + 1
        if self.depth > _DEPTH_LIMIT:
            raise _Refused("nested too deep", line)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Refused(Exception):
    def __init__(self, message: str, line: int):
        super().__init__(message)
        self.line = line


_INTEGER = re.compile(r"[-+]?[0-9]+(_[0-9]+)*")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(_[0-9]+)*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def parse_mapping(text: str, *, source: str) -> list[Entry]:
    """Read a settings file's text: sections of settings, or dotted keys.

    Args:
        text: At most `SIZE_LIMIT` bytes of YAML.
        source: The file's name, for messages.

    Raises:
        ConfigError: No YAML, or YAML that settings have no use for; names the line.
    """
    root = _compose(text, source=source)
    if root is None or (isinstance(root, yaml.ScalarNode) and _value(root, source) is None):
        return []
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"`{source}` is not a list of settings", hints=("write lines like `classes: 27`",))
    entries: list[Entry] = []
    _collect(root, "", entries, source)
    seen: dict[str, int] = {}
    for entry in entries:
        if entry.key in seen:
            raise ConfigError(
                f"`{entry.key}` is set twice ({source} lines {seen[entry.key]} and {entry.line})",
                hints=("keep one of the two lines",),
            )
        seen[entry.key] = entry.line
    return entries


def parse_value(text: str, *, source: str) -> Any:
    """Read one value as YAML would: `8`, `auto`, `true`, `null`, `[1, 2, 4]`.

    Raises:
        ConfigError: It is no value; names `source`.
    """
    node = _compose(text, source=source)
    return None if node is None else _value(node, source)


def _compose(text: str, *, source: str) -> yaml.Node | None:
    if len(text.encode("utf-8", "surrogatepass")) > SIZE_LIMIT:
        raise ConfigError(f"`{source}` is larger than {SIZE_LIMIT // 1024} KB", hints=("settings are a few lines",))
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except _Refused as error:
        raise ConfigError(f"{error} in settings ({source} line {error.line})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source} line {mark.line + 1}" if mark else source
        problem = (error.problem or error.context or "not YAML").replace("\n", " ")
        raise ConfigError(
            f"cannot read settings: {problem} ({where})", hints=("check indentation and quotes",)
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        message = str(error).splitlines()[0] if str(error) else "not YAML"
        raise ConfigError(f"cannot read settings: {message} ({source})") from None


def _collect(node: yaml.MappingNode, prefix: str, entries: list[Entry], source: str) -> None:
    sections: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"a setting's name must be text ({source} line {line})")
        key = prefix + key_node.value.strip()
        if isinstance(value_node, yaml.MappingNode):
            if key in sections:
                raise ConfigError(
                    f"`{key}` is set twice ({source} lines {sections[key]} and {line})",
                    hints=("join the two sections",),
                )
            sections[key] = line
            if not value_node.value:
                entries.append(Entry(key, None, "", line))
            _collect(value_node, f"{key}.", entries, source)
        else:
            text = value_node.value if isinstance(value_node, yaml.ScalarNode) else ""
            entries.append(Entry(key, _value(value_node, source), text, line))


def _value(node: yaml.Node, source: str) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node.value, quoted=node.style is not None)
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.SequenceNode):
        raise ConfigError(f"a setting cannot hold named values here ({source} line {line})")
    return [_value(item, source) for item in node.value]


def _scalar(text: str, *, quoted: bool) -> Any:
    if quoted:
        return text
    if text.lower() in ("", "~", "null", "none"):
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if len(text) <= 40 and _INTEGER.fullmatch(text):
        return int(text)
    if len(text) <= 40 and _NUMBER.fullmatch(text):
        return float(text)
    return text
