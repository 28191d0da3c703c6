"""ONNX: one graph a file, for onnxruntime in any language and in the browser.

`decoder.onnx` (`z` to `image`, or `x` for vectors), `sampler.onnx` (`noise` to `z`), on request `encoder.onnx` (`x` to `z`),
and one file for each entry of the objective. The batch is dynamic, weights are inside the file, and no path or stack trace of
this machine stays in it. The same run gives the same bytes.

With `precision = "fp16"` weights are stored in half the bits and cast back by the file itself, which onnxruntime does once, when
it loads: half the size, the same speed, float32 inputs and outputs. Samplers are left alone, so that codes stay those of the bank.
"""

from __future__ import annotations

import json
import logging
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import Message
from onnx import TensorProto, helper, numpy_helper
from onnxscript import FLOAT, opset20
from pydantic import Field
from torch import Tensor

from aerepr.errors import ExportError
from aerepr.kinds.exporter import Exported, Exporter, Rounding
from aerepr.kinds.run import RunView
from aerepr.layers.exportable import Graph, graphs, signal_to_noise, verify
from aerepr.spec.export import ExporterSpec

# Browsers and Node lag behind Python: 20 is what all current releases of onnxruntime read.
OPSET = 20

# Lowest PSNR in dB of a file with rounded weights: below what rounding an image to eight bits costs, 58.9.
LEAST_PSNR = 60.0

# Calls that are timed to compare two files, and those before them that are not.
TURNS, WARM_UP = 31, 5

# A file, as a function of tensors.
Runner = Callable[[tuple[Tensor, ...]], list[Tensor]]


class ONNXSpec(ExporterSpec):
    """Table of the exporter `onnx`."""

    precision: Literal["fp32", "fp16"] = Field("fp32", description="how weights of two or more dimensions are stored")


class ONNXExporter(Exporter):
    """A run to ONNX files, each verified with onnxruntime."""

    Spec = ONNXSpec

    def __init__(self, spec: ONNXSpec) -> None:
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
        entries, is_image = run.objective.exports(), run.info.shape.is_image
        found = graphs(run.model, run.sampler, run.codes, is_image, entries, self.spec.parts)
        exported = []
        for graph in found:
            data, rounding = convert(graph, properties), None
            difference = verify(graph, onnx_runner(data))
            if self.spec.precision == "fp16" and graph.name != "sampler":
                full, data = data, with_half_weights(data)
                difference, rounding = compared(graph, full, data)
            (folder / f"{graph.name}.onnx").write_bytes(data)
            use = f"onnxruntime, any language: {graph.signature()}"
            exported.append(Exported(f"{graph.name}.onnx", graph.purpose, difference, use, rounding, (graph.name,)))
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
                graph.written,
                example,
                dynamo=True,
                external_data=False,
                opset_version=OPSET,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_shapes=tuple({0: batch} if value.dim() else None for value in example),
                custom_translation_table={
                    torch.ops.aten.mish.default: _mish,
                    torch.ops.aten.group_norm.default: _group_norm,
                    torch.ops.aten.unbind.int: _unbind,
                },
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


def with_half_weights(data: bytes) -> bytes:
    """The file with its weights in float16, each followed by a cast to the float32 it stands for."""
    model = onnx.load_from_string(data)
    casts = []
    for weight in model.graph.initializer:
        # Biases, scalars and constants of one dimension are small, and some are meant exactly.
        if weight.data_type == TensorProto.FLOAT and len(weight.dims) >= 2:
            name, values = weight.name, numpy_helper.to_array(weight)
            with np.errstate(over="ignore"):
                weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.fp16"))
            casts.append(helper.make_node("Cast", [weight.name], [name], name=weight.name, to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def compared(graph: Graph, full: bytes, rounded: bytes) -> tuple[float, Rounding]:
    """What rounded weights change: the largest difference from the eager model, and what they lose and gain.

    Args:
        full, rounded: the file with weights as trained, and with rounded ones.

    Raises:
        ExportError: the PSNR is below `LEAST_PSNR`.
    """
    run = onnx_runner(rounded)
    difference, psnr = verify(graph, run, tolerance=math.inf), signal_to_noise(graph, run)
    if not psnr >= LEAST_PSNR:
        raise ExportError(
            f"{graph.name} loses too much with weights in fp16: a PSNR of {psnr:.0f} dB, less than {LEAST_PSNR:.0f}: "
            "export it in fp32"
        )
    return difference, Rounding(psnr, len(full), _time_ratio(graph.example(1), run, onnx_runner(full)))


def _time_ratio(inputs: tuple[Tensor, ...], run: Runner, reference: Runner) -> float:
    """Time of one over that of the other: median of pairs of calls in turns, so that what else the machine does meets both."""

    def timed(call: Runner) -> float:
        began = time.perf_counter()
        call(inputs)
        return time.perf_counter() - began

    pairs = [(timed(run), timed(reference)) for _ in range(WARM_UP + TURNS)]
    return statistics.median(one / other for one, other in pairs[WARM_UP:])


def _mish(x: FLOAT) -> FLOAT:
    """x tanh(log(1 + e^x)) without the logarithm, which onnxruntime computes one number at a time: with n = e^x (e^x + 2) it
    is x n / (n + 2). Beyond 20 the quotient is 1 in float32, and n still far from infinity.
    """
    op: Any = opset20
    e = op.Exp(op.Min(x, 20.0))
    n = op.Mul(e, op.Add(e, 2.0))
    value: FLOAT = op.Mul(x, op.Div(n, op.Add(n, 2.0)))
    return value


def _group_norm(
    x: FLOAT,
    num_groups: int,
    weight: FLOAT | None = None,
    bias: FLOAT | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> FLOAT:
    """Instance normalisation of the groups, as opset 20 has it, without asking for sizes that are known: only the batch is not."""
    op: Any = opset20
    groups = op.Reshape(x, op.Constant(value_ints=[0, num_groups, -1]))
    one, zero = (op.Constant(value_floats=[value] * num_groups) for value in (1.0, 0.0))
    normal = op.InstanceNormalization(groups, one, zero, epsilon=eps)
    sizes: list[int] = list(x.shape)[1:]  # type: ignore[call-overload]  # FLOAT stands for a value of the graph
    value: FLOAT = op.Reshape(normal, op.Constant(value_ints=[0, *sizes]))
    pixels = list(range(1, len(sizes)))
    for combine, numbers in ((op.Mul, weight), (op.Add, bias)):
        if numbers is not None:
            value = combine(value, op.Unsqueeze(numbers, op.Constant(value_ints=pixels)) if pixels else numbers)
    return value


def _unbind(x: FLOAT, dim: int = 0) -> Sequence[FLOAT]:
    """Slices along a dimension, each by one operation, where the exporter's own takes two."""
    op: Any = opset20
    count: int = x.shape[dim]  # type: ignore[index]  # as above
    return [op.Gather(x, op.Constant(value_int=index), axis=dim) for index in range(count)]


def onnx_runner(data: bytes) -> Runner:
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
