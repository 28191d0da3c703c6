"""`aerepr info`: what this machine and this installation are."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import torch

from aerepr.data.cache import cache_directory
from aerepr.registry.entrypoints import KINDS
from aerepr.training import precision
from aerepr.workflows import catalogue


def info() -> dict[str, Any]:
    """Versions, device, cache folder, and how many components and plugin packages there are."""
    registry = catalogue.here()
    device = precision.choose_device("auto")
    plugins = [row for row in catalogue.packages(registry) if row.status == "installed"]
    return {
        "aerepr": version("aerepr"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "folder": str(Path(__file__).parents[1]),
        "cache": str(cache_directory()),
        "packages": _versions(),
        "plugins": len(plugins),
        "components": sum(len(registry.names(kind)) for kind in KINDS),
    }


def _versions() -> dict[str, str]:
    """Version of every package that aerepr depends on, extras included, where installed."""
    found = {}
    for requirement in requires("aerepr") or []:
        name = requirement.split(";")[0].split("[")[0]
        for mark in "<>=!~ ":
            name = name.split(mark)[0]
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    found.pop("aerepr", None)
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))
