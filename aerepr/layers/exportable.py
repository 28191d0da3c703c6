"""What leaves a run as a graph: decoder, sampler, encoder and an objective's own entries, and how a copy of each is checked.

Every exporter writes the graphs that `graphs` lists and compares what it wrote with the eager module by `verify`. The
modules are copies on the CPU, in eval mode and without gradients, so the model they come from is not touched.

Shape letters: B batch, D latent dimensions, N numbers of noise.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from aerepr.errors import ExportError, UsageError
from aerepr.layers.conv import MixedFirst, OutputConv
from aerepr.layers.noise import sample_noise

# Batch sizes at which every file is compared with the eager module: one, odd, and many.
BATCHES = (1, 7, 64)

# Largest difference from the eager module, or from what it gives in double precision, relative to the range of the values.
TOLERANCE = 1e-5

# Parts of a model that decoding, or encoding, does not use; they stay out of the file.
NOT_DECODING = ("encoder", "posterior", "prior")
NOT_ENCODING = ("decoder", "likelihood", "prior")

# Parts that every run has; the encoder is exported on request alone.
PARTS = ("decoder", "sampler", "encoder")

# Names that an objective's entry may not have: the parts, and what formats call the functions made of them.
TAKEN = (*PARTS, "decode", "draw", "sample", "encode", "card")


class Codes(Protocol):
    """A model, as an exporter needs it."""

    def encode(self, x: Tensor) -> Tensor: ...

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

    def __init__(self, model: Codes) -> None:
        super().__init__()
        self.model = _without(model, NOT_DECODING)

    def forward(self, z: Tensor) -> Tensor:
        """z: codes (B, D). Returns (B, *shape): images in [0, 1], vectors in the units of the data."""
        decoded: Tensor = self.model.decode(z)  # type: ignore[operator]
        return decoded


class Encode(nn.Module):
    """Examples in data units to the codes that metrics and banks use: a model's `encode` as the `forward` of a module.

    Args:
        model: its modules are shared, not copied.

    Raises:
        ExportError: the model is not a torch module.
    """

    def __init__(self, model: Codes) -> None:
        super().__init__()
        self.model = _without(model, NOT_ENCODING)

    def forward(self, x: Tensor) -> Tensor:
        """x: examples (B, *shape): images in [0, 1], vectors in the units of the data. Returns codes (B, D)."""
        z: Tensor = self.model.encode(x)  # type: ignore[operator]
        return z


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


def lean(module: nn.Module) -> nn.Module:
    """A copy that computes the same at less cost, in layers that know how."""
    found = deepcopy(module)
    for parent in list(found.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, OutputConv) and MixedFirst.pays(child):
                setattr(parent, name, MixedFirst(child))
    return found


@dataclass(frozen=True, eq=False)
class Graph:
    """One function to export: tensors in, tensors out, any batch size.

    Attributes:
        name: the stem of its files. purpose: what it does, for people.
        module: what computes it, standing alone; what files compute is held against it.
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

    @property
    def written(self) -> nn.Module:
        """What goes into files."""
        return lean(self.module)

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Inputs of that many rows."""
        return tuple(_rows(value, batch) for value in self.inputs.values())

    def eager(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What the module gives."""
        return _tuple(self.module(*inputs))

    def exact(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """What the module gives in double precision; nothing if it has a part that knows single precision alone."""
        try:
            wide = [value.double() if value.is_floating_point() else value for value in inputs]
            return _tuple(deepcopy(self.module).double()(*wide))
        except (RuntimeError, TypeError):
            return None

    def signature(self) -> str:
        """Inputs and outputs with their shapes, for people."""
        return f"{_listed(self.inputs)} to {_listed(self.outputs)}"


def graphs(
    model: Codes,
    sampler: Draws,
    codes_ND: Tensor,
    is_image: bool,
    extra: Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]],
    parts: Sequence[str] = (),
) -> list[Graph]:
    """What of a run is exported: of `decoder`, `sampler`, `encoder` and the objective's own entries those asked for, in order.

    Args:
        codes_ND: codes of training data, which say where the decoder is checked.
        is_image: whether decoded examples are images, whose range is 1.
        extra: what `objective.exports()` gives.
        parts: names; none: all but the encoder.

    Raises:
        UsageError: there is no such part.
        ExportError: a module gives values that are not finite, or an entry's name cannot be a file's.
    """
    for name in extra:
        if not name.isidentifier() or name in TAKEN:
            raise ExportError(f'the objective exports "{name}": use another identifier as its name')
    wanted = tuple(parts) or ("decoder", "sampler", *extra)
    unknown = [name for name in wanted if name not in (*PARTS, *extra)]
    if unknown:
        raise UsageError(f'there is no part "{unknown[0]}" to export; this run has {", ".join((*PARTS, *extra))}')
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
        decoded = decode(mixed) if {"decoder", "encoder"} & set(wanted) else mixed
        examples = "images in [0, 1]" if is_image else "vectors in the units of the data"
        found = []
        if "decoder" in wanted:
            shown = {"image" if is_image else "x": decoded}
            span = 1.0 if is_image else value_span(decoded)
            found.append(_graph("decoder", f"codes to {examples}", decode, {"z": mixed}, shown, (span,)))
        if "sampler" in wanted:
            purpose = f"{sampler.noise} noise to codes"
            found.append(_graph("sampler", purpose, draw, {"noise": noise}, {"z": z}, (value_span(codes_ND),)))
        if "encoder" in wanted:
            encode = standalone(Encode(model))
            codes = {"z": encode(decoded)}
            found.append(
                _graph("encoder", f"{examples} to codes", encode, {"x": decoded}, codes, (value_span(codes_ND),))
            )
        found += [_entry(name, standalone(extra[name][0]), extra[name][1], count) for name in extra if name in wanted]
    return found


def verify(
    graph: Graph, exported: Callable[[tuple[Tensor, ...]], Sequence[Tensor]], tolerance: float = TOLERANCE
) -> float:
    """The largest difference between a graph and its exported copy, relative to the range of the values.

    Where they differ by more than `tolerance`, both round, and the eager module may be the one that is further from what double
    precision gives: normalisation of a nearly flat picture magnifies rounding. The copy is then held against that.

    Args:
        exported: runs the copy: inputs to outputs, in the graph's order.

    Raises:
        ExportError: the copy differs from both by more than `tolerance`, or in shape, or fails at one of the batch sizes.
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
        differences = _differences(graph, expected, found)
        if not all(difference <= tolerance for difference in differences):
            with torch.no_grad():
                exact = graph.exact(inputs)
            if exact is not None:
                differences = [min(pair) for pair in zip(differences, _differences(graph, exact, found), strict=True)]
        for difference in differences:
            if not difference <= tolerance:
                raise ExportError(
                    f"{graph.name} differs from the eager model by {difference:.1e} of the data range at batch size {batch}, "
                    f"more than {tolerance:.0e}: a module in it does something the format cannot follow"
                )
            worst = max(worst, difference)
    return worst


def _differences(graph: Graph, expected: Sequence[Tensor], found: Sequence[Tensor]) -> list[float]:
    return [largest_difference(a, b, span) for a, b, span in zip(expected, found, graph.ranges, strict=True)]


def signal_to_noise(graph: Graph, exported: Callable[[tuple[Tensor, ...]], Sequence[Tensor]]) -> float:
    """PSNR in dB of a copy with rounded weights: of its outputs the lowest, at the largest batch, relative to their ranges.

    Args:
        exported: as for `verify`, which sees to the shapes.
    """
    inputs, lowest = graph.example(max(BATCHES)), math.inf
    for a, b, data_range in zip(graph.outputs.values(), _tuple(exported(inputs)), graph.ranges, strict=True):
        error = ((a.double() - b.double()) / data_range).square().mean().item()
        lowest = min(lowest, -10 * math.log10(error) if error > 0 else math.inf) if error == error else -math.inf
    return lowest


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


def _without(model: Codes, parts: tuple[str, ...]) -> nn.Module:
    """A model that lacks some of its parts and shares the others."""
    kept = copy(_module(model, "the model"))
    # The shallow copy shares parameters; with a table of its own, leaving parts out does not touch the model.
    kept._modules = {name: part for name, part in kept._modules.items() if name not in parts}
    return kept


def _listed(values: Mapping[str, Tensor]) -> str:
    return ", ".join(
        f"{name} ({', '.join(['B', *map(str, value.shape[1:])]) if value.dim() else ''})"
        for name, value in values.items()
    )


def _module(value: object, what: str) -> nn.Module:
    if not isinstance(value, nn.Module):
        raise ExportError(f"{what} is {type(value).__name__}, which is not a torch module and cannot be exported")
    return value


def _rows(value: Tensor, batch: int) -> Tensor:
    return value if value.dim() == 0 else value[torch.arange(batch) % value.shape[0]]


def _tuple(values: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    return (values,) if isinstance(values, Tensor) else tuple(values)
