"""Contract of a logger: a listener to what training records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from aerepr.spec.base import ComponentSpec


class Logger(ABC):
    """Receives the records of `metrics.jsonl` and the pictures.

    Built as `Logger(spec, folder)` with the run directory, after a resume with `step` the one training continues from.
    """

    Spec: ClassVar[type[ComponentSpec]] = ComponentSpec

    @abstractmethod
    def __init__(self, spec: ComponentSpec, folder: Path, step: int) -> None: ...

    @abstractmethod
    def record(self, step: int, values: Mapping[str, float]) -> None:
        """One record of `metrics.jsonl`."""

    @abstractmethod
    def picture(self, step: int, name: str, image_HWC: np.ndarray) -> None:
        """A picture, uint8 (H, W, 3)."""

    @abstractmethod
    def close(self) -> None:
        """Called once, also when training fails."""
