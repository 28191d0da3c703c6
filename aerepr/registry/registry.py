"""The registry: entry points and catalogues together, with the rules about names.

A misspelt name, a name claimed by two packages and a plugin that is not installed are three different errors.
"""

from __future__ import annotations

from difflib import get_close_matches
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

from aerepr.errors import DuplicateComponent, PluginError, UnknownComponent
from aerepr.registry import catalogue, entrypoints
from aerepr.registry.catalogue import Catalogue, ComponentNote, Recipe
from aerepr.registry.entrypoints import API_VERSION, Entry, canonical

CORE = "aerepr"


class Registry:
    """What is installed here and may be used.

    Args:
        user: the user's own catalogue, which adds recipes and may restrict plugin packages.
    """

    def __init__(self, user: Catalogue | None = None) -> None:
        self.user = user
        # Reading the metadata of every package takes longer than checking a spec, and a study checks many.
        self._entries: dict[str, tuple[Entry, ...]] = {}

    @classmethod
    def beside(cls, folder: Path) -> Registry:
        """The registry as seen from a spec in `folder`, whose own `registry.toml` counts."""
        return cls(catalogue.user_catalogue(folder))

    @cached_property
    def catalogues(self) -> tuple[Catalogue, ...]:
        """Core, installed plugins, user: the later wins nothing, names must not clash."""
        plugins = [found for found in catalogue.plugin_catalogues() if self.allows(found.origin)]
        user = [self.user] if self.user is not None else []
        return (catalogue.core_catalogue(), *plugins, *user)

    def allows(self, package: str) -> bool:
        """Whether the user's catalogue admits a package; the core always is."""
        allow = self.user.allow if self.user is not None else None
        if allow is None or package == CORE:
            return True
        return any(fnmatch(canonical(package), canonical(pattern)) for pattern in allow)

    def entries(self, kind: str) -> tuple[Entry, ...]:
        """Announced components of one kind that may be used here."""
        if kind not in self._entries:
            self._entries[kind] = tuple(entry for entry in entrypoints.entries(kind) if self.allows(entry.package))
        return self._entries[kind]

    def names(self, kind: str) -> list[str]:
        """Sorted names of the components of one kind."""
        return sorted({entry.name for entry in self.entries(kind)})

    def find(self, kind: str, name: str) -> Entry:
        """The one entry of that kind and name.

        Raises:
            UnknownComponent: there is none; says whether the name is misspelt, not installed or not allowed.
            DuplicateComponent: two packages claim it.
        """
        found = [entry for entry in self.entries(kind) if entry.name == name]
        if len(found) == 1:
            return found[0]
        if found:
            claims = " and ".join(f"{entry.package} ({entry.target})" for entry in found)
            raise DuplicateComponent(f'{kind} "{name}" is claimed by {claims}: uninstall one, or restrict plugins')
        raise UnknownComponent(self._why_missing(kind, name))

    def load(self, kind: str, name: str) -> Any:
        """The component class (or function) of that kind and name.

        Raises:
            UnknownComponent, DuplicateComponent: as `find`.
            PluginError: it cannot be imported, is no component, or was written for another version of the contracts.
        """
        entry = self.find(kind, name)
        self._check_version(kind, name, entry.package, entry.version)
        component = entrypoints.load(entry)
        if not isinstance(getattr(component, "Spec", None), type):
            raise PluginError(
                f'{kind} "{name}" of package {entry.package} {entry.version}: "{entry.target}" is no component: it has '
                f"no class `Spec`. Update or uninstall {entry.package}."
            )
        return component

    def note(self, kind: str, name: str) -> ComponentNote:
        """What the catalogue of its package says of a component; an empty note where it says nothing.

        Raises:
            UnknownComponent, DuplicateComponent: as `find`.
        """
        package = canonical(self.find(kind, name).package)
        for found in self.catalogues:
            for note in found.components:
                if canonical(found.origin) == package and (note.kind, note.name) == (kind, name):
                    return note
        return ComponentNote(kind, name, summary="", source="")

    def recipes(self) -> list[Recipe]:
        """Every recipe of every catalogue."""
        return [recipe for found in self.catalogues for recipe in found.recipes]

    def recipe(self, name: str) -> tuple[Recipe, dict[str, int]]:
        """The recipe that answers to `name`, with the parameters the name carries.

        Raises:
            UnknownComponent: no recipe answers to it.
            DuplicateComponent: two catalogues claim it.
            PluginError: its package was written for another version of the contracts.
        """
        found = [(recipe, match) for recipe in self.recipes() if (match := recipe.match(name)) is not None]
        # A recipe named in full is meant before one that a parameter makes fit.
        found = [pair for pair in found if not pair[1]] or found
        if len(found) == 1:
            self._check_version("recipe", name, found[0][0].origin)
            return found[0]
        if found:
            claims = " and ".join(recipe.origin for recipe, _ in found)
            raise DuplicateComponent(f'recipe "{name}" is claimed by {claims}')
        names = [example for recipe in self.recipes() for example in recipe.examples()]
        listing = ", ".join(recipe.name for recipe in self.recipes())
        raise UnknownComponent(f'no recipe named "{name}"{meant(name, names)}; installed: {listing}')

    def packages(self) -> list[tuple[str, str]]:
        """(package, version) of everything that announces a component usable here, the core first."""
        found = {(entry.package, entry.version) for kind in entrypoints.KINDS for entry in self.entries(kind)}
        return sorted(found, key=lambda pair: (pair[0] != CORE, pair))

    def _check_version(self, kind: str, name: str, package: str, version: str = "") -> None:
        for found in self.catalogues:
            if found.origin == package and found.api != API_VERSION:
                whose = f"package {package} {version}".rstrip()
                raise PluginError(
                    f'{kind} "{name}": {whose} was written for contract version {found.api}, this aerepr has {API_VERSION}: '
                    "install a matching release of either"
                )

    def _why_missing(self, kind: str, name: str) -> str:
        barred = [entry for entry in entrypoints.entries(kind) if entry.name == name]
        if barred:
            return f'{kind} "{name}" of {barred[0].package} is not among [plugins] allow of {self.user and self.user.origin}'
        for found in self.catalogues:
            for plugin in found.plugins:
                if name in plugin.components.get(kind, ()):
                    return f'"{name}" is in registry.toml but not installed: {plugin.install}'
        names = self.names(kind)
        return f'no {kind} named "{name}"{meant(name, names)}; installed: {", ".join(names) or "none"}'


def meant(name: str, names: list[str]) -> str:
    """What to say of the known name that is nearest to an unknown one, if any is near."""
    close = get_close_matches(name, names, n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""
