"""Contract of an exporter: a run to files that other programs run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from aerepr.kinds.run import RunView
from aerepr.spec.base import ComponentSpec


@dataclass(frozen=True)
class Exported:
    """One file written: what it is for, and its largest difference from the eager model, relative to the data range."""

    file: str
    purpose: str
    max_abs_diff: float


class Exporter(ABC):
    """Files, verified against the eager model before `write` returns."""

    Spec: ClassVar[type[ComponentSpec]] = ComponentSpec

    @abstractmethod
    def __init__(self, spec: ComponentSpec) -> None: ...

    @abstractmethod
    def write(self, run: RunView, folder: Path) -> list[Exported]:
        """Write into `folder`, which exists and is empty of this exporter's files.

        Raises:
            ExportError: a module cannot be exported, or a file does not agree with the eager model.
        """
