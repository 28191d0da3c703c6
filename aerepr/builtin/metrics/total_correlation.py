"""How far the dimensions are from independent, without labels.

With S the covariance of the codes and D its diagonal part:

    score            TC = 1/2 ( sum_i ln S_ii - ln det S ), the total correlation of a Gaussian with covariance S, in nats
    wasserstein      W  = 2 tr S - 2 tr ( D^(1/2) S D^(1/2) )^(1/2), squared 2-Wasserstein distance of N(0, S) and N(0, D)
    wasserstein_norm W / tr S, below 2
    mutual_information  mean over pairs of dimensions of I(z_i; z_j), 20 equal-width bins each, in nats

All are 0 for independent dimensions, the last but for its bias. Constant dimensions are independent of everything and left
out of TC; a dimension that the others determine makes TC infinite.

Source: Locatello et al. 2019, arXiv:1811.12359, appendix (unsupervised scores).
Shape letters: N rows, D latent dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import as_codes
from aerepr.kinds.metric import Metric
from aerepr.layers.information import BINS, bins, information_matrix
from aerepr.spec.base import ComponentSpec


@dataclass(frozen=True, eq=False)
class TotalCorrelation:
    """Attributes: score: of a Gaussian, in nats, infinite where the covariance is singular.

    wasserstein, wasserstein_norm: distance to independence. mutual_information: mean of pairs, in nats.
    covariance_DD: of all rows, unbiased.
    """

    score: float
    wasserstein: float
    wasserstein_norm: float
    mutual_information: float
    covariance_DD: npt.NDArray[np.float64]


def total_correlation(codes: npt.ArrayLike) -> TotalCorrelation:
    """Dependence between the dimensions over all rows.

    Args:
        codes: (N, D), N >= 20 and D >= 2.

    Raises:
        DataError: arrays that it is not defined on.
    """
    codes_ND = as_codes(codes, dimensions=2, rows=BINS)
    varies_D = codes_ND.max(axis=0) > codes_ND.min(axis=0)
    covariance_DD = np.cov(codes_ND.astype(np.float64), rowvar=False)
    covariance_DD[~varies_D] = covariance_DD[:, ~varies_D] = 0.0
    score, wasserstein, norm = _of_covariance(covariance_DD)
    labels_ND = bins(codes_ND)
    information_DD = information_matrix(labels_ND, labels_ND)
    pairs = ~np.eye(len(information_DD), dtype=bool)
    return TotalCorrelation(score, wasserstein, norm, float(information_DD[pairs].mean()), covariance_DD)


def _of_covariance(covariance_DD: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """TC, W and W / tr S of a covariance whose constant dimensions are rows of zeros."""
    deviation_D = np.sqrt(np.diag(covariance_DD))
    kept_D = deviation_D > 0
    if not kept_D.any():
        return 0.0, 0.0, 0.0
    # ln det of the correlations is - 2 TC; its least eigenvalue says whether that is a number or rounding noise.
    scale_D = deviation_D[kept_D]
    spectrum_D = np.linalg.eigvalsh(covariance_DD[np.ix_(kept_D, kept_D)] / np.outer(scale_D, scale_D))
    singular = spectrum_D[0] <= len(spectrum_D) * np.finfo(np.float64).eps * spectrum_D[-1]
    score = np.inf if singular else -0.5 * float(np.log(spectrum_D).sum())
    # The symmetric form: the root of D S as it stands may come out complex.
    roots_D = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance_DD * np.outer(deviation_D, deviation_D)), 0.0))
    trace = float(np.trace(covariance_DD))
    wasserstein = max(0.0, 2 * trace - 2 * float(roots_D.sum()))
    return score, wasserstein, wasserstein / trace


class TotalCorrelationMetric(Metric):
    """`total_correlation.score`, `.wasserstein`, `.wasserstein_norm`, `.mutual_information`."""

    Spec = ComponentSpec
    needs = "codes"
    supervised = False
    protocol = "all rows, no factors; Gaussian with the codes' covariance; mutual information in 20 bins a dimension"
    lower_is_better = frozenset({"*"})

    def __init__(self, spec: ComponentSpec) -> None:
        pass

    def compute(self, *subject: Any) -> dict[str, float]:
        """Dependence of codes (N, D); factors, where given, are not read."""
        found = total_correlation(subject[0])
        return {
            f"total_correlation.{field}": getattr(found, field)
            for field in ("score", "wasserstein", "wasserstein_norm", "mutual_information")
        }
