"""ONNX: one graph a file, for onnxruntime in any language and in the browser.

`decoder.onnx` (`z` to `image`, or `x` for vectors), `sampler.onnx` (`noise` to `z`) and one file for each entry of the
objective. The batch is dynamic, weights are inside the file, and no path or stack trace of this machine stays in it. The
same run gives the same bytes.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import Message
from torch import Tensor

from aerepr.errors import ExportError
from aerepr.kinds.exporter import Exported, Exporter
from aerepr.kinds.run import RunView
from aerepr.layers.exportable import Graph, graphs, verify
from aerepr.spec.base import ComponentSpec

# Browsers and Node lag behind Python: 20 is what all current releases of onnxruntime read.
OPSET = 20


class ONNXSpec(ComponentSpec):
    """Table of the exporter `onnx`; it has no settings."""


class ONNXExporter(Exporter):
    """A run to ONNX files, each verified with onnxruntime."""

    Spec = ONNXSpec

    def __init__(self, spec: ComponentSpec) -> None:
        self.spec = spec

    def write(self, run: RunView, folder: Path) -> list[Exported]:
        """One file a graph.

        Raises:
            ExportError: a graph cannot be expressed in ONNX, or onnxruntime disagrees with the eager model; its file is
                not written.
        """
        properties = {
            "recipe": run.spec.model.recipe or "",
            "spec_hash": run.spec.hash(),
            "layout": json.dumps([[variable.name, variable.start, variable.stop] for variable in run.layout]),
        }
        found = graphs(run.model, run.sampler, run.codes, run.info.shape.is_image, run.objective.exports())
        exported = []
        for graph in found:
            data = convert(graph, properties)
            difference = verify(graph, onnx_runner(data))
            (folder / f"{graph.name}.onnx").write_bytes(data)
            exported.append(Exported(f"{graph.name}.onnx", graph.purpose, difference))
        return exported


def convert(graph: Graph, properties: Mapping[str, str]) -> bytes:
    """A graph as the bytes of an ONNX file.

    Raises:
        ExportError: it cannot be expressed in ONNX.
    """
    # Two rows, for a batch of one would be taken for a constant.
    example = graph.example(2)
    batch = torch.export.Dim("batch")
    try:
        with _quiet():
            program = torch.onnx.export(
                graph.module,
                example,
                dynamo=True,
                external_data=False,
                opset_version=OPSET,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_shapes=tuple({0: batch} if value.dim() else None for value in example),
                verbose=False,
            )
    except Exception as cause:
        root: BaseException = cause
        while root.__cause__ is not None:
            root = root.__cause__
        reason = next((line for line in str(root).splitlines() if line.strip()), type(root).__name__)
        raise ExportError(f"{graph.name} cannot be exported to ONNX: {reason.strip()}") from cause
    assert program is not None
    model = program.model_proto
    _strip(model)
    _describe(model, graph, properties)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def onnx_runner(data: bytes) -> Callable[[tuple[Tensor, ...]], list[Tensor]]:
    """onnxruntime on the bytes of a file, as a function of tensors."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(inputs: tuple[Tensor, ...]) -> list[Tensor]:
        feed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return [torch.from_numpy(np.asarray(value)) for value in session.run(None, feed)]

    return run


def _strip(message: Message) -> None:
    """Remove doc strings and metadata at every depth: the exporter leaves stack traces with this machine's paths in them."""
    for field, value in message.ListFields():
        if field.name in ("doc_string", "metadata_props"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for item in [value] if isinstance(value, Message) else value:
                _strip(item)


def _describe(model: onnx.ModelProto, graph: Graph, properties: Mapping[str, str]) -> None:
    model.producer_name, model.producer_version = "aerepr", version("aerepr")
    model.doc_string = graph.purpose
    model.graph.name = graph.name
    onnx.helper.set_model_props(model, dict(properties))
    values = graph.inputs | graph.outputs
    # Some versions of the exporter rename an input that a transformation captured; the order is always kept.
    for info, name in zip(model.graph.input, graph.inputs, strict=True):
        _rename(model, info.name, name)
    for info in [*model.graph.input, *model.graph.output]:
        value = values[info.name]
        sizes = ["batch", *map(str, value.shape[1:])] if value.dim() else []
        info.doc_string = f"{info.name}: {str(value.dtype).removeprefix('torch.')} ({', '.join(sizes)})"


def _rename(model: onnx.ModelProto, old: str, new: str) -> None:
    """Give an input of the graph another name, wherever it is read."""
    if old == new:
        return
    for info in model.graph.input:
        info.name = new if info.name == old else info.name
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's notes about operators of packages that are not installed, and its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
