"""A component asked for by name, with settings of its own: what `--sampler NAME --set key=value` stands for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from aerepr.errors import Problem, SpecError, UsageError
from aerepr.registry.registry import Registry
from aerepr.spec.base import ComponentSpec
from aerepr.spec.read import merge


def parse_sets(sets: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """Settings from "key=value" texts, later ones winning; values are TOML, a bare word is a string.

    Args:
        option: how messages call the texts.

    Raises:
        UsageError: a text has no key, or a key is both a value and a table.
    """
    settings: dict[str, Any] = {}
    for item in sets:
        dotted, equals, text = item.partition("=")
        *path, last = [part.strip() for part in dotted.split(".")]
        if not equals or not last or "" in path:
            raise UsageError(f'{option}: expected key=value such as steps=9, got "{item}"')
        place = settings
        for key in path:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise UsageError(f'{option}: "{item}" makes a table of {key}, which another --set gave a value')
        try:
            place[last] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            place[last] = text.strip()
    return settings


def component_spec(
    registry: Registry, kind: str, name: str, settings: Mapping[str, Any], base: ComponentSpec | None = None
) -> ComponentSpec:
    """The validated spec of a component.

    Args:
        settings: fields of its `Spec`; the rest keep their defaults.
        base: settings to start from instead of the defaults, if they are of a component of that name.

    Raises:
        UnknownComponent: no component of that kind and name. SpecError: a setting is wrong; lists every problem.
    """
    component = registry.load(kind, name)
    spec: type[ComponentSpec] = component.Spec
    if "name" in settings:
        raise UsageError(f"--set name: the {kind} is {name} already: name another in its own option")
    kept = base.model_dump(by_alias=True, exclude_none=True) if base is not None and base.name == name else {}
    try:
        return spec.model_validate({**merge(kept, settings), "name": name}, context={"registry": registry})
    except ValidationError as cause:
        fields = sorted(info.alias or key for key, info in spec.model_fields.items() if key != "name")
        raise SpecError(f'{kind} "{name}"', [_problem(error, fields) for error in cause.errors()]) from cause


def _problem(error: Any, fields: list[str]) -> Problem:
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return Problem(path, f"unknown setting; there are: {', '.join(fields) or 'none'}")
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    return Problem(path, f"{message}, got {error.get('input')!r}")
