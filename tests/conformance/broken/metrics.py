"""Metrics that break a contract each."""

from __future__ import annotations

import numpy as np

from aerepr.kinds.metric import Metric
from aerepr.spec.base import ComponentSpec
from tests.conformance.broken.collected import broken


class Spread(Metric):
    Spec = ComponentSpec
    needs = "codes"
    protocol = "standard deviation of all codes"

    def __init__(self, spec: ComponentSpec) -> None:
        self.calls = 0

    def compute(self, codes_ND: np.ndarray, factors_NF: np.ndarray) -> dict[str, float]:
        return {"broken.score": float(codes_ND.std())}


@broken("metric", "declares")
class Unsaid(Spread):
    protocol = ""


@broken("metric", "numbers")
class OtherKey(Spread):
    def compute(self, codes_ND: np.ndarray, factors_NF: np.ndarray) -> dict[str, float]:
        return {"spread": 1.0}


@broken("metric", "numbers")
class WantsModes(Spread):
    needs = "run"
    modes = ("soft", "hard")


@broken("metric", "generator")
class DrawsMetric(Spread):
    def compute(self, codes_ND: np.ndarray, factors_NF: np.ndarray) -> dict[str, float]:
        return {"broken.score": float(np.random.rand())}  # noqa: NPY002 - what a careless component does


@broken("metric", "deterministic")
class CountsMetric(Spread):
    calls = 0

    def compute(self, codes_ND: np.ndarray, factors_NF: np.ndarray) -> dict[str, float]:
        type(self).calls += 1
        return {"broken.score": float(type(self).calls)}
