"""What leaves a run as a graph: the decoder, the sampler and an objective's own entries, and how a copy of each is checked.

Every exporter writes the graphs that `graphs` lists and compares what it wrote with the eager module by `verify`. The
modules are copies on the CPU, in eval mode and without gradients, so the model they come from is not touched.

Shape letters: B batch, D latent dimensions, N numbers of noise.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from aerepr.errors import ExportError
from aerepr.layers.noise import sample_noise

# Batch sizes at which every file is compared with the eager module: one, odd, and many.
BATCHES = (1, 7, 64)

# Largest difference from the eager module, relative to the range of the values.
TOLERANCE = 1e-5

# Parts of a model that decoding does not use; they stay out of a decoder's file.
NOT_DECODING = ("encoder", "posterior", "prior")


class Decodes(Protocol):
    """A model: the parts of it that decoding needs."""

    def decode(self, z_BD: Tensor) -> Tensor: ...


class Draws(Protocol):
    """A fitted sampler."""

    @property
    def noise_dim(self) -> int: ...

    @property
    def noise(self) -> str: ...

    def forward(self, noise_BN: Tensor) -> Tensor: ...


class Decode(nn.Module):
    """Codes to decoded examples in data units: a model's `decode` as the `forward` of a module.

    Args:
        model: its modules are shared, not copied.

    Raises:
        ExportError: the model is not a torch module.
    """

    def __init__(self, model: Decodes) -> None:
        super().__init__()
        kept = copy(_module(model, "the model"))
        # The shallow copy shares parameters; with a table of its own, leaving parts out does not touch the model.
        kept._modules = {name: part for name, part in kept._modules.items() if name not in NOT_DECODING}
        self.model = kept

    def forward(self, z: Tensor) -> Tensor:
        """z: codes (B, D). Returns (B, *shape): images in [0, 1], vectors in the units of the data."""
        decoded: Tensor = self.model.decode(z)  # type: ignore[operator]
        return decoded


class Sample(nn.Module):
    """Noise to codes: a sampler, shared and not copied.

    Raises:
        ExportError: the sampler is not a torch module.
    """

    def __init__(self, sampler: Draws) -> None:
        super().__init__()
        self.sampler = _module(sampler, "the sampler")

    def forward(self, noise: Tensor) -> Tensor:
        """noise: (B, N) of the sampler's law. Returns codes (B, D)."""
        z: Tensor = self.sampler(noise)
        return z


def standalone(module: nn.Module) -> nn.Module:
    """A copy to export: on the CPU, in eval mode, without gradients."""
    return deepcopy(module).cpu().eval().requires_grad_(False)


@dataclass(frozen=True, eq=False)
class Graph:
    """One function to export: tensors in, tensors out, any batch size.

    Attributes:
        name: the stem of its files. purpose: what it does, for people.
        module: what computes it, standing alone.
        inputs: name to example, in order. The first dimension is the batch (`max(BATCHES)` rows); 0-dim inputs have none.
        outputs: name to value at those inputs, in order.
        ranges: what differences of each output are relative to.
    """

    name: str
    purpose: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    ranges: tuple[float, ...]

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Inputs of that many rows."""
        return tuple(_rows(value, batch) for value in self.inputs.values())

    def eager(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What the module gives."""
        return _tuple(self.module(*inputs))


def graphs(
    model: Decodes,
    sampler: Draws,
    codes_ND: Tensor,
    is_image: bool,
    extra: Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]],
) -> list[Graph]:
    """Everything of a run that is exported: `decoder`, `sampler`, then the objective's own entries.

    Args:
        codes_ND: codes of training data, which say where the decoder is checked.
        is_image: whether decoded examples are images, whose range is 1.
        extra: what `objective.exports()` gives.

    Raises:
        ExportError: a module gives values that are not finite, or an entry's name cannot be a file's.
    """
    count = max(BATCHES)
    draw, decode = standalone(Sample(sampler)), standalone(Decode(model))
    noise = sample_noise(count, sampler.noise_dim, 0, sampler.noise)
    codes_ND = codes_ND.detach().cpu()
    with torch.no_grad():
        z = draw(noise)
        # Half the codes are drawn as they will be, half anywhere the sliders reach, so that neither use is unchecked.
        low, high = codes_ND.amin(dim=0), codes_ND.amax(dim=0)
        anywhere = low + (high - low) * sample_noise(count, codes_ND.shape[1], 1, "uniform")
        mixed = torch.where((torch.arange(count) % 2 == 0)[:, None], z, anywhere)
        decoded = decode(mixed)
        found = [
            _graph(
                "decoder",
                f"codes to {'images in [0, 1]' if is_image else 'vectors in the units of the data'}",
                decode,
                {"z": mixed},
                {"image" if is_image else "x": decoded},
                (1.0 if is_image else value_span(decoded),),
            ),
            _graph(
                "sampler", f"{sampler.noise} noise to codes", draw, {"noise": noise}, {"z": z}, (value_span(codes_ND),)
            ),
        ]
        for name, (module, examples) in extra.items():
            if not name.isidentifier() or name in ("decoder", "sampler"):
                raise ExportError(f'the objective exports "{name}": use another identifier as its name')
            found.append(_entry(name, standalone(module), examples, count))
    return found


def verify(graph: Graph, exported: Callable[[tuple[Tensor, ...]], Sequence[Tensor]]) -> float:
    """The largest difference between a graph and its exported copy, relative to the range of the values.

    Args:
        exported: runs the copy: inputs to outputs, in the graph's order.

    Raises:
        ExportError: they differ by more than `TOLERANCE`, in shape, or the copy fails at one of the batch sizes.
    """
    worst = 0.0
    for batch in BATCHES:
        inputs = graph.example(batch)
        with torch.no_grad():
            expected = graph.eager(inputs)
        try:
            found = _tuple(exported(inputs))
        except Exception as cause:
            # The last line, for TorchScript puts its own call stack first.
            reason = (str(cause).strip() or type(cause).__name__).splitlines()[-1]
            raise ExportError(f"{graph.name} fails at batch size {batch}: {reason}") from cause
        for a, b, data_range in zip(expected, found, graph.ranges, strict=True):
            difference = largest_difference(a, b, data_range)
            if not difference <= TOLERANCE:
                raise ExportError(
                    f"{graph.name} differs from the eager model by {difference:.1e} of the data range at batch size {batch}, "
                    f"more than {TOLERANCE:.0e}: a module in it does something the format cannot follow"
                )
            worst = max(worst, difference)
    return worst


def largest_difference(a: Tensor, b: Tensor, data_range: float) -> float:
    """The largest absolute difference of two tensors, relative to `data_range`; infinite where one is not a number.

    Raises:
        ExportError: their shapes differ.
    """
    if a.shape != b.shape:
        raise ExportError(f"expected values of shape {tuple(a.shape)}, got {tuple(b.shape)}")
    if a.numel() == 0:
        return 0.0
    difference = ((a.double() - b.double()).abs().max() / data_range).item()
    return difference if difference == difference else float("inf")


def value_span(values: Tensor) -> float:
    """The range of unbounded values: from the smallest to the largest, 0 included, for float error grows with distance from 0."""
    low, high = min(values.min().item(), 0.0), max(values.max().item(), 0.0)
    return (high - low) or 1.0


def _entry(name: str, module: nn.Module, examples: tuple[Tensor, ...], count: int) -> Graph:
    """An objective's entry, its examples repeated to `count` rows."""
    parameters = list(inspect.signature(module.forward).parameters)
    if len(parameters) < len(examples):
        raise ExportError(
            f'the objective exports "{name}" with {len(examples)} inputs; its forward takes {len(parameters)}'
        )
    inputs = {
        key: _rows(value.detach().cpu(), count)
        for key, value in zip(parameters[: len(examples)], examples, strict=True)
    }
    values = _tuple(module(*inputs.values()))
    names = ["output"] if len(values) == 1 else [f"output{i}" for i in range(len(values))]
    outputs = dict(zip(names, values, strict=True))
    return _graph(
        name, f"the objective's {name}", module, inputs, outputs, tuple(value_span(value) for value in values)
    )


def _graph(
    name: str,
    purpose: str,
    module: nn.Module,
    inputs: dict[str, Tensor],
    outputs: dict[str, Tensor],
    ranges: tuple[float, ...],
) -> Graph:
    if not all(value.isfinite().all() for value in outputs.values()):
        raise ExportError(f"{name} gives values that are not finite: has training diverged?")
    return Graph(name, purpose, module, inputs, outputs, ranges)


def _module(value: object, what: str) -> nn.Module:
    if not isinstance(value, nn.Module):
        raise ExportError(f"{what} is {type(value).__name__}, which is not a torch module and cannot be exported")
    return value


def _rows(value: Tensor, batch: int) -> Tensor:
    return value if value.dim() == 0 else value[torch.arange(batch) % value.shape[0]]


def _tuple(values: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    return (values,) if isinstance(values, Tensor) else tuple(values)
