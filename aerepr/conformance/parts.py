"""Checks that every kind of module shares: state, generators, numbers, schedules, the meta device, export."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from aerepr.conformance.result import Broken, Check, generators_untouched, own_generators, require
from aerepr.conformance.world import Scene, Subject
from aerepr.errors import ExportError
from aerepr.layers.exportable import BATCHES, Graph, standalone, value_span, verify
from aerepr.model.system import System
from aerepr.rundir import tensors
from aerepr.spec.base import is_schedulable

# What the component under test gives in a scene: every kind says for itself.
Outputs = Callable[[Scene], list[Tensor]]

# Tensors in, tensors out, as they are exported: name to (module, example inputs by name).
Exports = Callable[[Scene], dict[str, tuple[nn.Module, dict[str, Tensor]]]]

# Examples in a batch.
B = 8

# Rows of the examples that exports are checked at.
EXPORT_ROWS = max(BATCHES)


def builds(subject: Subject) -> None:
    """It builds in at least one world, and refuses the others by a `ShapeError`."""
    subject.scenes()


def seeded(subject: Subject) -> None:
    """Initial weights are a function of the run's seed."""
    for scene in subject.scenes(setup=False):
        again = subject.scene(scene.world, setup=False)
        for (name, a), (_, b) in zip(scene.part.state_dict().items(), again.part.state_dict().items(), strict=True):
            require(torch.equal(a, b), f"{name} starts with other values under the same seed, {_in(scene)}")


def dtype(outputs: Outputs) -> Callable[[Subject], None]:
    """float32 in, float32 out, and no float64 in the state."""

    def check(subject: Subject) -> None:
        for scene in subject.scenes():
            for name, value in scene.part.state_dict().items():
                require(
                    not value.is_floating_point() or value.dtype == torch.float32,
                    f"{name} is {value.dtype}, expected torch.float32, {_in(scene)}",
                )
            for value in outputs(scene):
                require(value.dtype == torch.float32, f"gives {value.dtype} for float32, {_in(scene)}")

    return check


def generator(outputs: Outputs) -> Callable[[Subject], None]:
    """The global generators are neither read nor changed."""

    def check(subject: Subject) -> None:
        for scene in subject.scenes():
            with generators_untouched("a forward pass"):
                outputs(scene)

    return check


def deterministic(outputs: Outputs) -> Callable[[Subject], None]:
    """The same input gives the same output."""

    def check(subject: Subject) -> None:
        for scene in subject.scenes():
            with own_generators():
                first = outputs(scene)
            with own_generators():
                second = outputs(scene)
            require(same(first, second), f"gives other values for the same input when asked twice, {_in(scene)}")

    return check


def meta(subject: Subject) -> None:
    """It builds on the meta device, where tensors have shapes and no memory: so `check` can plan a run."""
    for scene in subject.scenes(setup=False):
        try:
            with torch.device("meta"):
                planned = subject.scene(scene.world, setup=False)
        except Exception as cause:
            raise Broken(f"cannot be built on the meta device, {_in(scene)}: {cause}") from cause
        state, real = planned.part.state_dict(keep_vars=True), scene.part.state_dict()
        for name, value in state.items():
            require(value.is_meta, f"{name} is on {value.device} when built on the meta device: let torch choose it")
            require(value.shape == real[name].shape, f"{name} has another shape on the meta device")
        _pass_meta(planned)


def _pass_meta(planned: Scene) -> None:
    """One batch, as `check` pushes it through."""
    model = planned.model
    with torch.device("meta"), torch.no_grad():
        x = torch.zeros(2, *planned.world.info.shape.sizes)
        params_BDK = model.encoder(x)
        noise = torch.zeros(2, *model.posterior.noise_shape)
        model.posterior(params_BDK)
        model.prior()
        raw = model.decoder(model.posterior.draw(params_BDK, noise, "sample"))
        model.likelihood(raw)
        model.likelihood.mean(raw)


def state(outputs: Outputs) -> Callable[[Subject], None]:
    """Saved and loaded into a fresh build, it gives the same bits: all it knows is in its state."""

    def check(subject: Subject) -> None:
        for scene in subject.scenes(seed=0):
            scene.stir()
            fresh = subject.scene(scene.world, seed=1, setup=False)
            restore(scene.system, fresh.system)
            with own_generators():
                expected = outputs(scene)
            with own_generators():
                found = outputs(fresh)
            require(
                same(expected, found),
                f"gives other values after its state was saved and loaded, {_in(scene)}: keep what it learns or computes in "
                "parameters or buffers",
            )

    return check


def restore(source: nn.Module | System, target: nn.Module | System) -> None:
    """The state of one module into another, by way of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        digest = tensors.save(path, dict(source.state_dict()))
        tensors.restore(target, tensors.load(path, digest), "the state")


def scheduled(outputs: Outputs) -> Callable[[Subject], None]:
    """A field that may be scheduled is a 0-dim float32 buffer of its name, and writing it changes what the module gives."""

    def check(subject: Subject) -> None:
        spec = subject.spec()
        # A regularizer's weight belongs to the engine.
        names = [
            name
            for name in type(spec).model_fields
            if is_schedulable(type(spec), name) and not (subject.kind == "regularizer" and name == "weight")
        ]
        for name in names:
            scene = subject.scenes()[0]
            buffers = dict(scene.part.named_buffers(recurse=False))
            require(name in buffers, f"{name} can be scheduled, and there is no buffer of that name")
            buffer = buffers[name]
            require(
                buffer.dim() == 0 and buffer.dtype == torch.float32,
                f"{name} can be scheduled; its buffer is {buffer.dtype} of shape {tuple(buffer.shape)}, expected a 0-dim float32",
            )
            require(
                abs(buffer.item() - getattr(spec, name)) < 1e-6, f"the buffer {name} does not start at the spec's value"
            )
            with own_generators():
                before = outputs(scene)
            buffer.fill_(0.5 * buffer.item() + 0.25)
            with own_generators():
                after = outputs(scene)
            require(
                not same(before, after), f"writing the buffer {name} changes nothing: read it in every forward pass"
            )

    return check


def exports(entries: Exports) -> Callable[[Subject], None]:
    """Traced and exported by `torch.export`, it gives the eager numbers at any batch size."""

    def check(subject: Subject) -> None:
        # Two worlds for tracing, one for the slow way: what an exporter cannot follow seldom depends on sizes.
        for index, scene in enumerate(subject.scenes()[:2]):
            scene.stir()
            for name, (module, inputs) in entries(scene).items():
                verify_export(name, module, inputs, slow=index == 0)

    return check


def verify_export(name: str, module: nn.Module, inputs: dict[str, Tensor], slow: bool = True) -> None:
    """Raise `Broken` if a module cannot be exported, or its copy gives other numbers.

    Args:
        inputs: by name, the first dimension the batch, `EXPORT_ROWS` rows; 0-dim ones have none.
        slow: also by `torch.export`.
    """
    module = standalone(module)
    with torch.no_grad():
        values = module(*inputs.values())
    values = (values,) if isinstance(values, Tensor) else tuple(values)
    ranges = tuple(value_span(value) for value in values)
    outputs = {f"output{i}": value for i, value in enumerate(values)}
    graph = Graph(name, name, module, inputs, outputs, ranges)
    ways = [("torch.jit.trace", _traced)] + ([("torch.export", _exported)] if slow else [])
    for way, convert in ways:
        with warnings.catch_warnings(), torch.no_grad():
            # PyTorch has deprecated TorchScript, and a tracer's worries are settled by comparing.
            warnings.simplefilter("ignore")
            try:
                copy = convert(graph)
            except Exception as cause:
                reason = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
                raise Broken(f"{way} cannot follow {name}: {reason.strip()}") from cause
            try:
                verify(graph, lambda values, copy=copy: _as_tuple(copy(*values)))  # type: ignore[misc]
            except ExportError as cause:
                raise Broken(f"{way}: {cause}") from cause


def _traced(graph: Graph) -> nn.Module:
    traced: nn.Module = torch.jit.trace(graph.module, graph.example(2), check_trace=False)
    return traced


def _exported(graph: Graph) -> nn.Module:
    example = graph.example(2)
    batch = torch.export.Dim("batch", min=1)
    shapes = tuple({0: batch} if value.dim() else None for value in example)
    return torch.export.export(graph.module, example, dynamic_shapes=shapes, strict=False).module()


def _as_tuple(values: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (values,) if isinstance(values, Tensor) else tuple(values)


def reached(value: Tensor, targets: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of a mixed sum of a value, zeros where there is none."""
    # Unequal weights, so that a softmax or a mean does not cancel them.
    mixed = (value * (1 + torch.arange(value.numel()).cos()).view(value.shape)).sum()
    if not mixed.requires_grad:
        return [torch.zeros_like(target) for target in targets]
    found = torch.autograd.grad(mixed, targets, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(targets, found, strict=True)]


def require_learning(scene: Scene, module: nn.Module, gradients: list[Tensor]) -> None:
    """Raise `Broken` unless every trainable parameter's gradient is finite and not zero."""
    names = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    for name, gradient in zip(names, gradients, strict=True):
        require(bool(gradient.isfinite().all()), f"the gradient of {name} is not finite, {_in(scene)}")
        require(bool(gradient.any()), f"no gradient reaches {name}, {_in(scene)}: use it, or make it a buffer")


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """Parameters that learn."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    """Whether two lists of tensors agree bit for bit, NaN with NaN."""
    return len(a) == len(b) and all(
        x.shape == y.shape and torch.equal(x.isnan(), y.isnan()) and torch.equal(x.nan_to_num(), y.nan_to_num())
        for x, y in zip(a, b, strict=True)
    )


def require_shape(what: str, value: Tensor, expected: tuple[int, ...], scene: Scene) -> None:
    """Raise `Broken` unless a tensor has that shape and is finite."""
    require(isinstance(value, Tensor), f"{what} is {type(value).__name__}, expected a tensor, {_in(scene)}")
    require(tuple(value.shape) == expected, f"{what} has shape {tuple(value.shape)}, expected {expected}, {_in(scene)}")
    require(bool(value.isfinite().all()), f"{what} is not finite, {_in(scene)}")


def require_row(what: str, before: list[Tensor], after: list[Tensor], scene: Scene) -> None:
    """Raise `Broken` unless the first row is the same in both."""
    for a, b in zip(before, after, strict=True):
        # Sums over a batch may be ordered by its size, never by its values: the sizes are equal here.
        close = torch.allclose(a[0], b[0], rtol=1e-5, atol=1e-6, equal_nan=True)
        require(close, f"{what} of an example depends on the other examples of its batch, {_in(scene)}")


def compare_rows(
    scene: Scene,
    given: Callable[..., list[Tensor]],
    inputs: tuple[Tensor, ...],
    others: tuple[Tensor, ...],
) -> None:
    """Raise `Broken` unless two batches whose first rows alone agree give the same first rows."""
    with torch.no_grad():
        with own_generators():
            before = given(*inputs)
        with own_generators():
            after = given(*others)
    require_row("the output", before, after, scene)


def require_distribution(scene: Scene, found: Distribution, batch: tuple[int, ...], event: tuple[int, ...]) -> None:
    """Raise `Broken` unless a distribution has these shapes."""
    shapes = (tuple(found.batch_shape), tuple(found.event_shape))
    require(
        shapes == (batch, event),
        f"the distribution has batch and event shape {shapes[0]} and {shapes[1]}, expected {batch} and {event}, {_in(scene)}",
    )


def _in(scene: Scene) -> str:
    return f"in the world of {scene.world.name}"


BUILDS: Check[Subject] = Check("builds", builds, ("defaults",))

# What must have passed before rows are compared or an export is tried.
PURE = ("shape", "generator", "deterministic")


def common(outputs: Outputs, shape: str = "shape") -> tuple[Check[Subject], ...]:
    """The checks every module shares; `shape` is the one that must have passed before."""
    return (
        Check("seeded", seeded, ("builds",)),
        Check("meta", meta, (shape,)),
        Check("dtype", dtype(outputs), (shape,)),
        Check("generator", generator(outputs), (shape,)),
        Check("deterministic", deterministic(outputs), (shape,)),
        Check("state", state(outputs), (shape, "deterministic")),
        Check("scheduled", scheduled(outputs), (shape, "deterministic")),
    )
