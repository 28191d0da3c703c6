"""Samples with chosen factors, as the FactorVAE and BetaVAE scores ask for them, from stored rows or from an encoder.

Rows: drawn uniformly with replacement; where factor j is held at a value, each row is replaced by a uniform draw among the
rows with that value. Generative: factors are drawn uniformly and independently, and encoded.

Shape letters: N stored rows, D latent dimensions, K factors, M batches, B rows of a batch; batches of codes are (B, M, D).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aerepr.errors import DataError, UsageError

Codes = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.intp]

# Factors (n, K) to codes (n, D).
Encode = Callable[[Ints], npt.ArrayLike]


class Interventions(Protocol):
    """Codes for factors that are chosen."""

    @property
    def factors(self) -> int:
        """K."""

    def draw(self, count: int, generator: np.random.Generator) -> Codes:
        """Codes (count, D) with no factor chosen."""

    def held(self, factor: int, batches: int, size: int, generator: np.random.Generator) -> Codes:
        """Batches (size, batches, D); in each, all rows have the factor's value of a random one."""

    def pairs(self, factor: int, batches: int, size: int, generator: np.random.Generator) -> tuple[Codes, Codes]:
        """Two such batches of independent rows, but that both rows of a pair have the same value of the factor."""


class StoredRows:
    """Interventions by drawing among stored rows.

    Args:
        codes_ND: their codes. classes_NK: their factors, as classes from 0 that all occur.
    """

    def __init__(self, codes_ND: Codes, classes_NK: Ints) -> None:
        self.codes_ND = codes_ND
        self.classes_NK = classes_NK
        # The rows of each value of each factor, one after the other.
        self.orders = [np.argsort(classes_N, kind="stable") for classes_N in classes_NK.T]
        self.counts = [np.bincount(classes_N) for classes_N in classes_NK.T]
        self.starts = [np.cumsum(counts) - counts for counts in self.counts]

    @property
    def factors(self) -> int:
        return self.classes_NK.shape[1]

    def draw(self, count: int, generator: np.random.Generator) -> Codes:
        return self.codes_ND.take(self._rows(count, generator), axis=0)

    def held(self, factor: int, batches: int, size: int, generator: np.random.Generator) -> Codes:
        value_M = self.classes_NK[self._rows(batches, generator), factor]
        return self._with(factor, np.broadcast_to(value_M, (size, batches)), generator)

    def pairs(self, factor: int, batches: int, size: int, generator: np.random.Generator) -> tuple[Codes, Codes]:
        rows_BM = self._rows((size, batches), generator)
        first_BMD = self.codes_ND.take(rows_BM, axis=0)
        return first_BMD, self._with(factor, self.classes_NK[:, factor].take(rows_BM), generator)

    def _rows(self, shape: int | tuple[int, ...], generator: np.random.Generator) -> Ints:
        return generator.integers(len(self.codes_ND), size=shape)

    def _with(self, factor: int, value_BM: Ints, generator: np.random.Generator) -> Codes:
        """Codes of rows drawn among those with the values given."""
        place_BM = generator.random(value_BM.shape)
        place_BM *= self.counts[factor].take(value_BM)
        # Rounded down; a number below 1 times a count stays below the count in float64.
        place_BM += self.starts[factor].take(value_BM)
        return self.codes_ND.take(self.orders[factor].take(place_BM.astype(np.intp)), axis=0)


class Encoded:
    """Interventions by encoding new samples.

    Args:
        encode: factors (n, K) to codes (n, D). sizes: number of values of each factor, from 0.
    """

    def __init__(self, encode: Encode, sizes: Sequence[int]) -> None:
        self.encode = encode
        self.sizes = np.asarray(sizes, np.intp)

    @property
    def factors(self) -> int:
        return len(self.sizes)

    def draw(self, count: int, generator: np.random.Generator) -> Codes:
        return self._codes(self._values((count,), generator))

    def held(self, factor: int, batches: int, size: int, generator: np.random.Generator) -> Codes:
        values_BMK = self._values((size, batches), generator)
        values_BMK[..., factor] = values_BMK[0, :, factor]
        return self._codes(values_BMK)

    def pairs(self, factor: int, batches: int, size: int, generator: np.random.Generator) -> tuple[Codes, Codes]:
        first_BMK, second_BMK = self._values((size, batches), generator), self._values((size, batches), generator)
        second_BMK[..., factor] = first_BMK[..., factor]
        return self._codes(first_BMK), self._codes(second_BMK)

    def _values(self, shape: tuple[int, ...], generator: np.random.Generator) -> Ints:
        return generator.integers(self.sizes, size=(*shape, self.factors))

    def _codes(self, values: Ints) -> Codes:
        flat = values.reshape(-1, self.factors)
        codes = np.asarray(self.encode(flat))
        if codes.ndim != 2 or len(codes) != len(flat) or not np.isfinite(codes).all():
            raise DataError(
                f"encode: found codes of shape {codes.shape} for {len(flat)} rows of factors, expected finite codes of "
                f"shape ({len(flat)}, dimensions)"
            )
        return codes.reshape(*values.shape[:-1], -1)


def interventions(protocol: str, codes_ND: Codes, classes_NK: Ints) -> Interventions:
    """Interventions with the codes that are there.

    Args:
        protocol: `rows` draws among them; `generative` draws uniform, independent factors and looks their codes up.
        codes_ND: the codes, for `generative` of every combination of factors. classes_NK: classes from 0 that all occur.

    Raises:
        DataError: a combination is missing or there twice, and the protocol is `generative`. UsageError: no such protocol.
    """
    if protocol == "rows":
        return StoredRows(codes_ND, classes_NK)
    if protocol != "generative":
        raise UsageError(f'protocol: found "{protocol}", expected rows or generative')
    sizes = tuple(int(most) + 1 for most in classes_NK.max(axis=0))
    return Encoded(grid_lookup(codes_ND, classes_NK, sizes), sizes)


def grid_lookup(codes_ND: Codes, classes_NK: Ints, sizes: Sequence[int]) -> Encode:
    """An encoder that looks codes up in a complete factor grid.

    Args:
        codes_ND: codes of every combination of factors, once each, in any order. classes_NK: the combinations.
        sizes: number of values of each factor.

    Raises:
        DataError: a combination is missing or there twice.
    """
    place_N = np.ravel_multi_index(tuple(classes_NK.T), tuple(sizes)) if prod(sizes) < 2**62 else np.zeros(0, np.intp)
    if len(place_N) != prod(sizes) or len(np.unique(place_N)) != len(place_N):
        raise DataError(
            f"factors: found {len(classes_NK)} rows, expected each of the {prod(sizes)} combinations of "
            f"{' x '.join(map(str, sizes))} values once, which the generative protocol looks up; use the protocol rows"
        )
    row_of_place = np.argsort(place_N)
    return lambda values_nK: codes_ND[row_of_place[np.ravel_multi_index(tuple(values_nK.T), tuple(sizes))]]
