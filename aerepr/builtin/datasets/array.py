"""Vectors in a npy file."""

from __future__ import annotations

from pydantic import Field

from aerepr.data.arrays import as_vectors
from aerepr.data.factors import FactorTable
from aerepr.data.held import HeldDataset
from aerepr.data.npz import read_npy
from aerepr.kinds.dataset import DataContext
from aerepr.spec.base import DataPath
from aerepr.spec.data import DatasetSpec


class ArraySpec(DatasetSpec):
    """Table `[data]` with `name = "array"`."""

    path: DataPath = Field(description="npy file of vectors, (N, F)")
    factors: DataPath | None = Field(None, description="npy file of factor columns, (N, factors) or (N,)")
    factor_names: list[str] | None = Field(None, description="names of the factor columns")


class ArrayDataset(HeldDataset):
    """Vectors (N, F) as float32."""

    Spec = ArraySpec

    def __init__(self, spec: ArraySpec, ctx: DataContext) -> None:
        path = ctx.folder / spec.path
        values = as_vectors(read_npy(path), str(path))
        factors: FactorTable | None = None
        notes: list[str] = []
        if spec.factors is not None:
            table = ctx.folder / spec.factors
            factors, notes = FactorTable.from_columns(
                read_npy(table), spec.factor_names, str(table), n_rows=len(values)
            )
        super().__init__(values, factors, notes)
