"""Codes and ground-truth factors as metrics take them: plain arrays from any framework, checked, never repaired.

Rows are samples, train rows come first. Class indices are whole numbers, 0 or more; -1 means unknown and is refused,
because no metric can score a row whose class it does not know.

Shape letters: N rows, D latent dimensions, K factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.errors import DataError

Floats = npt.NDArray[np.floating[Any]]
Classes = npt.NDArray[np.intp]

# The greatest size of a value, and the least range of a column that varies. Outside of them squares overflow or vanish, and
# the solvers of the classifiers stop short, or never.
LARGEST, NARROWEST = 1e15, 1e-100


def as_codes(codes: npt.ArrayLike, *, dimensions: int = 1, rows: int = 2) -> Floats:
    """Codes (N, D); float32 and float64 keep their type, everything else becomes the one of them that holds it.

    Args:
        codes: (N, D), finite numbers. dimensions, rows: the fewest that the metric can work on.

    Raises:
        DataError: another shape, no numbers, NaN or infinite values, too few dimensions or rows.
    """
    array = _as_array(codes, "codes")
    if array.ndim != 2:
        raise DataError(f"codes: found shape {array.shape}, expected (rows, dimensions); reshape to two dimensions")
    if array.dtype.kind not in "biuf":
        raise DataError(f"codes: found dtype {array.dtype}, expected real numbers; store float32")
    if array.dtype not in (np.float32, np.float64):
        with np.errstate(over="ignore"):  # what does not fit is infinite, and found below
            array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    if array.shape[0] < rows:
        raise DataError(f"codes: found {array.shape[0]} rows, expected at least {rows}; encode more samples")
    if array.shape[1] < dimensions:
        raise DataError(
            f"codes: found {array.shape[1]} dimensions, expected at least {dimensions}: the metric compares dimensions"
        )
    finite_ND = np.isfinite(array)
    if not finite_ND.all():
        row, column = np.argwhere(~finite_ND)[0]
        raise DataError(
            f"codes: found {int((~finite_ND).sum())} values that are NaN or infinite, the first in row {row}, dimension "
            f"{column}, expected finite numbers; leave out those rows, or repair the encoder"
        )
    _require_moderate(array, "codes", "dimension")
    return array


def _as_array(values: npt.ArrayLike, what: str) -> npt.NDArray[Any]:
    if np.ma.is_masked(values):
        raise DataError(
            f"{what}: found masked values, expected a known one in every place; leave out those rows or columns"
        )
    try:
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as cause:
        raise DataError(f"{what}: found no array ({cause}), expected numbers of shape (rows, columns)") from cause


def _require_moderate(array: Floats, what: str, column_name: str) -> None:
    low, high = array.min(axis=0), array.max(axis=0)
    for column, size in enumerate(np.maximum(-low, high)):
        if size > LARGEST:
            raise DataError(
                f"{what}: found values as large as {size:.3g} in {column_name} {column}, expected at most {LARGEST:g}; they "
                "have diverged, or want another unit"
            )
        if 0 < high[column] - low[column] < NARROWEST:
            raise DataError(
                f"{what}: found a range of {high[column] - low[column]:.3g} in {column_name} {column}, expected 0 or at least "
                f"{NARROWEST:g}; give another unit"
            )


def as_factors(factors: npt.ArrayLike, rows: int, *, least: int = 1) -> npt.NDArray[Any]:
    """Factors (N, K) of numbers, as they are.

    Args:
        factors: (N, K), or (N,) for one factor. rows: of the codes they belong to. least: the fewest factors.

    Raises:
        DataError: none, another length than the codes, no numbers, NaN or infinite values, unknown labels, too few, or none
            that varies.
    """
    if factors is None:
        raise DataError(
            "factors: found none, expected one row of classes for each code; this metric needs ground truth"
        )
    array = _as_array(factors, "factors")
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise DataError(
            f"factors: found shape {array.shape} of {array.dtype}, expected numbers of shape (rows, factors)"
        )
    if len(array) != rows:
        raise DataError(
            f"factors: found {len(array)} rows, expected {rows}, one for each code; check that both belong together"
        )
    if array.shape[1] < least:
        raise DataError(
            f"factors: found {array.shape[1]} factor{'s' if array.shape[1] != 1 else ''}, expected at least {least}: the "
            "metric compares factors"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise DataError(
            f"factors: found NaN or infinite values, the first in row {row} of factor {column}, expected a known value in "
            "every row; leave out those rows or that factor"
        )
    if array.dtype.kind != "f" and (array < 0).any():
        unknown_K = (array < 0).sum(axis=0)
        column = int(np.flatnonzero(unknown_K)[0])
        raise DataError(
            f"factors: found {int(unknown_K[column])} unknown labels (below 0) in factor {column}, expected a class 0 or "
            "more in every row; leave out those rows or that factor"
        )
    if (array == array[0]).all():
        raise DataError(
            "factors: every factor has a single value, expected at least one that varies; give rows that differ in a factor"
        )
    return array


def as_quantities(factors: npt.ArrayLike, rows: int) -> npt.NDArray[np.float64]:
    """Factors (N, K) of numbers that have an order and may be continuous.

    Args:
        factors: (N, K), or (N,) for one factor. rows: of the codes they belong to.

    Raises:
        DataError: as `as_factors`, and for numbers too large, or that vary too little.
    """
    array = as_factors(factors, rows).astype(np.float64)
    _require_moderate(array, "factors", "factor")
    return array


@dataclass(frozen=True, eq=False)
class FactorClasses:
    """Factors as classes 0 .. size-1, those that do not occur left out.

    Attributes:
        classes_NK: class of each row. values: for each factor the labels its classes had, ascending.
    """

    classes_NK: Classes
    values: tuple[npt.NDArray[np.integer[Any]], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of classes of each factor."""
        return tuple(len(values) for values in self.values)


def as_classes(factors: npt.ArrayLike, rows: int, *, least: int = 1, constant: bool = False) -> FactorClasses:
    """Factors whose values are classes.

    Args:
        factors: (N, K), integers, 0 or more. rows: of the codes they belong to. least: the fewest factors.
        constant: whether a factor with a single value is admitted.

    Raises:
        DataError: as `as_factors`, for floating-point factors, and for single values unless admitted.
    """
    array = as_factors(factors, rows, least=least)
    if array.dtype.kind == "f":
        raise DataError(
            f"factors: found {array.dtype}, expected classes as integers; cast them if they are class indices, and give "
            "continuous factors to irs and sap_continuous alone"
        )
    found = [np.unique(column, return_inverse=True) for column in array.T]
    if not constant:
        for column, (values, _) in enumerate(found):
            if len(values) == 1:
                raise DataError(
                    f"factors: factor {column} has the single value {values[0]}, expected at least two: nothing can be "
                    "told about a factor that does not vary; leave out that column"
                )
    classes_NK = np.stack([inverse.reshape(-1) for _, inverse in found], axis=1)
    return FactorClasses(classes_NK, tuple(values for values, _ in found))


def train_count(rows: int, train_rows: int | None, *, scored: bool = True) -> int:
    """How many of the first rows a metric fits on.

    Args:
        rows: all. train_rows: None for two thirds of them. scored: whether the others are scored, so that one must be left.

    Raises:
        DataError: no row would be left to fit on, or to score.
    """
    count = rows * 2 // 3 if train_rows is None else train_rows
    if not 0 < count <= rows - scored:
        raise DataError(
            f"train_rows: {count} rows to fit on{' and at least one more to score' if scored else ''} were asked for, and "
            f"{rows} rows are available; give more rows, or a smaller train_rows"
        )
    return count


def require_train_classes(factors: FactorClasses, count: int) -> None:
    """Refuse a split in which a classifier could not know, or not learn, a class.

    Raises:
        DataError: a factor has fewer than two classes among the train rows, or a class only among the test rows.
    """
    for column, (classes_N, values) in enumerate(zip(factors.classes_NK.T, factors.values, strict=True)):
        seen = np.bincount(classes_N[:count], minlength=len(values)) > 0
        if not seen.all():
            raise DataError(
                f"factors: value {values[~seen][0]} of factor {column} is in none of the {count} train rows, expected "
                "every value there; shuffle the rows, or raise train_rows"
            )
