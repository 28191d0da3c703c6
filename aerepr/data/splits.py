"""Which rows are for training, validation and test.

The rows are permuted once with numpy's PCG64 and cut at two places, so a split is a function of (number of rows,
fractions, seed) and of nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

import numpy as np
import numpy.typing as npt

from aerepr.errors import DataError, UsageError

SPLITS = ("train", "valid", "test")


def split_rows(n: int, fractions: Sequence[float] = (0.7, 0.1, 0.2), seed: int = 0) -> dict[str, npt.NDArray[np.int64]]:
    """Deal n rows out to `train`, `valid` and `test`.

    With fractions (a, b, c) the permuted rows are cut after the first round(n a) and the first round(n (a + b)), halves
    rounded up: train gets the first piece, valid the second, test all that is left.

    Args:
        n: number of rows.
        fractions: of train, valid and test; not negative, summing to 1 within 1e-6. Only valid may be 0.
        seed: of the permutation, not negative.

    Returns:
        Row numbers of each split, ascending, int64; every row is in exactly one split.

    Raises:
        UsageError: fractions or seed that cannot work for any n.
        DataError: too few rows, so that a split would be empty.
    """
    found = f"found split = {list(fractions)}"
    if len(fractions) != len(SPLITS):
        raise UsageError(f"{found}, expected three fractions: train, valid, test")
    # Negated, so that NaN is refused too.
    if not all(fraction >= 0 for fraction in fractions):
        raise UsageError(f"{found}, expected no fraction below 0")
    if not abs(sum(fractions) - 1) <= 1e-6:
        raise UsageError(f"{found}, which sums to {sum(fractions):g}, expected 1; change a fraction")
    if fractions[0] == 0 or fractions[2] == 0:
        raise UsageError(f"{found}, expected train and test above 0; only valid may be left out")
    if seed < 0:
        raise UsageError(f"found split_seed = {seed}, expected 0 or more")
    train_end = floor(n * fractions[0] + 0.5)
    valid_end = floor(n * (fractions[0] + fractions[1]) + 0.5)
    pieces = dict(zip(SPLITS, (train_end, valid_end - train_end, n - valid_end), strict=True))
    for (name, size), fraction in zip(pieces.items(), fractions, strict=True):
        if size < 1 and fraction > 0:
            raise DataError(
                f"{found} of {n} rows, which leaves {max(size, 0)} rows for {name}, expected at least one; "
                f"use more rows or a larger fraction for {name}"
            )
    order = np.random.Generator(np.random.PCG64(seed)).permutation(n).astype(np.int64, copy=False)
    return {name: np.sort(piece) for name, piece in zip(SPLITS, np.split(order, [train_end, valid_end]), strict=True)}
