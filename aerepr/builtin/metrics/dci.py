"""DCI: disentanglement, completeness and informativeness, by gradient-boosted trees.

One classifier a factor on all dimensions; R_ij is the impurity importance of dimension i for factor j. Disentanglement is
1 - the entropy of a dimension's importance over the factors, completeness that of a factor's over the dimensions, each
weighted by importance (`aerepr/layers/importance.py` has the formulas). Informativeness is the accuracy of the classifiers,
averaged over factors, larger is better (the paper reports an error). Range [0, 1].

The classifier is scikit-learn's GradientBoostingClassifier with its defaults: 100 stages, one tree a class and stage,
depth 3, learning rate 0.1. Minutes at 10,000 rows; time grows with the number of classes. `dci_lgbm` is the fast one, and
another metric. Trees break ties at random: seeds differ by up to 0.002 (0.005 in test accuracy, or where dimensions are
copies of each other).

Source: Eastwood and Williams 2018; the classifier as in Locatello et al. 2019, arXiv:1811.12359.
Shape letters: N rows, D latent dimensions, K factors.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from aerepr.data.labelled import as_classes, as_codes, require_train_classes, train_count
from aerepr.kinds.metric import Metric
from aerepr.layers.importance import DCI, fit_factors, fit_gradient_boosting, of_fits
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import MetricSeed, TrainRows


def dci(
    codes: npt.ArrayLike,
    factors: npt.ArrayLike,
    *,
    train_rows: int | None = None,
    seed: int = 0,
    jobs: int | None = None,
) -> DCI:
    """DCI with the reference's gradient-boosted trees.

    Args:
        codes: (N, D), D >= 2. factors: (N, K) classes, K >= 2. train_rows: fitted on; two thirds of N when left out.
        seed: of the trees' ties. jobs: processes at most; None for one a processor. The numbers do not depend on it.

    Raises:
        DataError: arrays that it is not defined on, or a class that no train row has.
        MissingExtra: scikit-learn is not installed.
    """
    codes_ND = as_codes(codes, dimensions=2)
    found = as_classes(factors, len(codes_ND), least=2)
    train = train_count(len(codes_ND), train_rows)
    require_train_classes(found, train)
    return of_fits(fit_factors(fit_gradient_boosting, codes_ND, found.classes_NK, train, seed, jobs))


class DCISpec(ComponentSpec):
    """A metric's table with `name = "dci"`."""

    train_rows: TrainRows = None
    seed: MetricSeed = 0


class DCIMetric(Metric):
    """`dci.disentanglement`, `.completeness`, `.informativeness_test`, `.informativeness_train`."""

    Spec = DCISpec
    needs = "codes"
    protocol = "scikit-learn GradientBoostingClassifier, defaults, fitted on the train rows; accuracy on the test rows"
    on_request = "takes minutes"

    def __init__(self, spec: DCISpec) -> None:
        self.train_rows, self.seed = spec.train_rows, spec.seed

    def compute(self, *subject: Any) -> dict[str, float]:
        """The scores of codes (N, D) and classes (N, K)."""
        found = dci(*subject, train_rows=self.train_rows, seed=self.seed)
        return {
            f"dci.{field}": getattr(found, field)
            for field in ("disentanglement", "completeness", "informativeness_test", "informativeness_train")
        }
