"""TorchScript: one file that decodes and samples, for C++ and for Python without aerepr.

`decoder.ts` has the methods `decode(z)`, `draw(n, seed)` (codes) and `sample(n, seed)` (decoded examples). The encoder, the
entries of the objective, and a decoder or sampler asked for without the other, are files with the one method `forward`.
PyTorch has deprecated TorchScript without removing it, so it is never the only format.
"""

from __future__ import annotations

import io
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from aerepr.errors import ExportError, FormatUnavailable
from aerepr.kinds.exporter import Exported, Exporter
from aerepr.kinds.run import RunView
from aerepr.layers.exportable import TOLERANCE, Graph, graphs, largest_difference, verify
from aerepr.layers.noise import sample_noise
from aerepr.spec.export import ExporterSpec


class TorchScriptSpec(ExporterSpec):
    """Table of the exporter `torchscript`."""


class TorchScriptExporter(Exporter):
    """A run to TorchScript files, each loaded again and verified."""

    Spec = TorchScriptSpec
    notice = "PyTorch has deprecated TorchScript: for new programs take ONNX, or pt2 where torch is at hand"

    def __init__(self, spec: TorchScriptSpec) -> None:
        self.spec = spec

    def write(self, run: RunView, folder: Path) -> list[Exported]:
        """`decoder.ts` of decoder and sampler, and a file for each other part.

        Raises:
            ExportError: this Python cannot script, a module cannot be traced, or a file disagrees with the eager model;
                then the file is not written.
        """
        refuse_unsupported(sys.version_info[:2])
        entries, is_image = run.objective.exports(), run.info.shape.is_image
        found = graphs(run.model, run.sampler, run.codes, is_image, entries, self.spec.parts)
        by_name = {graph.name: graph for graph in found}
        exported = []
        with _deprecation_ignored():
            if {"decoder", "sampler"} <= set(by_name):
                decoder, sampler = by_name.pop("decoder"), by_name.pop("sampler")
                exported.append(_write_generator(decoder, sampler, run.sampler.noise_dim, run.sampler.noise, folder))
            for name, graph in by_name.items():
                data = _bytes(_trace(graph), name)
                difference = verify(graph, _runner(data))
                (folder / f"{name}.ts").write_bytes(data)
                use = f"torch.jit.load, libtorch: forward, {graph.signature()}"
                exported.append(Exported(f"{name}.ts", graph.purpose, difference, use, graphs=(name,)))
        return exported


class Generator(nn.Module):
    """Traced decoder and sampler behind the methods a user calls."""

    def __init__(self, decoder: nn.Module, sampler: nn.Module, noise_dim: int, law: str) -> None:
        super().__init__()
        self.decoder = decoder
        self.sampler = sampler
        self.noise_dim = noise_dim
        self.law = law
        # Says on which device the file was loaded; noise is made on the CPU, so that it is the same everywhere.
        self.register_buffer("anchor", torch.zeros(0))

    def forward(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    @torch.jit.export
    def decode(self, z: Tensor) -> Tensor:
        """Decoded examples (B, *shape) of codes (B, D)."""
        return self.decoder(z)

    @torch.jit.export
    def draw(self, n: int, seed: int) -> Tensor:
        """Codes (n, D); the first k of n are those of k. No global generator is read or changed."""
        # The buffer's type is not annotated in the class, for TorchScript takes such an annotation for an unknown name.
        noise = sample_noise(n, self.noise_dim, seed, self.law).to(self.anchor.device)  # type: ignore[arg-type]
        return self.sampler(noise)

    @torch.jit.export
    def sample(self, n: int, seed: int) -> Tensor:
        """Decoded examples (n, *shape) of the codes of a seed."""
        return self.decoder(self.draw(n, seed))


def refuse_unsupported(python: tuple[int, int]) -> None:
    """Refuse a Python whose syntax tree TorchScript cannot read.

    Raises:
        FormatUnavailable: Python 3.14 or later.
    """
    if python >= (3, 14):
        raise FormatUnavailable(
            f"TorchScript does not support Python 3.14 or later (this is {python[0]}.{python[1]}) and PyTorch has deprecated "
            "it: export with --to onnx, or run the export under Python 3.11 to 3.13"
        )


def _write_generator(decoder: Graph, sampler: Graph, noise_dim: int, law: str, folder: Path) -> Exported:
    """`decoder.ts`, verified."""
    whole = Generator(_trace(decoder), _trace(sampler), noise_dim, law)
    data = _bytes(torch.jit.script(whole), decoder.name)
    loaded = _load(data)
    difference = verify(decoder, lambda inputs: [loaded.decode(*inputs)])
    _check_draw(loaded, sampler, noise_dim, law)
    (folder / "decoder.ts").write_bytes(data)
    use = "torch.jit.load, libtorch: decode(z), draw(n, seed), sample(n, seed)"
    purpose = f"{decoder.purpose}, and sampling from a seed"
    return Exported("decoder.ts", purpose, difference, use, graphs=("decoder", "sampler"))


def _trace(graph: Graph) -> torch.jit.ScriptModule:
    """A graph as a traced module; what tracing froze by mistake is found by `verify`."""
    try:
        with torch.no_grad():
            traced: torch.jit.ScriptModule = torch.jit.trace(graph.written, graph.example(2), check_trace=False)
    except Exception as cause:
        reason = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        raise ExportError(f"{graph.name} cannot be traced by TorchScript: {reason.strip()}") from cause
    return traced


def _bytes(module: torch.jit.ScriptModule, name: str) -> bytes:
    """A module as the bytes of a file, without the debug records, which carry this machine's paths."""
    whole, kept = io.BytesIO(), io.BytesIO()
    torch.jit.save(module, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(kept, "w") as target:
        for entry in source.infolist():
            _, _, inside = entry.filename.partition("/")
            if not inside.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(f"{name}/{inside}"), source.read(entry))
    return kept.getvalue()


def _load(data: bytes) -> torch.jit.ScriptModule:
    loaded: torch.jit.ScriptModule = torch.jit.load(io.BytesIO(data), map_location="cpu")
    return loaded


def _runner(data: bytes) -> Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]:
    loaded = _load(data)

    def run(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with torch.no_grad():
            values = loaded(*inputs)
        return (values,) if isinstance(values, Tensor) else tuple(values)

    return run


def _check_draw(loaded: torch.jit.ScriptModule, sampler: Graph, noise_dim: int, law: str) -> None:
    """Codes of a seed from the file against the eager sampler's."""
    with torch.no_grad():
        expected = sampler.eager((sample_noise(8, noise_dim, 3, law),))[0]
        found = loaded.draw(8, 3)
    difference = largest_difference(expected, found, sampler.ranges[0])
    if not difference <= TOLERANCE:
        raise ExportError(f"decoder.ts draws other codes than the eager sampler, by {difference:.1e} of their range")


@contextmanager
def _deprecation_ignored() -> Iterator[None]:
    """Without the notice that TorchScript is deprecated, and without a tracer's worries, which `verify` settles."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.")
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        yield
