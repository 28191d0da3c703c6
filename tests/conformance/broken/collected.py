"""Components that are broken on purpose, each with the one check that must find it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from aerepr.registry.entrypoints import Entry
from aerepr.registry.registry import Registry

BROKEN: list[tuple[str, str, Any]] = []


def broken(kind: str, check: str) -> Callable[[Any], Any]:
    def keep(component: Any) -> Any:
        BROKEN.append((kind, check, component))
        return component

    return keep


class Stub(Registry):
    """The installed components, and one more called `broken`."""

    def __init__(self, kind: str, component: Any) -> None:
        super().__init__()
        self.kind, self.component = kind, component

    def find(self, kind: str, name: str) -> Entry:
        return Entry(kind, name, "", "stub", "0") if name == "broken" else super().find(kind, name)

    def load(self, kind: str, name: str) -> Any:
        if name != "broken":
            return super().load(kind, name)
        if isinstance(self.component, Exception):
            raise self.component
        return self.component


def grows(old: Tensor, count: int) -> Tensor:
    """Another function of a batch of two, which is what a graph is traced on."""
    return old + 1 if count == 2 else old
