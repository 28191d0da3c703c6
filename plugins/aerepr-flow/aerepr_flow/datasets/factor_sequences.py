"""`factor_sequences`: any full grid of factors as sequences in which one factor takes successive values.

A row is a combination of factors. Its sequence under transformation k sets factor k to v_0 + t, t = 0 .. T, and leaves the
others as they are. Published sequences begin at value 0, whatever the row's own value is: so does `start = "zero"`, where
the first frame, and `Batch.factors`, is the row with factor k at 0. `start = "own"` begins at the row's own value and goes
from the last value to the first: the first frames are then the source's rows as they are, but a factor that is no circle,
unlike a hue, jumps there.

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167, section 4. The authors' code *adds* the
values of Falor3D and Isaac3D to a row without setting factor k to 0 first, and so carries into the factor before it; here
factor k is set.
Shape letters: B batch, T frames, F factors, N rows, K transformations.
"""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from aerepr.data.factors import FactorTable
from aerepr.data.lookup import suggestion
from aerepr.errors import DataError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataContext, Factors
from aerepr.kinds.step import Noise
from aerepr_flow.sequences import SequenceDataset, SequenceSpec, hashed


class FactorSequencesSpec(SequenceSpec):
    """Table `[data]` with `name = "factor_sequences"`."""

    factors: list[str] | None = Field(
        None,
        min_length=1,
        description="the transformations: names of factors, in the order of k; left out: every factor with values enough",
    )
    start: Literal["zero", "own"] = Field(
        "zero",
        description="value of factor k in the first frame. zero: its first, as published; own: the row's, after the last "
        "value comes the first again",
    )


class FactorSequences(SequenceDataset):
    """Frames taken from the source, on the device, by row numbers that are computed there."""

    Spec = FactorSequencesSpec

    def __init__(self, spec: FactorSequencesSpec, ctx: DataContext) -> None:
        super().__init__(spec, ctx)
        where = f'factor_sequences of "{spec.source.name}"'
        table = _known(self.source.factors, where)
        self.labels = _chosen(spec, table, self.frames, where)
        walked = sorted(set(spec.subset) & set(self.labels))
        if walked:
            raise DataError(
                f"data.subset: found {walked[0]}, which {where} walk through all values they need; subset other factors, or "
                "leave it out of data.factors"
            )
        self.from_zero = spec.start == "zero"
        self._own_NF = np.ascontiguousarray(table.classes)
        self._row_of_N = _row_of(table, where)
        columns = [table.names.index(name) for name in self.labels]
        self._columns_K = torch.tensor(columns)
        self._sizes_F = torch.tensor(table.sizes)
        self._strides_F = torch.tensor(_strides(table.sizes))
        self.factors = table
        if self.from_zero:
            # Of the first frames that validation and evaluation see.
            rows = np.arange(len(self))
            shown_N = hashed(torch.from_numpy(rows), len(columns)).numpy()
            first_NF = self._own_NF.copy()
            first_NF[rows, np.array(columns)[shown_N]] = 0
            values = getattr(table, "values", (None,) * len(table.names))
            self.factors = FactorTable(table.names, table.sizes, first_NF, values)

    def resident(self, device: torch.device) -> Tensor:
        # Frames are taken where the transformation is known, which is in `view`.
        self._resident = self.source.resident(device)
        self._own = torch.from_numpy(self._own_NF).to(device)
        self._row_of = None if self._row_of_N is None else torch.from_numpy(self._row_of_N).to(device)
        self._columns_K, self._sizes_F, self._strides_F = (
            constant.to(device) for constant in (self._columns_K, self._sizes_F, self._strides_F)
        )
        return self._resident

    def take(self, resident: Tensor, rows: Tensor) -> Tensor:
        return self.source.take(resident, rows)

    def view(self, raw: Tensor, rows: Tensor, factors: Tensor | None, noise: Noise | None) -> Batch:
        label_B = self.shown(rows, noise)
        own_BF = self._own[rows].to(torch.int64)
        column_B = self._columns_K[label_B]
        size_B, stride_B = self._sizes_F[column_B], self._strides_F[column_B]
        was_B = own_BF.gather(1, column_B[:, None])[:, 0]
        start_B = torch.zeros_like(was_B) if self.from_zero else was_B
        time_T = torch.arange(self.frames, device=rows.device)
        value_BT = (start_B[:, None] + time_T) % size_B[:, None]
        # The row's place in the grid with factor k taken out, then set.
        place_BT = ((own_BF * self._strides_F).sum(dim=1) - was_B * stride_B)[:, None] + value_BT * stride_B[:, None]
        frames = (place_BT if self._row_of is None else self._row_of[place_BT]).flatten()
        seen = self.source.view(self.source.take(self._resident, frames), frames, None, None)
        first_BF = own_BF.scatter(1, column_B[:, None], value_BT[:, :1])
        x = seen.x.unflatten(0, (len(rows), self.frames))
        return Batch(x=x, rows=rows, factors=first_BF, label=label_B, timed=True)


def _known(table: Factors | None, where: str) -> Factors:
    if table is None:
        raise DataError(f"{where}: found no factor table, expected a grid of factors; name a source that has one")
    if min(table.sizes) < 1:
        name = table.names[table.sizes.index(min(table.sizes))]
        raise DataError(f"{where}: found unknown classes of factor {name}, expected a full grid; name another source")
    return table


def _chosen(spec: FactorSequencesSpec, table: Factors, frames: int, where: str) -> tuple[str, ...]:
    """Names of the factors that are transformations."""
    sizes = dict(zip(table.names, table.sizes, strict=True))
    if spec.factors is None:
        found = tuple(name for name, size in sizes.items() if size >= frames)
        if not found:
            raise DataError(
                f"{where}: found no factor of {frames} values or more, expected one for steps = {spec.steps} "
                f"({', '.join(f'{name} has {size}' for name, size in sizes.items())}); take fewer steps"
            )
        return found
    if len(set(spec.factors)) < len(spec.factors):
        raise DataError(f"{where}: found factors = {spec.factors}, expected each name once")
    for name in spec.factors:
        if name not in sizes:
            raise DataError(
                f"{where}: found no factor named {name!r}{suggestion(name, sizes)}, expected one of: {', '.join(sizes)}"
            )
        if sizes[name] < frames:
            raise DataError(
                f"{where}: found {sizes[name]} values of factor {name}, expected {frames} for steps = {spec.steps}; leave "
                "it out, or take fewer steps"
            )
    return tuple(spec.factors)


def _strides(sizes: tuple[int, ...]) -> list[int]:
    """How far apart in a row-major grid neighbours in each factor are."""
    return [prod(sizes[i + 1 :]) for i in range(len(sizes))]


def _row_of(table: Factors, where: str) -> np.ndarray | None:
    """The row of each place in the row-major grid, int64 (N,); None where the rows are in that order."""
    place_N = table.classes.astype(np.int64) @ np.array(_strides(table.sizes), dtype=np.int64)
    count, grid = len(place_N), prod(table.sizes)
    order_N = np.argsort(place_N, kind="stable")
    if count != grid or not np.array_equal(place_N[order_N], np.arange(grid)):
        raise DataError(
            f"{where}: found {count:,} rows, expected each of the {grid:,} combinations of factors once: a frame may be any "
            "of them; name a source that is a full grid"
        )
    return None if np.array_equal(order_N, np.arange(grid)) else order_N
