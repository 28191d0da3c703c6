"""Structured representation learning with autoencoders.

`aerepr.train(spec)` trains, `aerepr.load(run)` opens what was trained, `aerepr.load_decoder(folder)` runs an export. Names
are imported when they are first used, so that `import aerepr` is light.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aerepr.export.load import load_decoder
    from aerepr.workflows.load import load
    from aerepr.workflows.train import train

    __version__: str

__all__ = ["__version__", "load", "load_decoder", "train"]

_HOMES = {
    "load": "aerepr.workflows.load",
    "load_decoder": "aerepr.export.load",
    "train": "aerepr.workflows.train",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = version("aerepr")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
