"""Metric `plugin_name`: how many dimensions the codes take up, by their variance.

    (sum over i of  l_i)^2 / sum over i of  l_i^2,   l the eigenvalues of the codes' covariance

1 where all codes lie on a line, D where every direction varies alike: the participation ratio.

Shape letters: N rows, D latent dimensions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aerepr.data.labelled import as_codes
from aerepr.kinds.metric import Metric
from aerepr.spec.base import ComponentSpec


class PluginNameMetricSpec(ComponentSpec):
    """Table `[[evaluation.metrics]]` with `name = "plugin_name"`."""


class PluginNameMetric(Metric):
    """`plugin_name.dimensions`."""

    Spec = PluginNameMetricSpec
    needs = "codes"
    supervised = False
    protocol = "participation ratio of the covariance of all codes; 0 where they do not vary"

    def __init__(self, spec: ComponentSpec) -> None:
        pass

    def compute(self, *subject: Any) -> dict[str, float]:
        """The ratio for codes (N, D); factors, where given, are not read."""
        codes_ND = as_codes(subject[0]).astype(np.float64)
        covariance_DD = np.atleast_2d(np.cov(codes_ND, rowvar=False))
        squares = float(np.square(covariance_DD).sum())
        return {"plugin_name.dimensions": float(np.trace(covariance_DD)) ** 2 / squares if squares > 0 else 0.0}
