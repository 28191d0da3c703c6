"""From TOML to a spec: recipe, file and `--set` merged, then everything validated at once.

Order: defaults < recipe < spec file < `--set a.b=c`, left to right. Tables merge key by key; scalars and arrays replace.
A component table whose `name` differs from the recipe's replaces it whole, and a `[[list]]` replaces the recipe's list.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aerepr.errors import AereprError, Problem, SpecError
from aerepr.registry.registry import Registry
from aerepr.spec.run import RunSpec


def read_spec(path: Path, sets: Sequence[str] = (), registry: Registry | None = None) -> RunSpec:
    """Read, merge and validate a spec file.

    Args:
        path: a TOML file; a recipe's name is taken from its `[model] recipe`.
        sets: overrides, each `dotted.path=value` with a TOML value (a bare word is a string).
        registry: what may be used; by default what is installed, with the `registry.toml` beside the spec.

    Raises:
        SpecError: the file cannot be read or is not TOML, or anything in it is wrong; lists every problem.
    """
    tables = tomllib.loads(read_toml(path))
    return spec_from_tables(tables, sets, registry or Registry.beside(path.parent), str(path))


def read_toml(path: Path) -> str:
    """The text of a TOML file, once it is known to be TOML.

    Raises:
        SpecError: it cannot be read, or is not.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
    except FileNotFoundError as cause:
        raise SpecError(str(path), [Problem("", "no such file: give the path of a TOML spec")]) from cause
    except (OSError, UnicodeDecodeError) as cause:
        raise SpecError(str(path), [Problem("", f"cannot be read: {cause}")]) from cause
    except tomllib.TOMLDecodeError as cause:
        raise SpecError(str(path), [Problem("", f"not valid TOML: {cause}")]) from cause
    return text


def spec_from_tables(
    tables: Mapping[str, Any],
    sets: Sequence[str] = (),
    registry: Registry | None = None,
    source: str = "spec",
    changes: Sequence[tuple[str, Any]] = (),
) -> RunSpec:
    """The same, from tables that are already parsed.

    Args:
        changes: overrides before `sets` that are parsed too: dotted path and value.
    """
    registry = registry or Registry()
    problems: list[Problem] = []
    changes = [*changes, *_parse_sets(sets, problems)]
    merged, known = _with_recipe(dict(tables), changes, registry, problems)
    _apply_sets(merged, changes, problems)
    try:
        spec = RunSpec.model_validate(merged, context={"registry": registry})
    except ValidationError as cause:
        found = problems_of(cause)
        # What an unknown recipe would have given is not missing by any other fault.
        problems += [item for item in found if known or not _is_missing_part(item)]
        raise SpecError(source, problems) from cause
    if problems:
        raise SpecError(source, problems)
    return spec


def spec_from_json(text: str, source: str, registry: Registry | None = None) -> RunSpec:
    """A resolved spec, as a run directory keeps it: every default written out, no recipe to apply.

    Raises:
        SpecError: not JSON, or a component it names is not installed here.
    """
    try:
        return RunSpec.model_validate(json.loads(text), context={"registry": registry or Registry()})
    except json.JSONDecodeError as cause:
        raise SpecError(source, [Problem("", f"not valid JSON: {cause}")]) from cause
    except ValidationError as cause:
        raise SpecError(source, problems_of(cause)) from cause


def apply_sets(spec: RunSpec, sets: Sequence[str], registry: Registry | None = None, source: str = "--set") -> RunSpec:
    """A resolved spec with overrides applied, such as the few that may change when a run is resumed."""
    tables = spec.tables()
    problems: list[Problem] = []
    _apply_sets(tables, _parse_sets(sets, problems), problems)
    if problems:
        raise SpecError(source, problems)
    return spec_from_json(json.dumps(tables), source, registry)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`: tables key by key, a component of another name whole, anything else replaced."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            result[key] = dict(value) if _is_another(key, old, value) else merge(old, value)
        else:
            result[key] = value
    return result


def _is_another(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a table of this key names another component than the one it is laid over."""
    # An optimizer has a name and is no component: its other keys mean the same whatever it is called.
    return key != "optimizer" and "name" in new and "name" in old and new["name"] != old["name"]


def _with_recipe(
    tables: dict[str, Any], changes: list[tuple[str, Any]], registry: Registry, problems: list[Problem]
) -> tuple[dict[str, Any], bool]:
    """The tables on top of their recipe's, and whether that recipe is known."""
    model = tables.get("model")
    named = [value for dotted, value in changes if dotted == "model.recipe"]
    name = named[-1] if named else model.get("recipe") if isinstance(model, Mapping) else None
    if not isinstance(name, str):
        return merge({}, tables), True
    try:
        recipe, parameters = registry.recipe(name)
    except AereprError as cause:
        problems.append(Problem("model.recipe", str(cause)))
        return merge({}, tables), False
    return merge(recipe.resolve(parameters), tables), True


def _is_missing_part(problem: Problem) -> bool:
    return problem.path == "model" or (problem.path.startswith("model.") and problem.message.startswith("missing"))


def _parse_sets(sets: Sequence[str], problems: list[Problem]) -> list[tuple[str, Any]]:
    changes: list[tuple[str, Any]] = []
    for item in sets:
        dotted, equals, text = item.partition("=")
        if not equals or not all(part.strip() for part in dotted.split(".")):
            problems.append(Problem("--set", f'expected key=value such as train.steps=2000, got "{item}"'))
            continue
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text  # a bare word is a string
        changes.append((dotted.strip(), value))
    return changes


def _apply_sets(tables: dict[str, Any], changes: list[tuple[str, Any]], problems: list[Problem]) -> None:
    for dotted, value in changes:
        try:
            _apply_set(tables, dotted, value)
        except _Refused as cause:
            problems.append(Problem(f"--set {dotted}", str(cause)))


class _Refused(Exception):
    """An override that names no place in the tables."""


def _apply_set(tables: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    if dotted == "train.steps" and _can_rescale(tables.get("train"), value):
        tables["train"] = _rescaled(tables["train"], value)
        return
    place: Any = tables
    for depth, key in enumerate(path):
        where = ".".join(path[: depth + 1])
        if isinstance(place, list):
            place = _item(place, key, where)
            continue
        if not isinstance(place.get(key), (dict, list)):
            if key in place and place[key] is not None:
                raise _Refused(f"{where} is a value, not a table")
            place[key] = {}
        # Copied on the way down, so that a recipe's own tables are never written to.
        place[key] = list(place[key]) if isinstance(place[key], list) else dict(place[key])
        place = place[key]
    if isinstance(place, list):
        raise _Refused(f"{'.'.join(path)} is a list: name one of its items, then a key")
    if last == "name" and path and _is_another(path[-1], place, {"name": value}):
        # Another component: the keys of the one before mean nothing to it.
        place.clear()
    place |= merge({last: place[last]} if last in place else {}, {last: value})


def _item(items: list[Any], key: str, where: str) -> dict[str, Any]:
    """The list item whose id (or name, or position) is `key`, copied into the list so that it may be changed."""
    for position, item in enumerate(items):
        if isinstance(item, dict) and key in (item.get("id", item.get("name")), str(position)):
            items[position] = dict(item)
            return items[position]
    names = (item.get("id", item.get("name")) for item in items if isinstance(item, dict))
    known = ", ".join(str(position if name is None else name) for position, name in enumerate(names))
    raise _Refused(f'{where}: no item "{key}" in this list; it has: {known or "none"}')


def _can_rescale(train: Any, steps: Any) -> bool:
    """Whether these are phases with steps; anything else is left to validation."""
    if not isinstance(train, Mapping) or not isinstance(steps, int):
        return False
    phases, schedules = train.get("phases"), train.get("schedules", [])
    if not isinstance(phases, list) or not phases or not isinstance(schedules, list):
        return False
    return all(isinstance(item, Mapping) for item in [*phases, *schedules]) and all(
        _is_count(phase.get("steps")) for phase in phases
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _rescaled(train: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Table `[train]` with phases and schedules shortened or lengthened so that the phases sum to `steps`."""
    phases = [dict(phase) for phase in train["phases"]]
    total = sum(phase["steps"] for phase in phases)
    if steps < len(phases):
        raise _Refused(f"{steps} steps cannot hold {len(phases)} phases")
    edges, done = [0], 0
    for count, phase in enumerate(phases, start=1):
        done += phase["steps"]
        # At least one step a phase, with room left for those that follow.
        edges.append(min(max(round(done * steps / total), edges[-1] + 1), steps - (len(phases) - count)))
    for phase, before, after in zip(phases, edges, edges[1:], strict=False):
        phase["steps"] = after - before
    schedules = [dict(schedule) for schedule in train.get("schedules", [])]
    for schedule in schedules:
        for key in ("start", "end", "period"):
            if _is_count(schedule.get(key)):
                schedule[key] = max(1, round(schedule[key] * steps / total))
        if _is_count(schedule.get("end")) and _is_count(schedule.get("start")):
            # A short ramp may round to nothing.
            schedule["end"] = max(schedule["end"], schedule["start"] + 1)
    scaled = {**train, "phases": phases}
    if "steps" in train:
        scaled["steps"] = steps
    if schedules:
        scaled["schedules"] = schedules
    return scaled


def problems_of(cause: ValidationError) -> list[Problem]:
    """Everything a validation found, in the words of a spec."""
    return [_problem(error) for error in cause.errors()]


def _problem(error: Any) -> Problem:
    path = ".".join(str(part) for part in error["loc"])
    found = error.get("input")
    shown = repr(found) if not isinstance(found, (dict, list)) and len(repr(found)) < 80 else type(found).__name__
    kind = error["type"]
    if kind == "extra_forbidden":
        return Problem(path, "unknown key: check the spelling against `aerepr spec schema`, or remove it")
    if kind == "missing":
        return Problem(path, "missing: this key is required")
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind in ("component", "component_table", "value_error"):
        return Problem(path, message)
    message = message.replace("Input should", "must").replace("String should", "must")
    return Problem(path, f"{message}, got {shown}")
