"""Files of named arrays, npz and HDF5: which arrays are the data and which the factors."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveInt, model_validator

from aerepr.data.arrays import as_vectors
from aerepr.data.decoded import Memory, open_images
from aerepr.data.factors import FactorTable
from aerepr.data.mapped import MappedRows
from aerepr.data.stored import StoredArray
from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext
from aerepr.spec.base import DataPath
from aerepr.spec.data import DatasetSpec

# The array of a key, not yet read, and notes on the file.
Find = Callable[[Path, str], tuple[StoredArray, list[str]]]


class KeyedSpec(DatasetSpec):
    """What `npz` and `hdf5` share: the file and the names of the arrays in it."""

    path: DataPath = Field(description="the file")
    images: str | None = Field(None, description="key of the images, (N, H, W) or (N, H, W, C)")
    values: str | None = Field(None, description="key of vectors (N, F), instead of images")
    factors: str | None = Field(None, description="key of the factor columns, (N, factors) or (N,)")
    factor_names: list[str] | None = Field(None, description="names of the factor columns")
    factor_sizes: list[PositiveInt] | None = Field(
        None,
        description="classes of each factor, where the columns hold class indices; without `factors`: the rows are the "
        "full grid of these sizes, the last factor fastest",
    )
    layout: Literal["NHWC", "NCHW", "NHW"] | None = Field(None, description="axes of the images, where not plain")
    binary: bool | None = Field(None, description="whether integer images are masks of 0 and 1; told by their values")
    memory: Memory = Field(
        "auto",
        description="where images of 256 MiB and more are during training. resident: on the device; mapped: on disk and in "
        "the system's page cache, gathered by the host for each batch; auto: resident on an accelerator if they fit into "
        "60% of its free memory, else mapped",
    )

    @model_validator(mode="after")
    def _one_sort(self) -> KeyedSpec:
        if (self.images is None) == (self.values is None):
            raise ValueError("give the key of either images or values")
        return self


def _grid(spec: KeyedSpec, rows: int, where: str) -> FactorTable:
    sizes = spec.factor_sizes or []
    if prod(sizes) != rows:
        raise DataError(
            f"{where}: found {rows} rows, expected {prod(sizes)}, the full grid of factor_sizes {sizes}; give the key of "
            "the factor columns if this file holds a part of it"
        )
    return FactorTable.from_grid(spec.factor_names or [f"factor_{i}" for i in range(len(sizes))], sizes)


def read_keyed(spec: KeyedSpec, ctx: DataContext, find: Find) -> dict[str, Any]:
    """Arguments of `HeldDataset` from a file of named arrays.

    Raises:
        DataError: the file, a key or an array is not what the spec says.
    """
    path = ctx.folder / spec.path
    key = spec.images if spec.images is not None else spec.values
    assert key is not None
    array, notes = find(path, key)
    columns = None if spec.factors is None else find(path, spec.factors)[0]
    data: np.ndarray | MappedRows
    if spec.images is not None:
        data, more = open_images(
            array, ctx.cache, layout=spec.layout, binary=spec.binary, memory=spec.memory, progress=ctx.progress
        )
        notes = [*notes, *more]
    else:
        data = as_vectors(array.read(), array.where)
    factors = None
    if columns is None and spec.factor_sizes is not None:
        factors = _grid(spec, len(data), str(path))
    if columns is not None:
        factors, more = FactorTable.from_columns(
            columns.read(), spec.factor_names, columns.where, sizes=spec.factor_sizes, n_rows=len(data)
        )
        notes = [*notes, *more]
    return {"values": data, "factors": factors, "notes": notes, "memory": spec.memory}
