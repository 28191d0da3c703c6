"""Modularity: whether each dimension tells about one factor only.

    modularity = 1/D sum_i [ 1 - ( sum_j I_ij^2 - m_i^2 ) / ( m_i^2 (K - 1) ) ],   m_i = max_j I_ij

I from 20 equal-width bins of each dimension, over the train rows. A dimension that tells nothing at all (I exactly 0)
counts as 0; one of noise has a small I by the bias of the estimate, and may score high. Range [0, 1].

Source: Ridgeway and Mozer 2018, arXiv:1802.05312; binning as in Locatello et al. 2019, arXiv:1811.12359.
Shape letters: N rows, D latent dimensions, K factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import as_classes, as_codes, train_count
from aerepr.kinds.metric import Metric
from aerepr.layers.information import BINS, bins, information_matrix
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import TrainRows


@dataclass(frozen=True, eq=False)
class Modularity:
    """Attributes: score: the mean over dimensions. score_D: of each. information_DK: in nats."""

    score: float
    score_D: npt.NDArray[np.float64]
    information_DK: npt.NDArray[np.float64]


def modularity(codes: npt.ArrayLike, factors: npt.ArrayLike, *, train_rows: int | None = None) -> Modularity:
    """Modularity of the train rows; the others are not used.

    Args:
        codes: (N, D). factors: (N, K) classes, K >= 2. train_rows: two thirds of N when left out, and at least 20.

    Raises:
        DataError: arrays that it is not defined on.
    """
    codes_ND = as_codes(codes)
    classes_NK = as_classes(factors, len(codes_ND), least=2, constant=True).classes_NK
    train = train_count(len(codes_ND), train_rows, scored=False)
    codes_ND = as_codes(codes_ND[:train], rows=BINS)
    information_DK = information_matrix(bins(codes_ND), classes_NK[:train])
    return _of_information(information_DK)


def _of_information(information_DK: npt.NDArray[np.float64]) -> Modularity:
    square_DK = information_DK**2
    most_D = square_DK.max(axis=1)
    others_D = (square_DK.sum(axis=1) - most_D) / (square_DK.shape[1] - 1)
    score_D = np.where(most_D > 0, 1 - np.divide(others_D, most_D, out=np.ones_like(most_D), where=most_D > 0), 0.0)
    return Modularity(float(score_D.mean()), score_D, information_DK)


class ModularitySpec(ComponentSpec):
    """A metric's table with `name = "modularity"`."""

    train_rows: TrainRows = None


class ModularityMetric(Metric):
    """`modularity.score`."""

    Spec = ModularitySpec
    needs = "codes"
    protocol = "train rows; 20 equal-width bins a dimension, plug-in mutual information"

    def __init__(self, spec: ModularitySpec) -> None:
        self.train_rows = spec.train_rows

    def compute(self, *subject: Any) -> dict[str, float]:
        """The modularity of codes (N, D) and classes (N, K)."""
        return {"modularity.score": modularity(*subject, train_rows=self.train_rows).score}
