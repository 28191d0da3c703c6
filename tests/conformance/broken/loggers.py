"""Loggers that break a contract each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from aerepr.kinds.logger import Logger
from aerepr.spec.base import ComponentSpec
from tests.conformance.broken.collected import broken


class Silent(Logger):
    Spec = ComponentSpec

    def __init__(self, spec: ComponentSpec, folder: Path, step: int) -> None: ...

    def record(self, step: int, values: Mapping[str, float]) -> None: ...

    def picture(self, step: int, name: str, image_HWC: np.ndarray) -> None: ...

    def close(self) -> None: ...


@broken("logger", "listens")
class NoPictures(Silent):
    def picture(self, step: int, name: str, image_HWC: np.ndarray) -> None:
        raise NotImplementedError


@broken("logger", "resumes")
class Once(Silent):
    def __init__(self, spec: ComponentSpec, folder: Path, step: int) -> None:
        (folder / "log").mkdir()


@broken("logger", "generator")
class DrawsLogger(Silent):
    def close(self) -> None:
        torch.rand(1)
