"""Components by kind and name, found in package metadata.

Listing reads metadata and imports nothing; loading imports only the module of the component asked for. A component is
registered by one line in the `pyproject.toml` of the package that ships it:

    [project.entry-points."aerepr.decoders"]
    tiny = "my_package.tiny:TinyDecoder"

`AEREPR_PLUGINS="decoders:tiny=my_package.tiny:TinyDecoder"` (several, separated by spaces or commas) registers work that
is not packaged yet.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from aerepr.errors import PluginError, UsageError

KINDS = (
    "encoder",
    "posterior",
    "prior",
    "decoder",
    "likelihood",
    "regularizer",
    "objective",
    "sampler",
    "traversal",
    "dataset",
    "metric",
    "exporter",
    "logger",
)

# The version of the contracts in `aerepr/kinds`. It rises when a component written before would stop working.
API_VERSION = 1

ENVIRONMENT_VARIABLE = "AEREPR_PLUGINS"


@dataclass(frozen=True, order=True)
class Entry:
    """One component as its package announces it."""

    kind: str
    name: str
    target: str
    package: str
    version: str


def group(kind: str) -> str:
    """The entry-point group of a kind: `aerepr.decoders` for `decoder`."""
    return f"aerepr.{kind}s"


def canonical(package: str) -> str:
    """A package's name as indexes compare it: `Aerepr_Flow` and `aerepr-flow` are one package."""
    return re.sub(r"[-_.]+", "-", package).lower()


def entries(kind: str) -> tuple[Entry, ...]:
    """Every component of one kind that is announced, sorted; a name may occur twice if two packages claim it."""
    found = {_from_metadata(kind, point) for point in entry_points(group=group(kind))}
    found |= {entry for entry in _from_environment() if entry.kind == kind}
    return tuple(sorted(found))


def load(entry: Entry) -> Any:
    """Import the component behind an entry.

    Raises:
        PluginError: the import fails; the message names the package and the cause.
    """
    module_name, _, attribute = entry.target.partition(":")
    try:
        component: Any = import_module(module_name)
        for part in attribute.split("."):
            component = getattr(component, part)
    except Exception as cause:  # noqa: BLE001 - a plugin may fail in any way; the failure is its own
        raise PluginError(
            f'{entry.kind} "{entry.name}" of package {entry.package} {entry.version} cannot be loaded from '
            f'"{entry.target}": {type(cause).__name__}: {cause}. Update or uninstall {entry.package}.'
        ) from cause
    return component


def _from_metadata(kind: str, point: EntryPoint) -> Entry:
    dist = point.dist
    package, version = (dist.name, dist.version) if dist is not None else ("unknown", "unknown")
    return Entry(kind, point.name, point.value.replace(" ", ""), package, version)


def _from_environment() -> set[Entry]:
    found = set()
    for item in os.environ.get(ENVIRONMENT_VARIABLE, "").replace(",", " ").split():
        plural, _, rest = item.partition(":")
        name, equals, target = rest.partition("=")
        kind = plural.removesuffix("s")
        if kind not in KINDS or not equals or not name or ":" not in target:
            raise UsageError(
                f'{ENVIRONMENT_VARIABLE}: found "{item}", expected "<kind>s:<name>=<module>:<class>", '
                f"such as decoders:tiny=my_package.tiny:TinyDecoder; kinds are {', '.join(KINDS)}"
            )
        found.add(Entry(kind, name, target, ENVIRONMENT_VARIABLE, "unpackaged"))
    return found
