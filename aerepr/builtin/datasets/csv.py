"""Vectors in a table of comma- or tab-separated numbers."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from aerepr.data.factors import FactorTable
from aerepr.data.held import HeldDataset
from aerepr.data.lookup import missing_key
from aerepr.data.table import read_csv
from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext
from aerepr.spec.base import DataPath
from aerepr.spec.data import DatasetSpec


class CSVSpec(DatasetSpec):
    """Table `[data]` with `name = "csv"`."""

    path: DataPath = Field(description="the table; a first line without numbers names the columns")
    factors: list[str] = Field([], description="columns that are factors, not values")


class CSVDataset(HeldDataset):
    """Rows of numbers; the columns named as factors become the factor table."""

    Spec = CSVSpec

    def __init__(self, spec: CSVSpec, ctx: DataContext) -> None:
        path = ctx.folder / spec.path
        table, names = read_csv(path)
        for factor in spec.factors:
            if factor not in names:
                raise missing_key(str(path), factor, names)
        if len(set(spec.factors)) == len(names):
            raise DataError(f"{path}: found only columns named as factors, expected values too; name fewer factors")
        chosen = [names.index(factor) for factor in spec.factors]
        factors: FactorTable | None = None
        notes: list[str] = []
        if chosen:
            factors, notes = FactorTable.from_columns(table[:, chosen], spec.factors, str(path))
        values = np.ascontiguousarray(np.delete(table, chosen, axis=1))
        super().__init__(values, factors, notes)
