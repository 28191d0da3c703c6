"""Traversals that break a contract each."""

from __future__ import annotations

import torch
from torch import Tensor

from aerepr.kinds.run import RunView
from aerepr.kinds.traversal import Path as Walk
from aerepr.kinds.traversal import Traversal
from aerepr.spec.base import ComponentSpec
from tests.conformance.broken.collected import broken


class Line(Traversal):
    Spec = ComponentSpec

    def __init__(self, spec: ComponentSpec) -> None:
        self.calls = 0

    def paths(self, run: RunView, base_BD: Tensor) -> list[Walk]:
        return [Walk("line", base_BD[:1] + torch.linspace(-1, 1, 3)[:, None])]


@broken("traversal", "builds")
class NotBuilt(Line):
    def __init__(self, spec: ComponentSpec) -> None:
        raise ValueError("no")


@broken("traversal", "paths")
class NarrowLine(Line):
    def paths(self, run: RunView, base_BD: Tensor) -> list[Walk]:
        return [Walk("line", base_BD[:, 1:])]


@broken("traversal", "paths")
class AsksForData(Line):
    def paths(self, run: RunView, base_BD: Tensor) -> list[Walk]:
        next(run.batches("test"))
        return super().paths(run, base_BD)


@broken("traversal", "base")
class Overwrites(Line):
    def paths(self, run: RunView, base_BD: Tensor) -> list[Walk]:
        found = super().paths(run, base_BD.clone())
        base_BD.zero_()
        return found


@broken("traversal", "generator")
class DrawsLine(Line):
    def paths(self, run: RunView, base_BD: Tensor) -> list[Walk]:
        return super().paths(run, base_BD + torch.rand(()))


@broken("traversal", "deterministic")
class Wanders(Line):
    def paths(self, run: RunView, base_BD: Tensor) -> list[Walk]:
        self.calls += 1
        return super().paths(run, base_BD + self.calls)
