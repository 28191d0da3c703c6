"""A data set with its splits and subset: the rows a run trains, validates and tests on, and batches of them.

Batches are made on the device: rows are indexed, converted and viewed there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from aerepr.data.splits import split_rows
from aerepr.errors import DataError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataInfo, Dataset, FactorInfo
from aerepr.kinds.step import Noise
from aerepr.spec.data import DatasetSpec

Split = Literal["train", "valid", "test"]
# What numbers may be about: a split, or all of them together.
Part = Literal["train", "valid", "test", "all"]
Subset = Mapping[str, Sequence[int]]


class DataSource:
    """The rows of a data set under its spec.

    Args:
        dataset: the component. spec: its table. device: where batches are made.

    Raises:
        DataError: the subset selects nothing, or names a factor the data set has not.
    """

    def __init__(self, dataset: Dataset, spec: DatasetSpec, device: torch.device | str = "cpu") -> None:
        self.dataset = dataset
        self.spec = spec
        self.device = torch.device(device)
        self._resident: Tensor | None = None
        published = dataset.published_splits()
        drawn = published if published is not None else split_rows(len(dataset), spec.split, spec.split_seed)
        self._splits = {name: np.asarray(rows, dtype=np.int64) for name, rows in drawn.items()}
        self._classes: Tensor | None = None
        train = self.rows("train")
        if len(train) == 0:
            raise DataError(f"data.subset: {dict(spec.subset)} leaves no training rows: widen it")
        factors = dataset.factors
        pairs = zip(factors.names, factors.sizes, strict=True) if factors is not None else ()
        self.info = DataInfo(
            shape=dataset.shape,
            train_size=len(train),
            factors=tuple(FactorInfo(name, size) for name, size in pairs),
            labels=dataset.labels,
            frames=dataset.frames,
        )

    def rows(self, split: Part, subset: Subset | None = None) -> np.ndarray:
        """Row numbers of a split (or of all), sorted; under `subset` if given, else under the spec's own.

        Raises:
            DataError: the subset names an unknown factor or class, or there is no factor table.
        """
        rows = self._splits[split] if split != "all" else np.unique(np.concatenate(list(self._splits.values())))
        subset = self.spec.subset if subset is None else subset
        if not subset:
            return rows
        if self.dataset.factors is None:
            raise DataError(f"data.subset: {dict(subset)} needs a factor table, and this data set has none")
        return rows[np.isin(rows, self.dataset.factors.select(subset))]

    def choice(
        self, split: Part, count: int | None, subset: Subset | None = None, seed: int | None = None
    ) -> np.ndarray:
        """At most `count` rows of a split (None: all), the same for every run on this data, in random order.

        Args:
            seed: of the draw, without replacement; None: `split_seed`. Subset and errors as for `rows`.
        """
        rows = self.rows(split, subset)
        generator = np.random.Generator(np.random.PCG64(self.spec.split_seed if seed is None else seed))
        return rows[generator.permutation(len(rows))[:count]]

    def batch(self, rows: Tensor, noise: Noise | None = None) -> Batch:
        """One batch, on the device.

        Args:
            rows: row numbers, int64, on the device.
        """
        if self._resident is None:
            self._resident = self.dataset.resident(self.device)
            if self.dataset.factors is not None:
                # Class indices travel with the data: a batch never waits for the host.
                self._classes = torch.from_numpy(np.ascontiguousarray(self.dataset.factors.classes)).to(self.device)
        raw = self.dataset.take(self._resident, rows)
        factors = None if self._classes is None else self._classes[rows].to(torch.int64)
        scoped = None if noise is None else noise.scoped("view")
        view = self.dataset.view(raw, rows, factors, scoped)
        # Rows and factors are set here, so that a view cannot lose them; it may say other factors.
        return replace(view, rows=rows, factors=factors if view.factors is None else view.factors)

    def batches(self, rows: np.ndarray, size: int = 256) -> Iterator[Batch]:
        """All the given rows once, in order."""
        for start in range(0, len(rows), size):
            yield self.batch(torch.from_numpy(rows[start : start + size]).to(self.device))

    def examples(self, rows: np.ndarray) -> Tensor:
        """Data of some rows as the model sees it: (n, *shape), the first frame of sequences."""
        return torch.cat([batch.first for batch in self.batches(rows)])
