"""Exporter `plugin_name`: the decoder's weights by name, for a program that has its own implementation of it.

`decoder.safetensors`, read again and compared bit for bit before it counts as written.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from aerepr.errors import ExportError
from aerepr.kinds.exporter import Exported, Exporter
from aerepr.kinds.run import RunView
from aerepr.spec.base import ComponentSpec


class PluginNameExporterSpec(ComponentSpec):
    """Table of the exporter `plugin_name`."""


class PluginNameExporter(Exporter):
    """One file of tensors."""

    Spec = PluginNameExporterSpec

    def __init__(self, spec: PluginNameExporterSpec) -> None:
        pass

    def write(self, run: RunView, folder: Path) -> list[Exported]:
        """`decoder.safetensors`.

        Raises:
            ExportError: what is read back is not what was written.
        """
        weights = {name: value.cpu().contiguous() for name, value in run.model.decoder.state_dict().items()}
        path = folder / "decoder.safetensors"
        save_file(weights, path)
        found = load_file(path)
        if found.keys() != weights.keys() or not all(torch.equal(found[name], weights[name]) for name in weights):
            path.unlink()
            raise ExportError(f"{path.name}: other weights were read back than were written")
        return [Exported(path.name, "weights of the decoder by name", None, "safetensors.torch.load_file")]
