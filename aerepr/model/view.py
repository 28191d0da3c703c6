"""A run as metrics, exporters and traversals see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from aerepr.errors import DataError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.objective import Objective
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.sampler import Sampler
from aerepr.kinds.step import Mode, Step
from aerepr.layers.noise import StepNoise
from aerepr.model.autoencoder import Autoencoder
from aerepr.model.system import System
from aerepr.spec.run import RunSpec

Split = Literal["train", "valid", "test"]


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
