"""BetaVAE score: whether a linear classifier tells which factor two batches share.

A point: a random factor j, two batches of 64 samples, the rows of a pair sharing the value of factor j, which varies within
the batch; the features are the mean of | z1 - z2 | over the batch, the label is j. A multinomial logistic regression on the
raw features is fitted to 10,000 points; the score is its accuracy on 5,000 new ones. Chance is 1/K, the top 1. Features are
not standardised, so dimensions of a small scale count little.

Protocols: `rows` draws among the given rows and is `beta_vae.score`; `generative` encodes new samples of uniform,
independent factors, as the published tables do, and is `beta_vae.score@generative`.

Source: Higgins et al. 2017, beta-VAE; sizes and classifier as in Locatello et al. 2019, arXiv:1811.12359, with the defaults
of scikit-learn since 0.22.
Shape letters: N rows, D latent dimensions, K factors, M points of one factor, B rows of a batch.
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
from aerepr.layers import logistic
from aerepr.layers.interventions import Encode, Encoded, Interventions, interventions
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import Drawing, MetricSeed

BATCH, TRAIN_POINTS, TEST_POINTS = 64, 10_000, 5_000
# Points worked on at a time: their codes stay in the cache.
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class BetaVAEScore:
    """Attributes: score: accuracy on new points. train: on the points fitted to.

    converged: whether the classifier stopped before its limit of 100 steps.
    """

    score: float
    train: float
    converged: bool


def beta_vae(
    codes: npt.ArrayLike, factors: npt.ArrayLike, *, protocol: Drawing = "rows", seed: int = 0
) -> BetaVAEScore:
    """BetaVAE score of codes that are given.

    Args:
        codes: (N, D). factors: (N, K) classes, K >= 2. seed: of the draws.
        protocol: `rows` draws among the given rows, with replacement; `generative` draws factors and looks up their codes, for
            which every combination of factors is given once.

    Raises:
        DataError: arrays that it is not defined on. MissingExtra: SciPy is not installed.
    """
    codes_ND = as_codes(codes)
    classes_NK = as_classes(factors, len(codes_ND), least=2, constant=True).classes_NK
    return _score(interventions(protocol, codes_ND, classes_NK), seed)


def beta_vae_generative(encode: Encode, sizes: Sequence[int], *, seed: int = 0) -> BetaVAEScore:
    """BetaVAE score on new samples of uniform, independent factors.

    Args:
        encode: factors (n, K) to codes (n, D). sizes: number of values of each factor, K >= 2. seed: of the factors.

    Raises:
        DataError: fewer than two factors, or codes of another shape. MissingExtra: SciPy is not installed.
    """
    if len(sizes) < 2:
        raise DataError(f"sizes: found {len(sizes)} factors, expected at least 2: the metric compares factors")
    return _score(Encoded(encode, sizes), seed)


def _score(interventions: Interventions, seed: int) -> BetaVAEScore:
    generator = np.random.default_rng(seed)

    def points(count: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
        count_K = np.bincount(generator.integers(interventions.factors, size=count), minlength=interventions.factors)
        features = []
        for factor, total in enumerate(count_K):
            for start in range(0, total, _CHUNK):
                first_BMD, second_BMD = interventions.pairs(factor, min(_CHUNK, total - start), BATCH, generator)
                features.append(np.abs(first_BMD - second_BMD).mean(axis=0))
        return np.concatenate(features).astype(np.float64), np.repeat(np.arange(len(count_K)), count_K)

    def accuracy(x_ND: npt.NDArray[np.float64], factor_N: npt.NDArray[np.intp]) -> float:
        return float((model.probabilities(x_ND).argmax(axis=0) == factor_N).mean())

    train = points(TRAIN_POINTS)
    model = logistic.fit(*train, interventions.factors, "the metric beta_vae")
    return BetaVAEScore(accuracy(*points(TEST_POINTS)), accuracy(*train), model.converged)


class BetaVAESpec(ComponentSpec):
    """A metric's table with `name = "beta_vae"`."""

    seed: MetricSeed = 0
    protocol: Drawing = "rows"


class BetaVAEMetric(Metric):
    """`beta_vae.score`, `beta_vae.train`; with the generative protocol each ends in `@generative`."""

    Spec = BetaVAESpec
    needs = "codes"
    protocol = (
        "10,000 train and 5,000 test points of two batches of 64 rows; logistic regression (L2, C 1, lbfgs, 100 steps)"
    )

    def __init__(self, spec: BetaVAESpec) -> None:
        self.seed, self.drawing, self.whole_grid = spec.seed, spec.protocol, spec.protocol == "generative"

    def compute(self, *subject: Any) -> dict[str, float]:
        """The score of codes (N, D) and classes (N, K)."""
        found = beta_vae(*subject, protocol=self.drawing, seed=self.seed)
        end = "@generative" if self.whole_grid else ""
        return {f"beta_vae.score{end}": found.score, f"beta_vae.train{end}": found.train}
