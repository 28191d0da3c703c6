"""DCI by LightGBM: as `dci`, in seconds instead of minutes, and not the same number.

The trees are of the same number, depth and learning rate, but split on histograms, use second derivatives, and their
importance is the total gain. Compare its values with each other, never with a table of `dci`. Range [0, 1].

Source: Eastwood and Williams 2018; Ke et al. 2017, "LightGBM".
Shape letters: N rows, D latent dimensions, K factors.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from aerepr.data.labelled import as_classes, as_codes, require_train_classes, train_count
from aerepr.kinds.metric import Metric
from aerepr.layers.importance import DCI, fit_factors, fit_lightgbm, of_fits
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import MetricSeed, TrainRows


def dci_lgbm(codes: npt.ArrayLike, factors: npt.ArrayLike, *, train_rows: int | None = None, seed: int = 0) -> DCI:
    """DCI with LightGBM's trees.

    Args:
        codes: (N, D), D >= 2. factors: (N, K) classes, K >= 2. train_rows: fitted on; two thirds of N when left out.
        seed: of the trees.

    Raises:
        DataError: arrays that it is not defined on, or a class that no train row has.
        MissingExtra: LightGBM is not installed.
    """
    codes_ND = as_codes(codes, dimensions=2)
    found = as_classes(factors, len(codes_ND), least=2)
    train = train_count(len(codes_ND), train_rows)
    require_train_classes(found, train)
    return of_fits(fit_factors(fit_lightgbm, codes_ND, found.classes_NK, train, seed, jobs=1))


class DCILightGBMSpec(ComponentSpec):
    """A metric's table with `name = "dci_lgbm"`."""

    train_rows: TrainRows = None
    seed: MetricSeed = 0


class DCILightGBMMetric(Metric):
    """`dci_lgbm.disentanglement`, `.completeness`, `.informativeness_test`, `.informativeness_train`."""

    Spec = DCILightGBMSpec
    needs = "codes"
    protocol = "LightGBM, 100 rounds of depth 3, total gain, fitted on the train rows; accuracy on the test rows"

    def __init__(self, spec: DCILightGBMSpec) -> None:
        self.train_rows, self.seed = spec.train_rows, spec.seed

    def compute(self, *subject: Any) -> dict[str, float]:
        """The scores of codes (N, D) and classes (N, K)."""
        found = dci_lgbm(*subject, train_rows=self.train_rows, seed=self.seed)
        return {
            f"dci_lgbm.{field}": getattr(found, field)
            for field in ("disentanglement", "completeness", "informativeness_test", "informativeness_train")
        }
