"""Data sets that break a contract each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aerepr.data.factors import FactorTable
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataContext, Dataset
from aerepr.kinds.shape import DataShape
from aerepr.spec.data import DatasetSpec
from tests.conformance.broken.collected import broken


class Grid(Dataset):
    Spec = DatasetSpec

    def __init__(self, spec: DatasetSpec, ctx: DataContext) -> None:
        self.shape = DataShape.image(1, 4, 4)
        self.factors = FactorTable.from_grid(("row", "column"), (5, 8))

    def __len__(self) -> int:
        return 40

    def resident(self, device: torch.device) -> Tensor:
        return (torch.arange(40 * 16, device=device) % 251).to(torch.uint8).view(40, 4, 4, 1)


@broken("dataset", "builds")
class NoGrid(Grid):
    def __init__(self, spec: DatasetSpec, ctx: DataContext) -> None:
        raise ValueError("no")


@broken("dataset", "rows")
class FloatGrid(Grid):
    def resident(self, device: torch.device) -> Tensor:
        return super().resident(device).float()


@broken("dataset", "take")
class SortedGrid(Grid):
    def take(self, resident: Tensor, rows: Tensor) -> Tensor:
        return resident[rows.sort().values]


@broken("dataset", "view")
class BrightGrid(Grid):
    def view(self, raw: Tensor, rows: Tensor, factors: Tensor | None, noise: Any) -> Batch:
        batch = super().view(raw, rows, factors, noise)
        return Batch(batch.x * 2, rows, factors)


@broken("dataset", "generator")
class DrawsGrid(Grid):
    def view(self, raw: Tensor, rows: Tensor, factors: Tensor | None, noise: Any) -> Batch:
        torch.rand(1)
        return super().view(raw, rows, factors, noise)


@broken("dataset", "view_rows")
class CentredGrid(Grid):
    def view(self, raw: Tensor, rows: Tensor, factors: Tensor | None, noise: Any) -> Batch:
        batch = super().view(raw, rows, factors, noise)
        return Batch((batch.x - batch.x.mean(dim=0)).clamp(0, 1), rows, factors)


@broken("dataset", "factors")
class FewClasses(Grid):
    def __init__(self, spec: DatasetSpec, ctx: DataContext) -> None:
        super().__init__(spec, ctx)
        self.factors = FactorTable(("row", "column"), (5, 7), self.factors.classes, (None, None))


@broken("dataset", "splits")
class Overlaps(Grid):
    def published_splits(self) -> Mapping[str, np.ndarray]:
        return {"train": np.arange(30), "valid": np.arange(29, 35), "test": np.arange(35, 40)}
