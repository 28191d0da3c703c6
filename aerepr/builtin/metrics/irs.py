"""Interventional robustness: how little each dimension moves while one factor is held and the others vary.

    dev_ij(v) = 99th percentile, over the rows where factor j is v, of | z_i - their mean |
    M_i       = max over all rows of | z_i - mean |
    IRS_ij    = 1 - mean_v dev_ij(v) / M_i
    IRS       = sum_i M_i max_j IRS_ij / sum_i M_i

Each factor is cut into 20 equal-width bins, so it may be continuous, and one of more than 20 classes is merged. Constant
dimensions are left out. At most 1, usually above 0; noise scores about 0.34.

Source: Suter et al. 2019, arXiv:1811.00007; the percentile (the paper has the maximum) and the bins as in Locatello et al.
2019, arXiv:1811.12359.
Shape letters: N rows, D latent dimensions that vary, K factors, B bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from aerepr.data.labelled import as_codes, as_quantities
from aerepr.errors import DataError
from aerepr.kinds.metric import Metric
from aerepr.layers.information import BINS, bins
from aerepr.spec.base import ComponentSpec

QUANTILE = 0.99


@dataclass(frozen=True, eq=False)
class IRS:
    """Attributes: score: the weighted mean. matrix_DK: of the dimensions that vary, `active_D` their indices.

    largest_D: the largest deviation of each, its weight.
    """

    score: float
    matrix_DK: npt.NDArray[np.float64]
    active_D: npt.NDArray[np.intp]
    largest_D: npt.NDArray[np.float64]


def irs(codes: npt.ArrayLike, factors: npt.ArrayLike, *, quantile: float = QUANTILE) -> IRS:
    """Interventional robustness over all rows.

    Args:
        codes: (N, D), N >= 20. factors: (N, K) classes or continuous values. quantile: 1 for the paper's maximum.

    Raises:
        DataError: arrays that it is not defined on, or codes that are constant in every dimension.
    """
    codes_ND = as_codes(codes, rows=BINS)
    values_NK = as_quantities(factors, len(codes_ND))
    # Not by the variance: a constant column of 0.1 has a little of it in float32, by rounding.
    active_D = np.flatnonzero(codes_ND.max(axis=0) > codes_ND.min(axis=0))
    if not len(active_D):
        raise DataError("codes: every dimension is constant, expected at least one that varies; check the encoder")
    z_ND: npt.NDArray[np.float64] = codes_ND[:, active_D].astype(np.float64)
    largest_D = np.abs(z_ND - z_ND.mean(axis=0)).max(axis=0)
    bins_NK = bins(values_NK)
    matrix_DK = np.stack([1 - _deviation(z_ND, bins_N, quantile) / largest_D for bins_N in bins_NK.T], axis=1)
    return IRS(float(np.average(matrix_DK.max(axis=1), weights=largest_D)), matrix_DK, active_D, largest_D)


def _deviation(
    codes_ND: npt.NDArray[np.float64], bins_N: npt.NDArray[np.intp], quantile: float
) -> npt.NDArray[np.float64]:
    """The deviation of each dimension, averaged over the values that a factor takes."""
    order_N = np.argsort(bins_N.astype(np.int8), kind="stable")  # small numbers are sorted by their digits
    starts = np.flatnonzero(np.diff(bins_N[order_N], prepend=-1))
    total_D = np.zeros(codes_ND.shape[1])
    for group_nD in np.split(codes_ND[order_N], starts[1:]):
        total_D += _percentile(np.abs(group_nD - group_nD.mean(axis=0)), quantile)
    return total_D / len(starts)


def _percentile(values_nD: npt.NDArray[np.float64], quantile: float) -> npt.NDArray[np.float64]:
    """The quantile of each column, interpolated linearly between neighbours."""
    position = quantile * (len(values_nD) - 1)
    below = int(position)
    above = min(below + 1, len(values_nD) - 1)
    ordered = np.partition(np.ascontiguousarray(values_nD.T), (below, above), axis=1)
    return ordered[:, below] + (position - below) * (ordered[:, above] - ordered[:, below])


class IRSSpec(ComponentSpec):
    """A metric's table with `name = "irs"`."""

    quantile: float = Field(QUANTILE, gt=0, le=1, description="of the deviations; 1 is the paper's maximum")


class IRSMetric(Metric):
    """`irs.score`; with another quantile than 0.99, `irs.score@quantile=...`."""

    Spec = IRSSpec
    needs = "codes"
    protocol = "all rows; 20 equal-width bins a factor, 99th percentile of the deviations"

    def __init__(self, spec: IRSSpec) -> None:
        self.quantile = spec.quantile

    def compute(self, *subject: Any) -> dict[str, float]:
        """The robustness of codes (N, D) and factors (N, K)."""
        key = "irs.score" if self.quantile == QUANTILE else f"irs.score@quantile={self.quantile:g}"
        return {key: irs(*subject, quantile=self.quantile).score}
