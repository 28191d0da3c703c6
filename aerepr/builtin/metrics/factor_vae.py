"""FactorVAE score: whether the dimension that varies least tells which factor was held.

1. Variance s_i^2 of each dimension over 10,000 samples; dimensions with s_i < 0.05 are left out, without any the score is 0.
2. A vote: a random factor j, 64 samples that share its value; (j, argmin_i of their variance of z_i over s_i^2).
3. 10,000 votes give each dimension the factor it votes for most often; the score is the share of 5,000 new votes that this
   rule gets right. Range [0, 1]; codes that tell nothing score about 1/K.

Protocols: `rows` draws among the given rows and is `factor_vae.score`; `generative` encodes new samples of uniform,
independent factors, as the published tables do, and is `factor_vae.score@generative`.

Source: Kim and Mnih 2018, arXiv:1802.05983; sizes and threshold as in Locatello et al. 2019, arXiv:1811.12359.
Shape letters: N rows, D latent dimensions, K factors, M votes of one factor, B rows of a vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import as_classes, as_codes
from aerepr.errors import DataError
from aerepr.kinds.metric import Metric
from aerepr.layers.interventions import Encode, Encoded, Interventions, interventions
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import Drawing, MetricSeed

BATCH, TRAIN_VOTES, TEST_VOTES, VARIANCE_SAMPLES = 64, 10_000, 5_000, 10_000
LEAST_DEVIATION = 0.05
# Votes worked on at a time: their codes stay in the cache.
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class FactorVAEScore:
    """Attributes: score: on new votes. train: on the votes that made the rule. active_D: dimensions that were kept.

    votes_DK: the train votes of each dimension, 0 for those left out.
    """

    score: float
    train: float
    active_D: npt.NDArray[np.bool_]
    votes_DK: npt.NDArray[np.int64]


def factor_vae(
    codes: npt.ArrayLike, factors: npt.ArrayLike, *, protocol: Drawing = "rows", seed: int = 0
) -> FactorVAEScore:
    """FactorVAE score of codes that are given.

    Args:
        codes: (N, D). factors: (N, K) classes, K >= 2. seed: of the draws.
        protocol: `rows` draws among the given rows, with replacement; `generative` draws factors and looks up their codes, for
            which every combination of factors is given once.

    Raises:
        DataError: arrays that it is not defined on.
    """
    codes_ND = as_codes(codes)
    classes_NK = as_classes(factors, len(codes_ND), least=2, constant=True).classes_NK
    return _score(interventions(protocol, codes_ND.astype(np.float64), classes_NK), seed)


def factor_vae_generative(encode: Encode, sizes: Sequence[int], *, seed: int = 0) -> FactorVAEScore:
    """FactorVAE score on new samples of uniform, independent factors.

    Args:
        encode: factors (n, K) to codes (n, D). sizes: number of values of each factor, K >= 2. seed: of the factors.

    Raises:
        DataError: fewer than two factors, or codes of another shape.
    """
    if len(sizes) < 2:
        raise DataError(f"sizes: found {len(sizes)} factors, expected at least 2: the metric compares factors")
    return _score(Encoded(encode, sizes), seed)


def _score(interventions: Interventions, seed: int) -> FactorVAEScore:
    generator = np.random.default_rng(seed)
    samples_ND = interventions.draw(VARIANCE_SAMPLES, generator).astype(np.float64)
    mean_D, variance_D = samples_ND.mean(axis=0), samples_ND.var(axis=0, ddof=1)
    active_D = np.sqrt(variance_D) >= LEAST_DEVIATION
    votes_DK = np.zeros((len(active_D), interventions.factors), np.int64)
    if not active_D.any():
        return FactorVAEScore(0.0, 0.0, active_D, votes_DK)
    scale_D = np.where(active_D, variance_D, 1.0)

    def vote(count: int) -> npt.NDArray[np.int64]:
        votes_DK = np.zeros((len(active_D), interventions.factors), np.int64)
        for factor, total in enumerate(np.bincount(generator.integers(interventions.factors, size=count))):
            for start in range(0, total, _CHUNK):
                batches = min(_CHUNK, total - start)
                codes_BMD = interventions.held(factor, batches, BATCH, generator)
                ratio_MD = np.where(active_D, _variance(codes_BMD, mean_D) / scale_D, np.inf)
                votes_DK[:, factor] += np.bincount(ratio_MD.argmin(axis=1), minlength=len(active_D))
        return votes_DK

    votes_DK = vote(TRAIN_VOTES)
    rule_D = votes_DK.argmax(axis=1)
    train, score = (
        float(table[np.arange(len(rule_D)), rule_D].sum() / table.sum()) for table in (votes_DK, vote(TEST_VOTES))
    )
    return FactorVAEScore(score, train, active_D, votes_DK)


def _variance(codes_BMD: npt.NDArray[Any], mean_D: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Variance (M, D) over each batch: the mean square less the squared mean, about a point near the mean.

    Dividing by B - 1 instead of B would scale all of them alike, and no vote looks at their size.
    """
    centred_BMD = codes_BMD - mean_D
    mean_MD = centred_BMD.mean(axis=0)
    np.square(centred_BMD, out=centred_BMD)
    variance_MD: npt.NDArray[np.float64] = centred_BMD.mean(axis=0) - mean_MD**2
    return variance_MD


class FactorVAESpec(ComponentSpec):
    """A metric's table with `name = "factor_vae"`."""

    seed: MetricSeed = 0
    protocol: Drawing = "rows"


class FactorVAEMetric(Metric):
    """`factor_vae.score`, `factor_vae.train`; with the generative protocol each ends in `@generative`."""

    Spec = FactorVAESpec
    needs = "codes"
    protocol = "10,000 train and 5,000 test votes of 64 rows; dimensions with a deviation below 0.05 left out"

    def __init__(self, spec: FactorVAESpec) -> None:
        self.seed, self.drawing, self.whole_grid = spec.seed, spec.protocol, spec.protocol == "generative"

    def compute(self, *subject: Any) -> dict[str, float]:
        """The score of codes (N, D) and classes (N, K)."""
        found = factor_vae(*subject, protocol=self.drawing, seed=self.seed)
        end = "@generative" if self.whole_grid else ""
        return {f"factor_vae.score{end}": found.score, f"factor_vae.train{end}": found.train}
