"""Sparsity of codes by Hoyer's measure: how few dimensions speak at a time.

With every dimension divided by its deviation over the rows, not centred, and d dimensions:

    score = ( sqrt d - mean over rows of |z|_1 / |z|_2 ) / ( sqrt d - 1 )

0: all dimensions are as large as each other in every row; 1: one dimension alone in each. Codes of N(0, I) are at 0.231 for
d = 50 and 0.266 for d = 10, so that a VAE without a sparse prior belongs there and not at 0.

A constant dimension has no deviation to be divided by, and is left out. One that hardly varies is blown up as well: around a
mean of 0 to the size of the others, which hides that it is dead; around a mean of many of its deviations, since codes are not
centred, to a number that outweighs all others in every row: with one such of 50, ten deviations off, the score is 0.50 and not
0.23. `active` is the same score of dimensions whose variance is above 0.01 alone, and says how sparse the others are; `inactive`
is how many are not. Counting dead dimensions as silent would call any collapsed model sparse.

Source: Hoyer 2004, "Non-negative matrix factorization with sparseness constraints"; Mathieu et al. 2019, arXiv:1812.02833.
Shape letters: N rows, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import as_codes
from aerepr.errors import DataError
from aerepr.kinds.metric import Metric
from aerepr.spec.base import ComponentSpec

# Variance above which a dimension is active: Burda et al. 2016, arXiv:1509.00519, as in the metric active_units.
THRESHOLD = 0.01


@dataclass(frozen=True, eq=False)
class HoyerSparsity:
    """Attributes: score: of all dimensions that vary. active: of those alone that vary by enough; None where they are fewer
    than two. active_D: which these are.
    """

    score: float
    active: float | None
    active_D: npt.NDArray[np.bool_]


def hoyer_sparsity(codes: npt.ArrayLike) -> HoyerSparsity:
    """Hoyer's measure of codes.

    Args:
        codes: (N, D), N >= 2 and D >= 2, of which at least two dimensions vary.

    Raises:
        DataError: arrays that it is not defined on.
    """
    codes_ND = as_codes(codes, dimensions=2).astype(np.float64)
    varies_D = codes_ND.max(axis=0) > codes_ND.min(axis=0)
    if varies_D.sum() < 2:
        raise DataError(
            f"hoyer_sparsity: {varies_D.sum()} of {len(varies_D)} dimensions varies, expected at least 2: codes that do not "
            "depend on the data have no sparsity"
        )
    active_D = codes_ND.var(axis=0, ddof=1) > THRESHOLD
    active = _score(codes_ND[:, active_D]) if active_D.sum() >= 2 else None
    return HoyerSparsity(_score(codes_ND[:, varies_D]), active, active_D)


def _score(codes_ND: npt.NDArray[np.float64]) -> float:
    scaled_ND = codes_ND / codes_ND.std(axis=0, ddof=1)
    long_N = np.linalg.norm(scaled_ND, axis=1)
    # A code of zeros has no direction that could be sparse.
    ratio_n = np.abs(scaled_ND[long_N > 0]).sum(axis=1) / long_N[long_N > 0]
    root = np.sqrt(codes_ND.shape[1])
    return float((root - ratio_n.mean()) / (root - 1))


class HoyerSparsitySpec(ComponentSpec):
    """Metric `hoyer_sparsity`."""


class HoyerSparsityMetric(Metric):
    """`hoyer_sparsity.score`, `.active`, `.inactive`."""

    Spec = HoyerSparsitySpec
    needs = "codes"
    supervised = False
    protocol = (
        "all rows, dimensions divided by their deviation; Gaussian codes are at 0.231 in 50 dimensions, at 0.266 in 10; "
        f"active: of dimensions with a variance above {THRESHOLD} alone"
    )

    def __init__(self, spec: HoyerSparsitySpec) -> None:
        pass

    def compute(self, *subject: Any) -> dict[str, float]:
        """Sparsity of codes (N, D); factors, where given, are not read."""
        found = hoyer_sparsity(subject[0])
        numbers = {"score": found.score, "inactive": float((~found.active_D).sum())}
        if found.active is not None:
            numbers["active"] = found.active
        return {f"hoyer_sparsity.{field}": value for field, value in numbers.items()}

    def remarks(self, numbers: Mapping[str, float]) -> list[str]:
        """That some dimensions are dead, which the score does not see."""
        count = round(numbers["hoyer_sparsity.inactive"])
        if not count:
            return []
        left = (
            "no score without them: fewer than two are left" if "hoyer_sparsity.active" not in numbers else "see active"
        )
        are = "dimension is" if count == 1 else "dimensions are"
        return [
            f"{count} {are} inactive (variance at most {THRESHOLD}) and blown up in the score, to dense or to sparse; {left}"
        ]
