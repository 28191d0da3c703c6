"""A run as metrics, exporters and traversals see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from aerepr.errors import AereprError, DataError, ShapeError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.distributions import has_density
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.objective import Objective
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.sampler import Sampler
from aerepr.kinds.step import Mode, Step
from aerepr.layers.noise import StepNoise, sample_noise
from aerepr.model.autoencoder import Autoencoder
from aerepr.model.build import build_sampler
from aerepr.model.opened import open_system
from aerepr.model.system import System
from aerepr.rundir.layout import find
from aerepr.spec.base import ComponentSpec
from aerepr.spec.run import RunSpec

Split = Literal["train", "valid", "test"]

# Codes decoded at once: what is in work stays in the caches of a CPU.
_BATCH = 64


class View:
    """A `RunView` over a system, fitted sampler and codes; with data once `set_source` was called.

    Args:
        gallery: test examples kept with the run, (G, *shape) in data units.
    """

    def __init__(
        self,
        spec: RunSpec,
        system: System,
        sampler: Sampler,
        info: DataInfo,
        codes: Tensor,
        gallery: Tensor,
    ) -> None:
        self.spec = spec
        self.system = system
        self.sampler = sampler
        self.info = info
        self.codes = codes
        self.gallery = gallery
        self._source: Callable[[Split], Iterator[Batch]] | None = None
        self._evaluated: Callable[[], Iterator[Batch]] | None = None

    def set_source(
        self, source: Callable[[Split], Iterator[Batch]], evaluated: Callable[[], Iterator[Batch]] | None = None
    ) -> None:
        """Say where the batches of a split come from, and those that metrics are asked about (left out: the test split)."""
        self._source = source
        self._evaluated = evaluated

    def seen(self, batch: Batch) -> Batch:
        """A batch in data units as the model sees it."""
        return replace(batch, x=self.model.normalise(batch.x))

    @property
    def model(self) -> Autoencoder:
        return self.system.model

    @property
    def objective(self) -> Objective:
        objective: Objective = self.system.objective
        return objective

    @property
    def trained_to_prior(self) -> bool:
        """Whether codes of the prior mean something to the decoder."""
        # An objective that takes no regularizers may have its own way to the prior, so only the default kind is judged.
        if self.spec.model.regularizers or not self.objective.regularizers:
            return True
        params_BDK = torch.zeros(1, self.layout.latent_dim, self.model.posterior.K)
        with torch.no_grad():
            return has_density(self.model.posterior(params_BDK.to(self.device)))

    def fitted(self, sampler: ComponentSpec) -> Sampler:
        """A sampler fitted to the codes of this run; the same spec gives the same sampler.

        Raises:
            SpecError, ShapeError: the sampler refuses the sizes, or the number of codes.
        """
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            # A sampler may start from random values or fit by a random method; both follow the run's seed.
            torch.manual_seed(self.spec.seed)
            spec = self.spec.model_copy(update={"sampler": sampler})
            found = build_sampler(spec, self.system, self.info, self.system.registry)
            try:
                found.fit(self.codes, self.layout, self.model.prior)
            except ShapeError as cause:
                raise ShapeError(f'sampler "{sampler.name}": {cause}') from cause
        return found.to(self.codes.device).eval().requires_grad_(False)

    def samplers(self) -> dict[str, Sampler]:
        registry, own = self.system.registry, self.spec.sampler
        found: dict[str, Sampler] = {}
        for name in registry.names("sampler"):
            if name == "prior" and not self.trained_to_prior:
                continue
            try:
                defaults: type[ComponentSpec] = registry.load("sampler", name).Spec
                spec = own if own.name == name else defaults.model_validate({"name": name})
                found |= self._hybrids(spec) if name == "hybrid" else {name: self.fitted(spec)}
            except (AereprError, ValueError):
                continue  # a broken plugin, or a sampler that asks for settings, sizes or codes that are not given here
        return found

    def _hybrids(self, spec: ComponentSpec) -> dict[str, Sampler]:
        by_variable = by_dimension = self.fitted(spec.model_copy(update={"unit": "variable"}))
        if any(size > 1 for size in self.layout.sizes):
            by_dimension = self.fitted(spec.model_copy(update={"unit": "dimension"}))
        return {"hybrid_variable": by_variable, "hybrid_dimension": by_dimension}

    def draw(self, sampler: Sampler, count: int, seed: int) -> Iterator[Tensor]:
        z_ND = sampler(sample_noise(count, sampler.noise_dim, seed, sampler.noise))
        for z_BD in z_ND.split(_BATCH):
            yield self.model.decode(z_BD.to(self.device))

    def model_of(self, run: str) -> Autoencoder:
        found = open_system(find(Path("runs"), run), self.system.registry)
        if found.info.shape != self.info.shape:
            raise ShapeError(f"{run}: found a run on data of shape {found.info.shape}, expected {self.info.shape}")
        return found.system.model.to(self.device)

    @property
    def device(self) -> torch.device:
        """Where the model computes; codes, gallery and sampler may be elsewhere."""
        return next(self.system.parameters(), torch.empty(0)).device

    @property
    def regularizers(self) -> Mapping[str, Regularizer]:
        return self.system.terms

    @property
    def layout(self) -> LatentLayout:
        return self.system.layout

    def step(self, batch: Batch, mode: Mode) -> Step:
        number = torch.zeros((), dtype=torch.int64, device=batch.x.device)
        noise = StepNoise(self.spec.seed, number, batch.rows, "view")
        return Step(batch=batch, noise=noise, number=number, dataset_size=self.info.train_size, mode=mode)

    def batches(self, split: Split) -> Iterator[Batch]:
        if self._source is None:
            raise DataError("this needs the run's data set, which was not given: see set_source")
        return self._source(split)

    def evaluated(self) -> Iterator[Batch]:
        return self._evaluated() if self._evaluated is not None else self.batches("test")

    def encoded(self) -> Iterator[Step]:
        for batch in self.evaluated():
            yield self.model.draw(self.step(batch, "represent"))
