"""TensorBoard: the records of training as scalars, the pictures as images, in `tb/` of the run directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from aerepr.errors import MissingExtra
from aerepr.kinds.logger import Logger
from aerepr.spec.base import ComponentSpec


class TensorBoardLoggerSpec(ComponentSpec):
    """Item of `[[loggers]]` with `name = "tensorboard"`."""


class TensorBoardLogger(Logger):
    """Writes event files; needs the extra `tb`.

    Raises:
        MissingExtra: TensorBoard is not installed.
    """

    Spec = TensorBoardLoggerSpec

    def __init__(self, spec: TensorBoardLoggerSpec, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as cause:
            raise MissingExtra("tensorboard", "tb", "the tensorboard logger") from cause
        # What an interrupted run wrote past its checkpoint is hidden, so a resumed run draws one line.
        self.writer = SummaryWriter(str(folder / "tb"), purge_step=step)

    def record(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, image_HWC: np.ndarray) -> None:
        self.writer.add_image(name, image_HWC, step, dataformats="HWC")

    def close(self) -> None:
        self.writer.close()
