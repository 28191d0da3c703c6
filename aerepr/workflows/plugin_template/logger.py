"""Logger `plugin_name`: every number of training as one line `step,name,value` of `plugin_name.csv` in the run."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from aerepr import atomic
from aerepr.kinds.logger import Logger
from aerepr.spec.base import ComponentSpec

HEADER = "step,name,value"


class PluginNameLoggerSpec(ComponentSpec):
    """Item of `[[loggers]]` with `name = "plugin_name"`."""


class PluginNameLogger(Logger):
    """Appends to one file; pictures are not kept."""

    Spec = PluginNameLoggerSpec

    def __init__(self, spec: PluginNameLoggerSpec, folder: Path, step: int) -> None:
        path = folder / "plugin_name.csv"
        lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.is_file() else []
        # A resumed run writes again what an interrupted one wrote after its checkpoint.
        kept = [line for line in lines if int(line.partition(",")[0]) <= step]
        atomic.write_text(path, "\n".join([HEADER, *kept]) + "\n")
        self.file = path.open("a", encoding="utf-8", newline="")
        self.writer = csv.writer(self.file, lineterminator="\n")

    def record(self, step: int, values: Mapping[str, float]) -> None:
        self.writer.writerows((step, name, value) for name, value in values.items())
        self.file.flush()

    def picture(self, step: int, name: str, image_HWC: np.ndarray) -> None:
        pass

    def close(self) -> None:
        self.file.close()
