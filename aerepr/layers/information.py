"""Mutual information from counts: codes in equal-width bins, classes as they are.

I(a; b) = sum over u, v of p(u, v) ln( p(u, v) / (p(u) p(v)) ), the plug-in estimate in nats, without a correction for its
bias of about (B - 1)(C - 1) / 2N between unrelated variables.

Shape letters: N rows, D latent dimensions, B bins, C classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 20


def bins(codes_ND: npt.NDArray[np.floating[Any]], count: int = BINS) -> npt.NDArray[np.intp]:
    """Equal-width bin 0 .. count-1 of each value, between the least and the largest of its column.

    The edges have the type of the codes, as NumPy 2 computes them: a value exactly on an edge may fall on another side
    in float32 than in float64. The largest value falls in the last bin; a constant column fills one.
    """
    low_D, high_D = codes_ND.min(axis=0), codes_ND.max(axis=0)
    half = codes_ND.dtype.type(0.5)
    low_D, high_D = np.where(low_D == high_D, [low_D - half, high_D + half], [low_D, high_D])
    steps_B = np.arange(count, dtype=codes_ND.dtype)
    found = np.empty(codes_ND.shape, np.intp)
    for dimension, column in enumerate(codes_ND.T):
        width = high_D[dimension] - low_D[dimension]
        step = width / codes_ND.dtype.type(count)
        # A width that a twentieth of is below the least number is divided after it is multiplied, as NumPy does.
        edges_B = (steps_B * step if step > 0 else steps_B / count * width) + low_D[dimension]
        found[:, dimension] = np.searchsorted(edges_B, column, side="right") - 1
    return found


def counts(bins_ND: npt.NDArray[np.intp], classes_N: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    """How often each bin of each dimension meets each class: (D, B, C)."""
    D, B, C = bins_ND.shape[1], int(bins_ND.max()) + 1, int(classes_N.max()) + 1
    cells = (bins_ND + B * np.arange(D)) * C + classes_N[:, None]
    return np.bincount(cells.ravel(), minlength=D * B * C).reshape(D, B, C)


def mutual_information(counts_DBC: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """I of bins and classes in nats, for each of D tables of counts; exactly 0 where one of both is constant."""
    counts_DBC = counts_DBC.astype(np.float64)
    total = counts_DBC[0].sum()
    expected_DBC = counts_DBC.sum(axis=2, keepdims=True) * counts_DBC.sum(axis=1, keepdims=True)
    # Whole numbers up to here, so that the ratio of a constant variable is exactly 1.
    ratio_DBC = np.divide(counts_DBC * total, expected_DBC, out=np.ones_like(counts_DBC), where=counts_DBC > 0)
    return np.maximum((counts_DBC * np.log(ratio_DBC)).sum(axis=(1, 2)) / total, 0.0)


def entropy(classes_N: npt.NDArray[np.intp]) -> float:
    """H in nats."""
    share = np.bincount(classes_N) / len(classes_N)
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())


def information_matrix(bins_ND: npt.NDArray[np.intp], classes_NK: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """I of each dimension and each factor, (D, K), in nats."""
    return np.stack([mutual_information(counts(bins_ND, classes_N)) for classes_N in classes_NK.T], axis=1)
