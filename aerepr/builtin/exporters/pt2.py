"""torch.export: one program a file, for Python with torch alone and for those who leave TorchScript.

`decode.pt2` (`z` to `image`, or `x` for vectors), `sample.pt2` (`seed` and the numbers of the `rows` wanted, both int64, to the
examples and their codes `z`), on request `encode.pt2` (`x` to `z`), and one file for each entry of the objective. A sampler asked
for without the decoder is `draw.pt2`: `seed` and `rows` to `z`. The first k rows of a seed are `arange(k)`, and any
others may be had alone. The batch is dynamic, and no path or stack trace of this machine stays in a file.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from aerepr.errors import ExportError
from aerepr.kinds.exporter import Exported, Exporter
from aerepr.kinds.run import RunView
from aerepr.layers.exportable import BATCHES, Graph, graphs, verify
from aerepr.layers.noise import rows_noise
from aerepr.spec.export import ExporterSpec

# What the functions made of the parts are called, as in `decoder.ts`.
VERBS = {"decoder": "decode", "encoder": "encode"}

# Seed at which a program is checked: neither half is zero.
SEED = 3 + (5 << 32)

# What the tracer notes of each operation that says where this machine keeps its files.
TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom")


class PT2Spec(ExporterSpec):
    """Table of the exporter `pt2`."""


class PT2Exporter(Exporter):
    """A run to files of `torch.export`, each loaded again and verified."""

    Spec = PT2Spec

    def __init__(self, spec: PT2Spec) -> None:
        self.spec = spec

    def write(self, run: RunView, folder: Path) -> list[Exported]:
        """One file a function.

        Raises:
            ExportError: a module cannot be exported, or its copy disagrees with the eager model; its file is not written.
        """
        entries, is_image = run.objective.exports(), run.info.shape.is_image
        found = graphs(run.model, run.sampler, run.codes, is_image, entries, self.spec.parts)
        exported = []
        for part, graph in zip(found, functions(found, run.sampler.noise_dim, run.sampler.noise), strict=True):
            data = convert(graph)
            difference = verify(graph, pt2_runner(data))
            (folder / f"{graph.name}.pt2").write_bytes(data)
            use = f"torch.export.load, then .module(): {graph.signature()}"
            exported.append(Exported(f"{graph.name}.pt2", graph.purpose, difference, use, graphs=(part.name,)))
        return exported


class Draw(nn.Module):
    """Rows of a seed to codes, the noise made inside."""

    def __init__(self, sampler: nn.Module, noise_dim: int, law: str) -> None:
        super().__init__()
        self.sampler = sampler
        self.noise_dim = noise_dim
        self.law = law

    def forward(self, seed: Tensor, rows: Tensor) -> Tensor:
        """seed: int64 (), from 0 to 2^63 - 1. rows: int64 (B,), each from 0 to 2^32 - 1. Returns z (B, D)."""
        low, high = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
        noise = rows_noise(rows, self.noise_dim, low, high, self.law)  # type: ignore[arg-type]
        z: Tensor = self.sampler(noise)
        return z


class DrawAndDecode(nn.Module):
    """Rows of a seed to decoded examples and their codes."""

    def __init__(self, draw: Draw, decoder: nn.Module) -> None:
        super().__init__()
        self.draw = draw
        self.decoder = decoder

    def forward(self, seed: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """As `Draw`. Returns examples (B, *shape) and z (B, D)."""
        z = self.draw(seed, rows)
        return self.decoder(z), z


def functions(found: list[Graph], noise_dim: int, law: str) -> list[Graph]:
    """The graphs of a run under the names of what they do, the sampler with its noise inside and the decoder behind it."""
    by_name = {graph.name: graph for graph in found}
    result = []
    for graph in found:
        if graph.name == "sampler":
            result.append(_sampling(graph, by_name.get("decoder"), noise_dim, law))
        else:
            result.append(replace(graph, name=VERBS.get(graph.name, graph.name)))
    return result


def _sampling(sampler: Graph, decoder: Graph | None, noise_dim: int, law: str) -> Graph:
    inputs = {"seed": torch.tensor(SEED), "rows": torch.arange(max(BATCHES))}
    draw = Draw(sampler.module, noise_dim, law)
    with torch.no_grad():
        z = draw(**inputs)
        if decoder is None:
            return Graph("draw", "rows of a seed to codes", draw, inputs, {"z": z}, sampler.ranges)
        (shown,) = decoder.outputs
        outputs = {shown: decoder.module(z), "z": z}
    both = DrawAndDecode(draw, decoder.module)
    return Graph(
        "sample", "rows of a seed to examples and their codes", both, inputs, outputs, decoder.ranges + sampler.ranges
    )


def convert(graph: Graph) -> bytes:
    """A graph as the bytes of a .pt2 file.

    Raises:
        ExportError: `torch.export` cannot follow the module.
    """
    # Two rows, for a batch of one would be taken for a constant; still, the copy takes one.
    example, batch = graph.example(2), torch.export.Dim("batch", min=1)
    shapes = tuple({0: batch} if value.dim() else None for value in example)
    data = io.BytesIO()
    try:
        with _quiet(), torch.no_grad():
            program = torch.export.export(graph.written, example, dynamic_shapes=shapes, strict=False)
            _strip(program)
            torch.export.save(program, data)
    except Exception as cause:
        reason = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        raise ExportError(f"{graph.name} cannot be exported by torch.export: {reason.strip()}") from cause
    return _compressed(data)


def pt2_runner(data: bytes) -> Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]:
    """The program in the bytes of a file, as a function of tensors."""
    with _quiet():
        module = torch.export.load(io.BytesIO(data)).module()

    def run(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with torch.no_grad():
            values = module(*inputs)
        return (values,) if isinstance(values, Tensor) else tuple(values)

    return run


def _strip(program: torch.export.ExportedProgram) -> None:
    """Remove what the tracer noted of source files."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, GraphModule) else ():
            for key in TRACES:
                node.meta.pop(key, None)


def _compressed(archive: io.BytesIO) -> bytes:
    """The same archive with its graphs compressed, which as JSON weigh a tenth of a small decoder; weights do not shrink."""
    packed = io.BytesIO()
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(packed, "w") as target:
        for entry in source.infolist():
            method = zipfile.ZIP_DEFLATED if entry.filename.endswith(".json") else zipfile.ZIP_STORED
            target.writestr(zipfile.ZipInfo(entry.filename), source.read(entry), method)
    return packed.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's own deprecations and notes, which are not the user's to act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
