"""Active units: how many dimensions of the code depend on the data.

    A_d = Var_x( E[z_d | x] ), a dimension is active where A_d > 0.01

with the posterior's mean, or what stands for it in `represent` mode. The threshold is on the scale of a prior of unit
variance, towards which the posterior was trained. A deterministic code has no such scale: there the count says which
dimensions vary by more than 0.1 either way, and a dimension may be small and carry much, or vary and be ignored by the
decoder.

Source: Burda et al. 2016, arXiv:1509.00519, section 5.
Shape letters: N rows, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import as_codes
from aerepr.kinds.metric import Metric
from aerepr.spec.base import ComponentSpec

THRESHOLD = 0.01


@dataclass(frozen=True, eq=False)
class ActiveUnits:
    """Attributes: count: of active dimensions. fraction: of D. variance_D: over the rows, unbiased. active_D."""

    count: int
    fraction: float
    variance_D: npt.NDArray[np.float64]
    active_D: npt.NDArray[np.bool_]


def active_units(codes: npt.ArrayLike) -> ActiveUnits:
    """Dimensions whose variance over the rows is above 0.01.

    Args:
        codes: posterior means (N, D).

    Raises:
        DataError: arrays that it is not defined on.
    """
    variance_D = as_codes(codes).astype(np.float64).var(axis=0, ddof=1)
    active_D = variance_D > THRESHOLD
    return ActiveUnits(int(active_D.sum()), float(active_D.mean()), variance_D, active_D)


class ActiveUnitsMetric(Metric):
    """`active_units.count`, `.fraction`."""

    Spec = ComponentSpec
    needs = "codes"
    supervised = False
    protocol = (
        "all rows; dimensions whose code (a posterior's mean) has a variance above 0.01, a threshold for priors of unit "
        "variance: deterministic codes have no scale"
    )

    def __init__(self, spec: ComponentSpec) -> None:
        pass

    def compute(self, *subject: Any) -> dict[str, float]:
        """The count for codes (N, D); factors, where given, are not read."""
        found = active_units(subject[0])
        return {"active_units.count": float(found.count), "active_units.fraction": found.fraction}

    def remarks(self, numbers: Mapping[str, float]) -> list[str]:
        """That dimensions are inactive."""
        count, fraction = numbers["active_units.count"], numbers["active_units.fraction"]
        if count == 0:
            return [f"no dimension is active: the codes hardly differ between examples (variance at most {THRESHOLD})"]
        total = round(count / fraction)
        if count == total:
            return []
        left = f"{total - count:.0f} of {total} dimensions {'is' if total - count == 1 else 'are'} inactive"
        return [f"{left}: their code hardly differs between examples (variance at most {THRESHOLD})"]
