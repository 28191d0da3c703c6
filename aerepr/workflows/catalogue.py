"""`aerepr models`, `plugins` and `data list`: what is installed here, read from metadata.

Listing imports no component, and so no torch; `component` and `check_plugins` import what they are asked about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from aerepr.errors import UsageError
from aerepr.registry.catalogue import Recipe
from aerepr.registry.entrypoints import API_VERSION, KINDS, canonical
from aerepr.registry.registry import CORE, Registry, meant
from aerepr.spec.base import Table, component_of
from aerepr.spec.write import to_toml

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from aerepr.conformance.result import Result

Status = Literal["installed", "not installed", "not allowed"]


@dataclass(frozen=True)
class ComponentRow:
    """One announced component; `problem` says why using it would fail, as far as metadata can tell."""

    kind: str
    name: str
    package: str
    version: str
    summary: str
    source: str
    problem: str = ""


@dataclass(frozen=True)
class PackageRow:
    """One package with components, installed or known from a catalogue only."""

    package: str
    version: str
    status: Status
    summary: str
    install: str
    problem: str = ""


@dataclass(frozen=True)
class FieldRow:
    """One key of a component's table."""

    key: str
    type: str
    default: Any
    required: bool
    description: str
    schedulable: bool


def here() -> Registry:
    """The registry as seen from the current folder."""
    return Registry.beside(Path.cwd())


def components(registry: Registry, kind: str | None = None) -> list[ComponentRow]:
    """Every component that may be used, of one kind or of all, by kind and name.

    Raises:
        UsageError: there is no such kind.
    """
    notes = {
        (canonical(found.origin), note.kind, note.name): note
        for found in registry.catalogues
        for note in found.components
    }
    versions = {canonical(found.origin): found.api for found in registry.catalogues}
    rows = []
    for one in KINDS if kind is None else (known_kind(kind),):
        entries = registry.entries(one)
        for entry in entries:
            package = canonical(entry.package)
            note = notes.get((package, one, entry.name))
            problems = []
            others = [other.package for other in entries if other.name == entry.name and other != entry]
            if others:
                problems.append(f"also claimed by {', '.join(others)}")
            if versions.get(package, API_VERSION) != API_VERSION:
                problems.append(f"written for contract version {versions[package]}, this aerepr has {API_VERSION}")
            summary, source = (note.summary, note.source) if note is not None else ("", "")
            rows.append(
                ComponentRow(one, entry.name, entry.package, entry.version, summary, source, "; ".join(problems))
            )
    return rows


def packages(registry: Registry) -> list[PackageRow]:
    """Every plugin package: those that announce something here, then those a catalogue knows and nobody installed."""
    notes = {canonical(plugin.package): plugin for found in registry.catalogues for plugin in found.plugins}
    problems = {canonical(found.origin): found.problem for found in registry.catalogues if found.problem}
    versions = {name: number for name, number in registry.packages() if name != CORE}
    for found in registry.catalogues[1:]:
        if found is not registry.user:
            versions.setdefault(found.origin, _version(found.origin) or "unknown")
    rows = []
    for name, number in sorted(versions.items()):
        note = notes.pop(canonical(name), None)
        summary, install = (note.summary, note.install) if note is not None else ("", "")
        rows.append(PackageRow(name, number, "installed", summary, install, problems.get(canonical(name), "")))
    for note in notes.values():
        here_ = _version(note.package)
        allowed = registry.allows(note.package)
        status: Status = "not installed" if here_ is None else "installed" if allowed else "not allowed"
        rows.append(PackageRow(note.package, here_ or "", status, note.summary, note.install))
    return rows


def component(registry: Registry, kind: str, name: str) -> tuple[ComponentRow, str, list[FieldRow]]:
    """One component, what its class says of itself, and the keys of its table. Imports it.

    Raises:
        UsageError: there is no such kind. UnknownComponent, DuplicateComponent, PluginError: as the registry.
    """
    kind = known_kind(kind)
    loaded = registry.load(kind, name)
    (row,) = (row for row in components(registry, kind) if row.name == name)
    return row, (loaded.__doc__ or "").strip(), fields(loaded.Spec)


def fields(spec: Any) -> list[FieldRow]:
    """The keys of a component's table, `name` apart."""
    rows = []
    for key, info in spec.model_fields.items():
        if key == "name":
            continue
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        rows.append(
            FieldRow(
                key=info.alias or key,
                type=_type_name(info.annotation),
                default=None if info.is_required() else _default(info),
                required=info.is_required(),
                description=info.description or "",
                schedulable=bool(extra.get("schedulable")),
            )
        )
    return rows


def recipes(registry: Registry) -> list[Recipe]:
    """Every recipe, in the order of the catalogues."""
    return registry.recipes()


def recipe(registry: Registry, name: str) -> tuple[Recipe, dict[str, Any]]:
    """One recipe with its tables; a name that carries its parameter (SAE-6) has it filled in.

    Raises:
        UnknownComponent, DuplicateComponent: as the registry.
    """
    for found in registry.recipes():
        if found.parameters and found.name == name:
            return found, dict(found.tables)
    found, parameters = registry.recipe(name)
    return found, found.resolve(parameters)


def toml(tables: dict[str, Any]) -> str:
    """Tables as a spec file would say them."""
    return to_toml(tables)


def check_plugins(package: str | None = None) -> list[Result]:
    """Hold every component of a plugin package (of all, if none is named) against the checks of its kind.

    Raises:
        UsageError: no package of that name announces a component.
    """
    registry = here()
    installed = [name for name, _ in registry.packages()]
    chosen = [name for name in installed if name != CORE]
    if package is not None:
        chosen = [name for name in installed if canonical(name) == canonical(package)]
        if not chosen:
            raise UsageError(
                f'no package named "{package}" announces a component{meant(package, installed)}; '
                f"installed: {', '.join(installed)}"
            )
    from aerepr.conformance.run import check_package

    return [result for name in chosen for result in check_package(name, registry)]


def known_kind(kind: str) -> str:
    """The kind meant by its name or plural.

    Raises:
        UsageError: there is none.
    """
    found = kind.lower().removesuffix("s")
    if found not in KINDS:
        raise UsageError(f'no kind named "{kind}"{meant(found, list(KINDS))}; kinds: {", ".join(KINDS)}')
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _type_name(annotation: Any) -> str:
    # As a user would write it: bounds and the like are told by the description, or by the error.
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return _one_of(json.dumps(choice) for choice in arguments)
    if origin in (Union, UnionType):
        name = _one_of(_type_name(part) for part in arguments if part is not NoneType)
        return f"{name} (optional)" if NoneType in arguments else name
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(_type_name, arguments))}]"
    if annotation is Ellipsis:
        return "..."
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return "table"
    return annotation.__name__ if isinstance(annotation, type) else re.sub(r"\b(?:\w+\.)+(?=\w)", "", str(annotation))


def _one_of(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _default(info: FieldInfo) -> Any:
    default, component = _plain(info.get_default(call_default_factory=True)), component_of(info)
    if component is not None and component.default is not None and isinstance(default, Mapping):
        return {"name": component.default, **default}
    return default


def _plain(value: Any) -> Any:
    """A default as JSON and TOML can say it."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
