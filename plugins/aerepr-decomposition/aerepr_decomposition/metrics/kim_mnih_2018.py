"""Kim and Mnih's score as Mathieu et al. compute it: on a fixed set of codes, every vote both making the rule and scored by it.

1. Every dimension is divided by its deviation over all rows.
2. A vote: a random factor, a random value of it, up to 1,000 random rows with that value; the dimension whose variance over
   them is least votes for the factor.
3. Of 20,000 votes each dimension takes the factor it votes for most often; the score is the share of these same votes that
   this rule gets right.

It is optimistic beside the core's `factor_vae`, which scores new votes of 64 rows and leaves out dead dimensions: the two
cannot be compared. A constant dimension alone has no deviation to be divided by, and takes no part.

Where the prior has a scale of its own for metrics, as Student's t, codes are taken on that scale, and `@raw` as they are.

Source: Kim and Mnih 2018, arXiv:1802.05983; Mathieu et al. 2019, arXiv:1812.02833, as in the authors' code.
Shape letters: N rows, D latent dimensions, K factors, V values of a factor, n rows with one value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from aerepr.data.labelled import as_classes, as_codes
from aerepr.errors import DataError
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import MetricSeed

VOTES, POINTS = 20_000, 1000


@dataclass(frozen=True, eq=False)
class KimMnihScore:
    """Attributes: score: share of the votes that the rule gets right. votes_DK: of each dimension for each factor."""

    score: float
    votes_DK: npt.NDArray[np.int64]


def kim_mnih_2018(codes: npt.ArrayLike, factors: npt.ArrayLike, *, seed: int = 0) -> KimMnihScore:
    """The score of codes.

    Args:
        codes: (N, D). factors: (N, K) classes, K >= 2, each with two values or more. seed: of the votes.

    Raises:
        DataError: arrays that it is not defined on, or a factor of which no two rows share a value.
    """
    codes_ND = as_codes(codes).astype(np.float64)
    classes_NK = as_classes(factors, len(codes_ND), least=2).classes_NK
    deviation_D = codes_ND.std(axis=0, ddof=1)
    varies_D = codes_ND.max(axis=0) > codes_ND.min(axis=0)
    votes_DK = np.zeros((codes_ND.shape[1], classes_NK.shape[1]), np.int64)
    if not varies_D.any():
        return KimMnihScore(0.0, votes_DK)
    scaled_ND = codes_ND / np.where(varies_D, deviation_D, 1.0)
    generator = np.random.default_rng(seed)

    def vote(rows_n: npt.NDArray[np.intp]) -> int:
        return int(np.where(varies_D, scaled_ND[rows_n].var(axis=0, ddof=1), np.inf).argmin())

    for factor, count in enumerate(np.bincount(generator.integers(classes_NK.shape[1], size=VOTES))):
        groups = _groups(classes_NK[:, factor], factor)
        chosen_V = np.bincount(generator.integers(len(groups), size=count), minlength=len(groups))
        for rows_n, times in zip(groups, chosen_V, strict=True):
            if len(rows_n) <= POINTS:
                # All rows with that value, whatever is drawn: one vote, so many times.
                votes_DK[vote(rows_n), factor] += times
                continue
            for _ in range(times):
                votes_DK[vote(generator.choice(rows_n, POINTS, replace=False, shuffle=False)), factor] += 1
    return KimMnihScore(float(votes_DK.max(axis=1).sum() / VOTES), votes_DK)


def _groups(classes_N: npt.NDArray[np.intp], factor: int) -> list[npt.NDArray[np.intp]]:
    """The rows of each value, of those that more than one row has: one row has no variance."""
    order_N = np.argsort(classes_N, kind="stable")
    groups = np.split(order_N, np.cumsum(np.bincount(classes_N))[:-1])
    shared = [rows_n for rows_n in groups if len(rows_n) > 1]
    if not shared:
        raise DataError(
            f"factors: no two rows share a value of factor {factor}, expected some that do; give more rows, or leave it out"
        )
    return shared


class KimMnih2018Spec(ComponentSpec):
    """Metric `kim_mnih_2018`."""

    seed: MetricSeed = 0


class KimMnih2018(Metric):
    """`kim_mnih_2018.score`, and `.score@raw` where the prior has another scale for metrics."""

    Spec = KimMnih2018Spec
    needs = "run"
    protocol = (
        f"{VOTES:,} votes of up to {POINTS:,} rows, the same to fit and to score, no dimension left out, on codes without "
        "noise (@raw: not on the scale that the prior has for metrics); not comparable with factor_vae"
    )

    def __init__(self, spec: KimMnih2018Spec) -> None:
        self.seed = spec.seed
        self.left_out = 0

    def compute(self, run: RunView) -> dict[str, float]:
        """The score of one run on the rows asked about.

        Raises:
            DataError: there are fewer than two factors that are known and vary.
        """
        codes, factors = [], []
        for step in run.encoded():
            if step.batch.factors is None:
                raise DataError('metric "kim_mnih_2018" needs ground-truth factors, and this data set has none')
            codes.append(step.z_BD)
            factors.append(step.batch.factors)
        z_ND, classes_NK = torch.cat(codes), torch.cat(factors).cpu().numpy()
        usable_K = (classes_NK.min(axis=0) >= 0) & (classes_NK.min(axis=0) < classes_NK.max(axis=0))
        self.left_out = int((~usable_K).sum())
        if usable_K.sum() < 2:
            raise DataError(
                f'metric "kim_mnih_2018" compares factors: found {usable_K.sum()} that is known and varies in these rows, '
                "expected at least 2"
            )
        scaled_ND = run.model.prior.to_metric_scale(z_ND)
        found = {"score": self._score(scaled_ND, classes_NK[:, usable_K])}
        if not torch.equal(scaled_ND, z_ND):
            found["score@raw"] = self._score(z_ND, classes_NK[:, usable_K])
        return {f"kim_mnih_2018.{field}": value for field, value in found.items()}

    def _score(self, z_ND: torch.Tensor, classes_NK: npt.NDArray[np.int64]) -> float:
        return kim_mnih_2018(z_ND.cpu().numpy(), classes_NK, seed=self.seed).score

    def remarks(self, numbers: Mapping[str, float]) -> list[str]:
        """That factors were left out."""
        if not self.left_out:
            return []
        are = "factor is" if self.left_out == 1 else "factors are"
        return [f"{self.left_out} {are} left out, unknown or of one value in these rows"]
