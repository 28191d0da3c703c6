"""Contract of a traversal: paths through the latent space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from aerepr.kinds.run import RunView
from aerepr.spec.base import ComponentSpec


@dataclass(frozen=True)
class Path:
    """A row of a picture: a label and the codes along it, (steps, D)."""

    label: str
    z_SD: Tensor


class Traversal(ABC):
    """Base codes to paths of codes."""

    Spec: ClassVar[type[ComponentSpec]] = ComponentSpec

    @abstractmethod
    def __init__(self, spec: ComponentSpec) -> None: ...

    @abstractmethod
    def paths(self, run: RunView, base_BD: Tensor) -> list[Path]:
        """Paths that start from (or pass near) the base codes, in the order they are shown."""
