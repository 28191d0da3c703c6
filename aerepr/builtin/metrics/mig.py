"""Mutual information gap: how far the best dimension of each factor is ahead of the second.

    MIG = 1/K sum_j ( I(z_(1); y_j) - I(z_(2); y_j) ) / H(y_j)

I from 20 equal-width bins of each dimension, over all rows. Range [0, 1]; a perfect code of a factor with more than 20
classes stays below 1.

Source: Chen et al. 2018, arXiv:1802.04942; binning as in Locatello et al. 2019, arXiv:1811.12359.
Shape letters: N rows, D latent dimensions, K factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import as_classes, as_codes
from aerepr.kinds.metric import Metric
from aerepr.layers.information import BINS, bins, entropy, information_matrix
from aerepr.spec.base import ComponentSpec


@dataclass(frozen=True, eq=False)
class MIG:
    """Attributes: score: the mean gap. gap_K: of each factor. information_DK, entropy_K: in nats."""

    score: float
    gap_K: npt.NDArray[np.float64]
    information_DK: npt.NDArray[np.float64]
    entropy_K: npt.NDArray[np.float64]


def mig(codes: npt.ArrayLike, factors: npt.ArrayLike) -> MIG:
    """Mutual information gap over all rows.

    Args:
        codes: (N, D), N >= 20 and D >= 2. factors: (N, K) classes, each factor with at least two.

    Raises:
        DataError: arrays that it is not defined on.
    """
    codes_ND = as_codes(codes, dimensions=2, rows=BINS)
    classes_NK = as_classes(factors, len(codes_ND)).classes_NK
    information_DK = information_matrix(bins(codes_ND), classes_NK)
    entropy_K = np.array([entropy(classes_N) for classes_N in classes_NK.T])
    second_K, first_K = np.sort(information_DK, axis=0)[-2:]
    gap_K = (first_K - second_K) / entropy_K
    return MIG(float(gap_K.mean()), gap_K, information_DK, entropy_K)


class MIGMetric(Metric):
    """`mig.score`."""

    Spec = ComponentSpec
    needs = "codes"
    protocol = "all rows; 20 equal-width bins a dimension, plug-in mutual information"

    def __init__(self, spec: ComponentSpec) -> None:
        pass

    def compute(self, *subject: Any) -> dict[str, float]:
        """The gap of codes (N, D) and classes (N, K)."""
        return {"mig.score": mig(*subject).score}
