"""Explicitness: whether a linear classifier on all dimensions reads each factor.

One multinomial logistic regression a factor, on codes standardised with mean and deviation of the train rows; for each class
the area under the ROC curve of its probability against "is this class"; the mean over classes, then over factors. Chance is
0.5, the top 1; the area is not rescaled.

Source: Ridgeway and Mozer 2018, arXiv:1802.05312; the classifier as in Locatello et al. 2019, arXiv:1811.12359, with the
defaults of scikit-learn since 0.22.
Shape letters: N rows, D latent dimensions, K factors, C classes of a factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import as_classes, as_codes, require_train_classes, train_count
from aerepr.errors import DataError
from aerepr.kinds.metric import Metric
from aerepr.layers import logistic
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import TrainRows


@dataclass(frozen=True, eq=False)
class Explicitness:
    """Attributes: score: area on the test rows. train: on the train rows. test_K, train_K: of each factor."""

    score: float
    train: float
    test_K: npt.NDArray[np.float64]
    train_K: npt.NDArray[np.float64]


def explicitness(codes: npt.ArrayLike, factors: npt.ArrayLike, *, train_rows: int | None = None) -> Explicitness:
    """Explicitness on the test rows.

    Args:
        codes: (N, D). factors: (N, K) classes. train_rows: fitted on; two thirds of N when left out.

    Raises:
        DataError: arrays that it is not defined on, or a class that train or test rows lack.
        MissingExtra: SciPy is not installed.
    """
    codes_ND = as_codes(codes).astype(np.float64)
    found = as_classes(factors, len(codes_ND))
    train = train_count(len(codes_ND), train_rows)
    require_train_classes(found, train)
    mean_D, deviation_D = codes_ND[:train].mean(axis=0), codes_ND[:train].std(axis=0)
    # A constant dimension says nothing: it becomes 0, where the reference divides by 0. Not by the deviation, which
    # rounding makes positive.
    varies_D = codes_ND[:train].max(axis=0) > codes_ND[:train].min(axis=0)
    x_ND = np.where(varies_D, (codes_ND - mean_D) / np.where(varies_D, deviation_D, 1.0), 0.0)
    train_K, test_K = [], []
    for column, (classes_N, values) in enumerate(zip(found.classes_NK.T, found.values, strict=True)):
        missing = np.bincount(classes_N[train:], minlength=len(values)) == 0
        if missing.any():
            raise DataError(
                f"factors: value {values[missing][0]} of factor {column} is in none of the {len(codes_ND) - train} test "
                "rows, expected every value there; shuffle the rows, or give more of them"
            )
        model = logistic.fit(x_ND[:train], classes_N[:train], len(values), "the metric explicitness")
        train_K.append(_area(model.probabilities(x_ND[:train]), classes_N[:train]))
        test_K.append(_area(model.probabilities(x_ND[train:]), classes_N[train:]))
    return Explicitness(float(np.mean(test_K)), float(np.mean(train_K)), np.array(test_K), np.array(train_K))


def _area(probability_CN: npt.NDArray[np.float64], classes_N: npt.NDArray[np.intp]) -> float:
    """Area under the ROC curve of each class against the others, averaged over the classes.

    It is the chance that a row of the class has a higher probability than another row, equal ones counting half.
    """
    areas = []
    for label, probability_N in enumerate(probability_CN):
        inside_N = classes_N == label
        own, others = probability_N[inside_N], np.sort(probability_N[~inside_N])
        lower, not_higher = np.searchsorted(others, own, "left"), np.searchsorted(others, own, "right")
        areas.append((lower + not_higher).mean() / (2 * len(others)))
    return float(np.mean(areas))


class ExplicitnessSpec(ComponentSpec):
    """A metric's table with `name = "explicitness"`."""

    train_rows: TrainRows = None


class ExplicitnessMetric(Metric):
    """`explicitness.score` (test rows), `explicitness.train`."""

    Spec = ExplicitnessSpec
    needs = "codes"
    protocol = (
        "logistic regression (L2, C 1, lbfgs, 100 steps) on the standardised train rows, ROC-AUC on the test rows"
    )

    def __init__(self, spec: ExplicitnessSpec) -> None:
        self.train_rows = spec.train_rows

    def compute(self, *subject: Any) -> dict[str, float]:
        """The areas of codes (N, D) and classes (N, K)."""
        found = explicitness(*subject, train_rows=self.train_rows)
        return {"explicitness.score": found.score, "explicitness.train": found.train}
