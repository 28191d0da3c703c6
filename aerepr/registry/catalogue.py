"""The catalogues: what `registry.toml` files say of components, recipes and plugin packages.

The core's catalogue stands at the repository's root and inside the wheel; a plugin package carries its own in the same
form and points to it with one entry point (the value is the package that holds the file):

    [project.entry-points."aerepr.recipes"]
    my_package = "my_package"

A user may keep a third beside a spec. Catalogues are data: reading one imports nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aerepr.errors import PluginError, UsageError
from aerepr.registry.card import Card, parse_card
from aerepr.registry.entrypoints import API_VERSION, KINDS

FILE_NAME = "registry.toml"
RECIPE_GROUP = "aerepr.recipes"


@dataclass(frozen=True)
class ComponentNote:
    """What a catalogue says of one component.

    Attributes:
        example: settings with which the conformance checks build it, on top of its defaults: what has no default, and
            what makes it small.
        beside: tables of the components it has to stand beside there, where the usual ones do not do:
            `{"posterior": {"name": "..."}}`.
        card: where the published files of a data set are, and under which terms.
    """

    kind: str
    name: str
    summary: str
    source: str
    example: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Any] = field(default_factory=dict)
    card: Card | None = None


@dataclass(frozen=True)
class PluginNote:
    """A plugin package that may or may not be installed, and how to install it."""

    package: str
    summary: str
    install: str
    components: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Recipe:
    """A named composition; `{n}` in its name is a typed parameter."""

    name: str
    summary: str
    source: str
    parameters: Mapping[str, tuple[int, ...]]
    tables: Mapping[str, Any]
    origin: str

    def match(self, asked: str) -> dict[str, int] | None:
        """The parameters for which this recipe is called `asked`, or None."""
        pattern = re.escape(self.name)
        for parameter in self.parameters:
            pattern = pattern.replace(re.escape("{" + parameter + "}"), f"(?P<{parameter}>[0-9]+)")
        found = re.fullmatch(pattern, asked)
        return None if found is None else {key: int(value) for key, value in found.groupdict().items()}

    def resolve(self, parameters: Mapping[str, int]) -> dict[str, Any]:
        """The recipe's tables with every value that is exactly `"{n}"` replaced by the parameter."""
        return {key: _substitute(value, parameters) for key, value in self.tables.items()}

    def examples(self) -> list[str]:
        """Names that this recipe answers to, one for each published value of its parameter."""
        if not self.parameters:
            return [self.name]
        ((parameter, values),) = self.parameters.items()
        return [self.name.replace("{" + parameter + "}", str(value)) for value in values]


@dataclass(frozen=True)
class Catalogue:
    """One `registry.toml`, parsed."""

    origin: str
    api: int
    components: tuple[ComponentNote, ...] = ()
    recipes: tuple[Recipe, ...] = ()
    plugins: tuple[PluginNote, ...] = ()
    allow: tuple[str, ...] | None = None
    problem: str = field(default="")


def read_catalogue(path: Path, origin: str) -> Catalogue:
    """Parse one `registry.toml`.

    Raises:
        PluginError: the file cannot be read, is not TOML, or an entry lacks a key; the message names the place.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise PluginError(f"{path}: the catalogue of {origin} cannot be read: {cause}") from cause
    api = table.get("aerepr_api", API_VERSION)
    try:
        return Catalogue(
            origin=origin,
            api=int(api),
            components=tuple(_component(item) for item in table.get("components", [])),
            recipes=tuple(_recipe(item, origin) for item in table.get("recipes", [])),
            plugins=tuple(_plugin(item) for item in _blocks(table)),
            allow=_allow(table),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as cause:
        if isinstance(api, int) and api != API_VERSION:
            # It may well say what only that version understands; what counts is that its components are refused.
            return Catalogue(origin, api)
        raise PluginError(f"{path}: the catalogue of {origin} is malformed: {type(cause).__name__} {cause}") from cause


def core_catalogue() -> Catalogue:
    """The catalogue that ships with the core."""
    path = _beside_package("aerepr")
    if path is None:
        raise PluginError(f"{FILE_NAME} of the core is missing: reinstall aerepr")
    return read_catalogue(path, "aerepr")


def plugin_catalogues() -> list[Catalogue]:
    """The catalogues of installed plugin packages; a broken one is returned with its `problem`, and stops nothing."""
    found = []
    for point in sorted(set(entry_points(group=RECIPE_GROUP)), key=lambda point: point.name):
        package = point.dist.name if point.dist is not None else point.name
        try:
            path = _beside_package(point.value)
            if path is None:
                raise PluginError(f"package {package} announces a {FILE_NAME} in {point.value}, which holds none")
            found.append(read_catalogue(path, package))
        except PluginError as cause:
            found.append(Catalogue(origin=package, api=API_VERSION, problem=str(cause)))
    return found


def user_catalogue(folder: Path) -> Catalogue | None:
    """The user's own catalogue beside a spec, if there is one.

    The `registry.toml` at the root of a checkout, of the core or of an installed plugin, is not taken for it: it counts
    already, and would claim every name a second time.

    Raises:
        UsageError: it cannot be read or is malformed.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    packages = ["aerepr", *(point.value for point in entry_points(group=RECIPE_GROUP))]
    if path.resolve() in {found.resolve() for name in packages if (found := _beside_package(name)) is not None}:
        return None
    try:
        return read_catalogue(path, str(path))
    except PluginError as cause:
        raise UsageError(str(cause)) from cause


def _beside_package(package: str) -> Path | None:
    """`registry.toml` inside a package, or beside it in a source checkout; found without importing the package."""
    top, _, rest = package.partition(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # what a plugin announces may be no name of a package at all
        return None
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        folder = Path(location, *rest.split(".")) if rest else Path(location)
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
        if (folder.parent / "pyproject.toml").is_file() and (folder.parent / FILE_NAME).is_file():
            return folder.parent / FILE_NAME
    return None


def _component(item: dict[str, Any]) -> ComponentNote:
    if item["kind"] not in KINDS:
        raise ValueError(f'components: no kind "{item["kind"]}", expected one of {", ".join(KINDS)}')
    example, beside = dict(item.get("example", {})), dict(item.get("beside", {}))
    card = parse_card(item["card"]) if "card" in item else None
    return ComponentNote(item["kind"], item["name"], item["summary"], item.get("source", ""), example, beside, card)


def _recipe(item: dict[str, Any], origin: str) -> Recipe:
    known = {"name", "summary", "source", "parameters"}
    parameters = {key: tuple(int(v) for v in values) for key, values in item.get("parameters", {}).items()}
    if len(parameters) > 1 or any("{" + key + "}" not in item["name"] for key in parameters):
        raise ValueError(f'recipe "{item["name"]}" takes at most one parameter, which its name shows in braces')
    tables = {key: value for key, value in item.items() if key not in known}
    return Recipe(item["name"], item["summary"], item.get("source", ""), parameters, tables, origin)


def _blocks(table: dict[str, Any]) -> list[dict[str, Any]]:
    # `[[plugins]]` lists packages (the core's catalogue); `[plugins] allow` restricts them (the user's).
    blocks = table.get("plugins", [])
    return blocks if isinstance(blocks, list) else []


def _allow(table: dict[str, Any]) -> tuple[str, ...] | None:
    block = table.get("plugins", {})
    if isinstance(block, list) or "allow" not in block:
        return None
    if not isinstance(block["allow"], list):
        raise TypeError(f'plugins.allow: expected a list such as ["aerepr-*"], got {block["allow"]!r}')
    return tuple(str(pattern) for pattern in block["allow"])


def _plugin(item: dict[str, Any]) -> PluginNote:
    components = {kind: tuple(names) for kind, names in item.get("components", {}).items()}
    return PluginNote(item["package"], item["summary"], item["install"], components)


def _substitute(value: Any, parameters: Mapping[str, int]) -> Any:
    if isinstance(value, dict):
        return {key: _substitute(item, parameters) for key, item in value.items()}
    if isinstance(value, list):
        return [_substitute(item, parameters) for item in value]
    if isinstance(value, str) and value.startswith("{") and value.endswith("}"):
        return parameters.get(value[1:-1], value)
    return value
