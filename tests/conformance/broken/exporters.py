"""Exporters that break a contract each."""

from __future__ import annotations

from pathlib import Path

from aerepr.kinds.exporter import Exported, Exporter
from aerepr.kinds.run import RunView
from aerepr.layers.exportable import graphs
from aerepr.spec.base import ComponentSpec
from tests.conformance.broken.collected import broken


class Traces(Exporter):
    """Traces every graph and compares nothing."""

    Spec = ComponentSpec

    def __init__(self, spec: ComponentSpec) -> None: ...

    def write(self, run: RunView, folder: Path) -> list[Exported]:
        found = graphs(run.model, run.sampler, run.codes, run.info.shape.is_image, run.objective.exports())
        for graph in found:
            (folder / f"{graph.name}.txt").write_text(str(graph.module))
        return [Exported(f"{graph.name}.txt", graph.purpose, 0.0) for graph in found]


broken("exporter", "verifies")(Traces)


@broken("exporter", "writes")
class Claims(Traces):
    def write(self, run: RunView, folder: Path) -> list[Exported]:
        return [*super().write(run, folder), Exported("more.txt", "nothing", 0.0)]
