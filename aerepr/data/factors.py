"""The factor table: for each row, the class of each known factor of variation.

Class indices start at 0; -1 means unknown. A factor that is unknown for any row is unknown for all, with size 0,
because no metric or subset can use a part of it.

Shape letters: N rows, F factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from aerepr.data.arrays import as_factors
from aerepr.data.lookup import suggestion
from aerepr.errors import DataError

Values = npt.NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class FactorTable:
    """Names, sizes and classes of the factors of variation of N rows.

    Attributes:
        names: F distinct names.
        sizes: number of classes of each factor; 0 for an unknown factor.
        classes: (N, F) class indices in 0..size-1, -1 for unknown; int16, or the first of int32 and int64 that fits.
        values: for each factor the value of each class, in class order, or None where there are only indices.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    classes: npt.NDArray[np.signedinteger[Any]]
    values: tuple[Values, ...]

    def __post_init__(self) -> None:
        counts = (len(self.names), len(self.sizes), len(self.values))
        if self.classes.ndim != 2 or {self.classes.shape[1]} != set(counts):
            raise DataError(
                f"factors: found classes of shape {self.classes.shape} with {counts[0]} names, {counts[1]} sizes and "
                f"{counts[2]} lists of values, expected one of each for every column"
            )
        if len(set(self.names)) != len(self.names):
            raise DataError(f"factors: found names {', '.join(self.names)}, expected each name once; rename the copies")

    def __len__(self) -> int:
        return len(self.classes)

    @classmethod
    def from_grid(
        cls, names: Sequence[str], sizes: Sequence[int], values: Sequence[Values] | None = None
    ) -> FactorTable:
        """The table of a full grid in row-major order: the last factor varies fastest.

        Args:
            names: F names.
            sizes: F numbers of classes, each at least 1.
            values: for each factor the values of its classes or None; None for none at all.

        Returns:
            A table of prod(sizes) rows.

        Raises:
            DataError: lengths that disagree, or a size below 1.
        """
        if len(names) != len(sizes) or not names:
            raise DataError(f"factors: found {len(names)} names and {len(sizes)} sizes, expected as many, at least one")
        if min(sizes) < 1:
            raise DataError(f"factors: found sizes {list(sizes)}, expected each to be at least 1")
        kept = (None,) * len(sizes) if values is None else tuple(values)
        for name, size, column in zip(names, sizes, kept, strict=False):
            if column is not None and len(column) != size:
                raise DataError(f"factors: found {len(column)} values for {name!r}, expected its size, {size}")
        grid = np.empty((*sizes, len(sizes)), dtype=_index_dtype(sizes))
        for axis, size in enumerate(sizes):
            grid[..., axis] = np.arange(size).reshape((size,) + (1,) * (len(sizes) - 1 - axis))
        return cls(tuple(names), tuple(int(size) for size in sizes), grid.reshape(prod(sizes), len(sizes)), kept)

    @classmethod
    def from_columns(
        cls,
        array: npt.NDArray[Any],
        names: Sequence[str] | None = None,
        where: str = "factors",
        *,
        sizes: Sequence[int] | None = None,
        n_rows: int | None = None,
    ) -> tuple[FactorTable, list[str]]:
        """The table of columns read from a file.

        Without `sizes` the distinct values of a column, sorted, are its classes. With `sizes` a column holds class
        indices already, so that a class absent from this file keeps its number.

        Args:
            array: (N, F) or (N,) numbers; a column with NaN makes an unknown factor.
            names: F names; None names a single column `label` and several `factor_0`, `factor_1`, ...
            where: file and key, shown in errors and notes.
            sizes: number of classes of each factor.
            n_rows: rows of the data, to be equalled by N.

        Returns:
            The table, and notes naming the unknown factors.

        Raises:
            DataError: not numbers, lengths that disagree, class indices that are not whole or not below their size.
        """
        columns = as_factors(array, n_rows, where)
        count = columns.shape[1]
        if names is None:
            names = ("label",) if count == 1 else tuple(f"factor_{i}" for i in range(count))
        for what, given in (("names", names), ("sizes", sizes)):
            if given is not None and len(given) != count:
                raise DataError(
                    f"{where}: found {count} columns, expected {len(given)} for the {len(given)} {what} given"
                )
        notes: list[str] = []
        coded: list[npt.NDArray[np.int64]] = []
        values: list[Values] = []
        for i, name in enumerate(names):
            column = columns[:, i]
            unknown = int(np.count_nonzero(np.isnan(column))) if column.dtype.kind == "f" else 0
            if unknown:
                notes.append(f"{where}: factor {name!r} is unknown, {unknown} of {len(column)} rows are NaN")
                coded.append(np.full(len(column), -1, dtype=np.int64))
                values.append(None)
            elif sizes is None:
                distinct, classes = np.unique(column, return_inverse=True)
                coded.append(classes.astype(np.int64, copy=False))
                values.append(distinct)
            else:
                coded.append(_as_indices(column, sizes[i], f"{where}, factor {name!r}"))
                values.append(np.arange(sizes[i]))
        found = tuple(0 if column is None else len(column) for column in values)
        table = np.stack(coded, axis=1).astype(_index_dtype(found))
        return cls(tuple(str(name) for name in names), found, table, tuple(values)), notes

    def select(self, subset: Mapping[str, Sequence[int]]) -> npt.NDArray[np.int64]:
        """Rows whose class is listed, for every factor named.

        Args:
            subset: factor name to class indices; an empty mapping selects all rows.

        Returns:
            Row numbers, ascending, int64.

        Raises:
            DataError: an unknown name, a factor without known classes, an index outside 0..size-1, or no row left.
        """
        mask = np.ones(len(self), dtype=np.bool_)
        for name, wanted in subset.items():
            if name not in self.names:
                raise DataError(
                    f"subset: found no factor named {name!r}{suggestion(name, self.names)}, "
                    f"expected one of: {', '.join(self.names)}"
                )
            column = self.names.index(name)
            size = self.sizes[column]
            if size == 0:
                known = ", ".join(self.known()) or "none"
                raise DataError(f"subset: found factor {name!r}, whose classes are unknown; expected one of: {known}")
            wrong = [item for item in wanted if not _is_index(item) or not 0 <= item < size]
            if wrong:
                raise DataError(
                    f"subset: found class {wrong[0]!r} for factor {name!r}, expected whole numbers 0..{size - 1}"
                )
            mask &= np.isin(self.classes[:, column], np.asarray(wanted, dtype=np.int64))
        rows = np.flatnonzero(mask).astype(np.int64, copy=False)
        if not len(rows):
            chosen = ", ".join(f"{name} = {list(wanted)}" for name, wanted in subset.items())
            raise DataError(
                f"subset: found no rows with {chosen} among {len(self)}, expected at least one; list more classes"
            )
        return rows

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> FactorTable:
        """The table of some rows, in the order given; names, sizes and values stay.

        Args:
            rows: (M,) row numbers.
        """
        return FactorTable(self.names, self.sizes, self.classes[rows], self.values)

    def with_values(self, values: Sequence[Values]) -> FactorTable:
        """The same table with other values of its classes; an unknown factor has none.

        Args:
            values: for each factor the values of its classes, as in `from_grid`.
        """
        known = (column if size else None for column, size in zip(values, self.sizes, strict=True))
        return FactorTable(self.names, self.sizes, self.classes, tuple(known))

    def known(self) -> tuple[str, ...]:
        """Names of the factors whose class is known for every row."""
        return tuple(name for i, name in enumerate(self.names) if (self.classes[:, i] >= 0).all())


def _index_dtype(sizes: Sequence[int]) -> np.dtype[np.signedinteger[Any]]:
    largest = max(sizes)
    fitting = next(kind for kind in (np.int16, np.int32, np.int64) if largest <= np.iinfo(kind).max)
    return cast("np.dtype[np.signedinteger[Any]]", np.dtype(fitting))


def _is_index(item: object) -> bool:
    return isinstance(item, (int, np.integer)) and not isinstance(item, bool)


def _as_indices(column: npt.NDArray[Any], size: int, where: str) -> npt.NDArray[np.int64]:
    if column.dtype.kind == "f" and (column != np.rint(column)).any():
        first = column[column != np.rint(column)][0]
        raise DataError(
            f"{where}: found {first:g}, expected class indices 0..{size - 1}; leave out the sizes to use values"
        )
    low, high = int(column.min()), int(column.max())
    if low < 0 or high >= size:
        wrong = low if low < 0 else high
        raise DataError(f"{where}: found class index {wrong}, expected 0..{size - 1}; correct its size or the column")
    return column.astype(np.int64)
