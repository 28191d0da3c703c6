"""Small worlds to try a component in: data of several shapes, and a real composition of core components around it.

A component need not fit every world (a convolution refuses vectors), but it must fit one, and refuse the others by a
`ShapeError`.
Shape letters: N examples, B batch, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from aerepr.conformance.result import Broken
from aerepr.errors import SpecError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataInfo, FactorInfo
from aerepr.kinds.part import Part
from aerepr.kinds.sampler import Sampler
from aerepr.kinds.shape import DataShape
from aerepr.kinds.step import Mode, Step
from aerepr.layers.noise import StepNoise, sample_noise, to_normal
from aerepr.model.autoencoder import Autoencoder
from aerepr.model.build import build_sampler, build_system
from aerepr.model.system import System
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.spec.base import ComponentSpec
from aerepr.spec.data import DatasetSpec
from aerepr.spec.run import RunSpec

# Rows of a world's data, and codes a sampler is fitted to.
ROWS = 60

# Kinds that `[model]` names, one each.
PARTS = ("encoder", "posterior", "prior", "decoder", "likelihood", "objective")

_FACTORS = (FactorInfo("first", 3), FactorInfo("second", 4), FactorInfo("third", 5))


@dataclass(frozen=True)
class World:
    """Data of one shape, a latent size, and the core components that stand in for those not under test."""

    name: str
    info: DataInfo
    latent_dim: int
    model: Mapping[str, Any] = field(default_factory=dict)

    def x(self, first: int, count: int) -> Tensor:
        """Rows `first` and following of the world's data: (count, [frames,] *shape)."""
        info = self.info
        sizes = (*((info.frames,) if info.frames > 1 else ()), *info.shape.sizes)
        width = int(np.prod(sizes))
        uniform = sample_noise(first + count, width, 11, "uniform")[first:]
        return (uniform if info.shape.is_image else to_normal(uniform)).view(count, *sizes)

    def batch(self, first: int = 0, count: int = 8) -> Batch:
        """The same rows with all that belongs to them."""
        rows = torch.arange(first, first + count)
        columns = [(rows * (2 * i + 1) + rows // 7) % factor.size for i, factor in enumerate(self.info.factors)]
        label = rows % len(self.info.labels) if self.info.labels else None
        timed = self.info.frames > 1
        return Batch(self.x(first, count), rows, torch.stack(columns, dim=1), label, timed)


def _info(shape: DataShape, frames: int = 1, labels: tuple[str, ...] = ()) -> DataInfo:
    return DataInfo(shape, train_size=ROWS, factors=_FACTORS, labels=labels, frames=frames)


_VARIATIONAL = {"posterior": {"name": "gaussian"}, "likelihood": {"name": "gaussian", "learned": "per_value"}}
_PLAIN = {"posterior": {"name": "deterministic"}, "likelihood": {"name": "bernoulli"}}

# Between them: both sorts of data, one and several channels, K and P of one and two, and sequences.
WORLDS = (
    World("colour images", _info(DataShape.image(3, 16, 16)), 4, _VARIATIONAL),
    World("grey images", _info(DataShape.image(1, 32, 32)), 12, _PLAIN),
    World("vectors", _info(DataShape.vector(5)), 4, _VARIATIONAL),
    World("vectors with a larger latent", _info(DataShape.vector(5)), 12, _VARIATIONAL),
    World("sequences", _info(DataShape.image(1, 16, 16), frames=3, labels=("left", "up", "shrink")), 4, _VARIATIONAL),
)


class _TrainingData:
    """The world's data as `setup` sees it."""

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def info(self) -> DataInfo:
        return self.world.info

    def examples(self, count: int) -> Tensor:
        return self.world.batch(0, min(count, ROWS)).first

    def batches(self, size: int) -> Iterator[Batch]:
        for first in range(0, ROWS, size):
            yield self.world.batch(first, min(size, ROWS - first))


class LoadOnce(Registry):
    """A registry that finds each component once: a check builds dozens of compositions.

    Args:
        registry: where components are found.
    """

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.user)
        self.registry = registry
        self.loaded: dict[tuple[str, str], Any] = {}

    def load(self, kind: str, name: str) -> Any:
        if (kind, name) not in self.loaded:
            self.loaded[kind, name] = self.registry.load(kind, name)
        return self.loaded[kind, name]


@dataclass(frozen=True)
class Subject:
    """The component under test.

    Attributes:
        example: settings on top of its defaults, from its catalogue.
        beside: tables of the components around it, from its catalogue: `{"posterior": {"name": ...}}`.
        folder: where paths in a data set's table start. scratch: an empty folder to write to.
    """

    kind: str
    name: str
    registry: Registry
    scratch: Path
    folder: Path = Path()
    example: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def component(self) -> Any:
        return self.registry.load(self.kind, self.name)

    def spec(self, **changes: Any) -> Any:
        """The component's spec: defaults, example, changes."""
        tables = {"name": self.name, **self.example, **changes}
        return self.component.Spec.model_validate(tables, context={"registry": self.registry})

    def scene(self, world: World, seed: int = 0, setup: bool = True, **changes: Any) -> Scene:
        """The component in a composition.

        Raises:
            SpecError: it refuses the world's sizes.
        """
        return Scene(self, world, self.spec(**changes), seed, setup)

    def scenes(self, seed: int = 0, setup: bool = True) -> list[Scene]:
        """One scene for each world the component fits.

        Raises:
            Broken: it fits none.
        """
        found, refusals = [], []
        for world in WORLDS:
            try:
                found.append(self.scene(world, seed, setup))
            except SpecError as cause:
                refusals.append(f"{world.name}: {cause.problems[0].message}")
        if not found:
            raise Broken("fits none of the worlds tried: " + "; ".join(refusals))
        return found


class Scene:
    """A composition with the component under test in its place, deterministic in `seed`.

    Args:
        setup: whether modules have seen the training data, as before step 0.
    """

    def __init__(self, subject: Subject, world: World, spec: ComponentSpec, seed: int, setup: bool) -> None:
        self.subject = subject
        self.world = world
        self.spec = _run_spec(subject, world, spec, seed)
        self.system: System = build_system(self.spec, world.info, subject.registry)
        # As the component's own constructor would refuse; a sampler is not part of the system.
        self.sampler: Sampler = build_sampler(self.spec, self.system, world.info, subject.registry)
        if setup:
            model = self.system.model
            parts = [model.likelihood, model.posterior, model.decoder, model.encoder, model.prior]
            with torch.no_grad():
                for part in [*parts, *self.system.regularizers.values(), self.system.objective]:
                    part.setup(_TrainingData(world))  # type: ignore[operator]  # ModuleDict loses the type
        self.system.eval()

    @property
    def model(self) -> Autoencoder:
        return self.system.model

    @property
    def part(self) -> Part:
        """The module under test."""
        kind = self.subject.kind
        if kind == "sampler":
            return self.sampler
        if kind == "regularizer":
            return next(iter(self.system.regularizers.values()))  # type: ignore[return-value]
        part: Part = self.system.objective if kind == "objective" else getattr(self.model, kind)
        return part

    def stir(self) -> None:
        """Move every weight a little from where it started, as training does: zeros at the start hide gradients."""
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in self.system.parameters():
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))

    def z(self, count: int = 8, seed: int = 21) -> Tensor:
        """Codes (count, D)."""
        return sample_noise(count, self.world.latent_dim, seed, "normal")

    def codes(self, count: int = ROWS, seed: int = 22) -> Tensor:
        """Codes as of training data, correlated and not centred."""
        z_ND = self.z(count, seed)
        return z_ND + 0.5 * z_ND.roll(1, dims=1) + 0.25

    def params(self, count: int = 8, seed: int = 23) -> Tensor:
        """Posterior parameters (count, D, K)."""
        shape = (self.world.latent_dim, self.model.posterior.K)
        return 0.5 * sample_noise(count, shape[0] * shape[1], seed, "normal").view(count, *shape)

    def raw(self, count: int = 8, scale: float = 1.0) -> Tensor:
        """Likelihood numbers (count, P*C, ...)."""
        first, *rest = self.world.info.shape.sizes
        shape = (self.model.likelihood.P * first, *rest)
        return scale * sample_noise(count, int(np.prod(shape)), 24, "normal").view(count, *shape)

    def posterior_noise(self, count: int = 8, seed: int = 25) -> Tensor:
        """Noise of the law and shape that the posterior asks for."""
        shape = self.model.posterior.noise_shape
        return sample_noise(count, int(np.prod(shape)), seed, self.model.posterior.noise).view(count, *shape)

    def step(self, batch: Batch | None = None, mode: Mode = "sample") -> Step:
        """A step over a batch of the world's data, with the extra batches that regularizers ask for."""
        batch = self.world.batch() if batch is None else batch
        step = self._step(batch, mode, "train")
        with torch.no_grad():
            extra = tuple(
                self.model.draw(self._step(self.world.batch(8 * (i + 1), len(batch)), mode, f"train/extra{i}"))
                for i in range(self.system.extra_batches)
            )
        return replace(step, extra=extra)

    def _step(self, batch: Batch, mode: Mode, stream: str) -> Step:
        number = torch.tensor(3)
        # Not the scene's seed, which only says where weights start.
        noise = StepNoise(0, number, batch.rows, stream)
        return Step(batch, noise, number, dataset_size=ROWS, mode=mode)

    def view(self, data: bool = True) -> View:
        """The scene as a finished run.

        Args:
            data: whether the run's data is at hand.
        """
        with torch.no_grad():
            codes = self.model.represent(self.world.batch(0, ROWS))
        self.sampler.fit(codes, self.system.layout, self.model.prior)
        gallery = self.world.batch(0, 4).first
        view = View(self.spec, self.system, self.sampler, self.world.info, codes, gallery)
        if data:
            view.set_source(self._batches)
        return view

    def _batches(self, split: Literal["train", "valid", "test"]) -> Iterator[Batch]:
        first = {"train": 0, "valid": 20, "test": 40}[split]
        for start in (first, first + 10):
            yield self.world.batch(start, 10)


def _run_spec(subject: Subject, world: World, spec: ComponentSpec, seed: int) -> RunSpec:
    model: dict[str, Any] = {
        "latent_dim": world.latent_dim,
        "encoder": {"name": "mlp", "width": 8},
        "prior": {"name": "standard_normal"},
        "decoder": {"name": "mlp", "width": 8},
        "objective": {"name": "elbo"},
        **world.model,
    }
    if subject.kind in ("regularizer", "objective"):
        # Many a loss needs a density.
        model["posterior"] = {"name": "gaussian"}
        model["regularizers"] = [{"name": "kl", "weight": 0.5}]
    sampler: Any = {"name": "hybrid", "size": 16}
    tables = dict(subject.beside)
    sampler = tables.pop("sampler", sampler)
    model |= tables
    if subject.kind in PARTS:
        model[subject.kind] = spec
    elif subject.kind == "regularizer":
        model["regularizers"] = [spec]
    elif subject.kind == "sampler":
        sampler = spec
    return RunSpec.model_validate(
        {
            "name": "conformance",
            "seed": seed,
            "model": model,
            "data": DatasetSpec(name="conformance"),
            "train": {"steps": 1, "batch_size": 8},
            "sampler": sampler,
        },
        context={"registry": subject.registry},
    )
