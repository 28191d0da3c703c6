"""What a run was asked to be and what it ran on: spec.toml, spec.resolved.json, env.json."""

from __future__ import annotations

import json
import platform
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from aerepr import atomic
from aerepr.errors import AereprWarning, RunDirectoryError
from aerepr.registry.registry import CORE, Registry
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.base import components
from aerepr.spec.read import spec_from_json
from aerepr.spec.run import RunSpec
from aerepr.spec.write import to_toml


def write(run: RunDirectory, spec: RunSpec, asked: str | None, env: dict[str, Any]) -> None:
    """Write the manifest of a new run; `asked` is the spec file's own text, if there was a file."""
    # First, because its presence beside nothing else but a spec tells a run that was killed here from a folder of a user's.
    atomic.write_text(run.env, json.dumps(env, indent=2) + "\n")
    atomic.write_text(run.spec_toml, asked if asked is not None else to_toml(spec.tables()))
    # Last, because its presence is what makes a folder a run directory.
    atomic.write_text(run.spec_resolved, json.dumps(spec.tables(), indent=2) + "\n")


def rewrite_spec(run: RunDirectory, spec: RunSpec) -> None:
    """Record what a resumed run was allowed to change: steps, intervals, evaluation."""
    atomic.write_text(run.spec_resolved, json.dumps(spec.tables(), indent=2) + "\n")


def require_packages(run: RunDirectory) -> None:
    """Refuse a run made with a plugin package that is not installed here, and warn of one in another version.

    Raises:
        RunDirectoryError: names the packages and what to install.
    """
    missing = []
    for package, made_with in read_env(run).get("packages", {}).items():
        if made_with == "unpackaged" or package == CORE:
            continue
        try:
            found = version(package)
        except PackageNotFoundError:
            missing.append(f"{package}=={made_with}")
            continue
        if found != made_with:
            text = (
                f"{run.path}: made with {package} {made_with}, {found} is installed here and may compute something else: "
                f"pip install {package}=={made_with}"
            )
            warnings.warn(text, AereprWarning, stacklevel=2)
    if missing:
        raise RunDirectoryError(
            f"{run.path}: made with {', '.join(missing)}, not installed here: pip install {' '.join(missing)}"
        )


def read_spec(run: RunDirectory, registry: Registry | None = None) -> RunSpec:
    """The resolved spec of a run.

    Raises:
        RunDirectoryError: it cannot be read, or a plugin it needs is not installed here.
    """
    require_packages(run)
    try:
        text = run.spec_resolved.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise RunDirectoryError(f"{run.spec_resolved}: cannot be read: {cause}") from cause
    return spec_from_json(text, str(run.spec_resolved), registry)


def read_env(run: RunDirectory) -> dict[str, Any]:
    """What the run was made with.

    Raises:
        RunDirectoryError: env.json cannot be read.
    """
    try:
        env: dict[str, Any] = json.loads(run.env.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise RunDirectoryError(f"{run.env}: cannot be read: {cause}") from cause
    if not isinstance(env, dict) or not isinstance(env.get("folder"), str):
        raise RunDirectoryError(f'{run.env}: cannot be read: it has no "folder", where paths of the spec start')
    return env


def environment(spec: RunSpec, folder: Path, registry: Registry, resolved: dict[str, Any]) -> dict[str, Any]:
    """Versions, plugin packages of the components in use, where paths of the spec start, and every `auto` resolved."""
    used = [registry.find(kind, name) for kind, name in components(spec)]
    packages = {entry.package: entry.version for entry in used}
    return {
        "aerepr": version("aerepr"),
        "torch": version("torch"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted(packages.items())),
        "folder": str(folder.resolve()),
        "resolved": resolved,
    }
