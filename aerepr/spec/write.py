"""From tables to TOML text. The standard library reads TOML and does not write it; this is the inverse of its reader."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}


def to_toml(tables: Mapping[str, Any]) -> str:
    """TOML text that `tomllib` reads back to equal tables; scalars before sub-tables, lists of tables as `[[...]]`.

    Raises:
        TypeError: a value TOML has no word for, such as None.
    """
    lines: list[str] = []
    _write(tables, [], lines)
    return "\n".join(lines).strip() + "\n"


def _write(table: Mapping[str, Any], path: list[str], lines: list[str]) -> None:
    nested = {key: value for key, value in table.items() if _is_table(value) or _is_list_of_tables(value)}
    lines += [f"{_key(key)} = {_value(value)}" for key, value in table.items() if key not in nested]
    for key, value in nested.items():
        here = [*path, _key(key)]
        for item in [value] if _is_table(value) else value:
            brackets = "[{}]" if _is_table(value) else "[[{}]]"
            lines += ["", brackets.format(".".join(here))]
            _write(item, here, lines)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(isinstance(item, Mapping) for item in value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    escaped = "".join(_ESCAPES.get(c, f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c) for c in text)
    return f'"{escaped}"'


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = repr(value)
        return text if any(mark in text for mark in ".en") else f"{text}.0"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    raise TypeError(f"TOML has no word for {type(value).__name__} {value!r}")
