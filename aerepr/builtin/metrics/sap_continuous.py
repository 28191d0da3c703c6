"""Separated attribute predictability for factors that are quantities: squared correlation instead of a classifier.

    SAP = 1/K sum_j ( largest - second largest of S_ij over i )

S_ij is the squared Pearson correlation of dimension i and factor j over the train rows; a dimension with a variance of
1e-12 or less scores 0. Range [0, 1]. Classes without an order (such as shapes) are taken for numbers: use `sap` for those.

Source: Kumar et al. 2018, arXiv:1711.00848.
Shape letters: N rows, D latent dimensions, K factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import as_codes, as_quantities, train_count
from aerepr.errors import DataError
from aerepr.kinds.metric import Metric
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import TrainRows

LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, eq=False)
class SAPContinuous:
    """Attributes: score: the mean gap. gap_K: of each factor. squared_correlation_DK: of the train rows."""

    score: float
    gap_K: npt.NDArray[np.float64]
    squared_correlation_DK: npt.NDArray[np.float64]


def sap_continuous(codes: npt.ArrayLike, factors: npt.ArrayLike, *, train_rows: int | None = None) -> SAPContinuous:
    """Separated attribute predictability, by correlation; the rows after the train rows are not used.

    Args:
        codes: (N, D), D >= 2. factors: (N, K) numbers. train_rows: two thirds of N when left out.

    Raises:
        DataError: arrays that it is not defined on, such as a factor that is constant in the train rows.
    """
    codes_ND = as_codes(codes, dimensions=2)
    values_NK = as_quantities(factors, len(codes_ND))
    train = train_count(len(codes_ND), train_rows, scored=False)
    z_ND = codes_ND[:train] - codes_ND[:train].mean(axis=0, dtype=np.float64)
    y_NK = values_NK[:train] - values_NK[:train].mean(axis=0, dtype=np.float64)
    variance_D, variance_K = (z_ND**2).mean(axis=0), (y_NK**2).mean(axis=0)
    if (variance_K == 0).any():
        raise DataError(
            f"factors: factor {int(variance_K.argmin())} has one value in all {train} train rows, expected at least two; "
            "leave out that column"
        )
    covariance_DK = z_ND.T @ y_NK / train
    varies_D = variance_D > LEAST_VARIANCE
    square_DK = covariance_DK**2 / np.where(varies_D, variance_D, 1.0)[:, None] / variance_K * varies_D[:, None]
    second_K, first_K = np.sort(square_DK, axis=0)[-2:]
    return SAPContinuous(float((first_K - second_K).mean()), first_K - second_K, square_DK)


class SAPContinuousSpec(ComponentSpec):
    """A metric's table with `name = "sap_continuous"`."""

    train_rows: TrainRows = None


class SAPContinuousMetric(Metric):
    """`sap_continuous.score`."""

    Spec = SAPContinuousSpec
    needs = "codes"
    protocol = "train rows; squared Pearson correlation, classes taken for numbers"
    on_request = "takes every factor for a quantity"

    def __init__(self, spec: SAPContinuousSpec) -> None:
        self.train_rows = spec.train_rows

    def compute(self, *subject: Any) -> dict[str, float]:
        """The gap of codes (N, D) and factors (N, K)."""
        return {"sap_continuous.score": sap_continuous(*subject, train_rows=self.train_rows).score}
