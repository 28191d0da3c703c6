"""Unsupervised disentanglement ranking: whether runs that differ in their seed find the same dimensions.

With R (D_i, D_j) how strongly each dimension of run i goes with each of run j, informative dimensions alone:

    UDR_ij = 1/2 ( mean_b  max_a R_ab^2 / sum_a R_ab  +  mean_a  max_b R_ab^2 / sum_b R_ab )
    UDR_j  = median over i != j of UDR_ij

    lasso     R: absolute weights of Lasso regressions (alpha 0.1) from the standardised dimensions of i to those of j
    spearman  R: absolute rank correlations

Range [0, 1]. High where each dimension goes with one of the other run, whatever their order and sign. The penalty takes
alpha off each weight, so runs that agree perfectly have a `lasso` of 0.9.

Source: Duan et al. 2020, "Unsupervised model selection for variational disentangled representation learning",
arXiv:1905.12614, with the means of the authors' code, which are the paper's where all runs have as many informative dimensions.
Shape letters: N rows, D latent dimensions, M runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import as_codes
from aerepr.errors import DataError, MissingExtra, UsageError
from aerepr.kinds.metric import Metric
from aerepr.spec.base import ComponentSpec

if TYPE_CHECKING:
    # The function on arrays works without torch, which this would import.
    from aerepr.kinds.run import RunView

Array = npt.NDArray[np.float64]

ALPHA = 0.1
# Of the KL in nats, or of the variance of the codes, above which a dimension is informative.
THRESHOLD = 0.01


@dataclass(frozen=True, eq=False)
class UDR:
    """Attributes: lasso_M, spearman_M: of each run. lasso_MM, spearman_MM: of pairs, the diagonal NaN.

    informative: for each run, which dimensions (D,) were compared.
    """

    lasso_M: Array
    spearman_M: Array
    lasso_MM: Array
    spearman_MM: Array
    informative: tuple[npt.NDArray[np.bool_], ...]


def udr(codes: Sequence[npt.ArrayLike], *, informative: Sequence[npt.ArrayLike] | None = None) -> UDR:
    """How well the runs agree.

    Args:
        codes: of each of M >= 2 runs, (N, D), the same examples in the same order; D may differ.
        informative: for each run, which dimensions (D,) to compare, such as those of a mean KL above 0.01; None: those of
            a variance above 0.01.

    Raises:
        DataError: arrays that it is not defined on, or that are not of the same rows.
        MissingExtra: scikit-learn is not installed.
    """
    arrays = [as_codes(item).astype(np.float64) for item in codes]
    if len(arrays) < 2:
        raise DataError(f"codes: found those of {len(arrays)} runs, expected at least 2: the metric compares runs")
    rows = [len(array) for array in arrays]
    if len(set(rows)) > 1:
        raise DataError(f"codes: found {', '.join(map(str, rows))} rows, expected the same examples of every run")
    chosen = _chosen(arrays, informative)
    scaled = [_standardised(array[:, keep]) for array, keep in zip(arrays, chosen, strict=True)]
    lasso_MM = _pairs(scaled, _lasso)
    spearman_MM = _pairs([_standardised(_ranks(array)) for array in scaled], _correlation)
    return UDR(_medians(lasso_MM), _medians(spearman_MM), lasso_MM, spearman_MM, chosen)


def _chosen(arrays: list[Array], informative: Sequence[npt.ArrayLike] | None) -> tuple[npt.NDArray[np.bool_], ...]:
    if informative is None:
        return tuple(array.var(axis=0) > THRESHOLD for array in arrays)
    found = tuple(np.asarray(item, np.bool_) for item in informative)
    if [item.shape for item in found] != [(array.shape[1],) for array in arrays]:
        raise DataError(
            f"informative: found shapes {', '.join(str(item.shape) for item in found)}, expected a flag for each dimension "
            f"of each run: {', '.join(str((array.shape[1],)) for array in arrays)}"
        )
    return found


def _standardised(array_ND: Array) -> Array:
    deviation_D = array_ND.std(axis=0)
    return (array_ND - array_ND.mean(axis=0)) / np.where(deviation_D > 0, deviation_D, 1.0)


def _ranks(array_ND: Array) -> Array:
    """Ranks of each column, equal values sharing the middle of theirs."""
    found = np.empty(array_ND.shape)
    for dimension, column_N in enumerate(array_ND.T):
        _, place_N, counts = np.unique(column_N, return_inverse=True, return_counts=True)
        found[:, dimension] = (np.cumsum(counts) - counts / 2)[place_N]
    return found


def _pairs(arrays: list[Array], strength: Callable[[Array, Array], Array]) -> Array:
    """UDR of each pair, (M, M): row: run i, whose dimensions explain; column: run j."""
    found_MM = np.full((len(arrays), len(arrays)), np.nan)
    for i, first in enumerate(arrays):
        for j, second in enumerate(arrays):
            if i != j:
                # Where a run has no informative dimension, nothing is shared.
                both = first.shape[1] and second.shape[1]
                found_MM[i, j] = _agreement(strength(first, second)) if both else 0.0
    return found_MM


def _lasso(first_ND: Array, second_ND: Array) -> Array:
    """Absolute weights (D_i, D_j)."""
    try:
        from sklearn.linear_model import Lasso
    except ImportError as cause:
        raise MissingExtra("scikit-learn", "metrics", "the metric udr") from cause
    weights = Lasso(alpha=ALPHA, max_iter=10_000).fit(first_ND, second_ND).coef_
    # scikit-learn drops the axis of a single target.
    found: Array = np.abs(weights.reshape(second_ND.shape[1], first_ND.shape[1])).T
    return found


def _correlation(first_ND: Array, second_ND: Array) -> Array:
    """Absolute correlations (D_i, D_j) of standardised dimensions."""
    return np.abs(first_ND.T @ second_ND) / len(first_ND)


def _agreement(strength_DD: Array) -> float:
    """UDR of a pair; a dimension that goes with none counts as 0."""

    def side(axis: int) -> float:
        total = strength_DD.sum(axis=axis)
        share = np.divide(strength_DD.max(axis=axis) ** 2, total, out=np.zeros_like(total), where=total > 0)
        return float(share.mean())

    return (side(0) + side(1)) / 2


def _medians(pairs_MM: Array) -> Array:
    return np.array([np.median(np.delete(pairs_MM[:, run], run)) for run in range(len(pairs_MM))])


class UDRMetric(Metric):
    """`udr.lasso`, `.spearman`, means over the runs; `.lasso_0`, `.spearman_0`, ... of each, in the order given."""

    Spec = ComponentSpec
    needs = "runs"
    protocol = (
        "dimensions of a mean KL above 0.01 nats, where posterior and prior have one in closed form, else of a variance above "
        "0.01; Lasso alpha 0.1 on standardised codes; Spearman; median over the other runs"
    )

    def __init__(self, spec: ComponentSpec) -> None:
        pass

    def compute(self, runs: Sequence[RunView]) -> dict[str, float]:
        """The agreement of several runs on the rows asked about, which must be the same ones.

        Raises:
            UsageError: fewer than two runs. DataError: they are asked about other rows than each other.
        """
        if len(runs) < 2:
            raise UsageError(f'metric "udr" compares runs: found {len(runs)}, expected at least 2')
        asked = [_asked(run) for run in runs]
        for number, (rows_N, _, _) in enumerate(asked):
            if not np.array_equal(rows_N, asked[0][0]):
                raise DataError(
                    f"runs: number {number} (from 0) is asked about other rows than the first, expected the same examples "
                    "of every run: use runs on the same data and split"
                )
        found = udr([codes_ND for _, codes_ND, _ in asked], informative=[keep_D for _, _, keep_D in asked])
        numbers: dict[str, float] = {}
        for field, scores_M in (("lasso", found.lasso_M), ("spearman", found.spearman_M)):
            numbers[f"udr.{field}"] = float(scores_M.mean())
            numbers |= {f"udr.{field}_{number}": float(score) for number, score in enumerate(scores_M)}
        return numbers


def _asked(run: RunView) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Rows (N,), codes (N, D) and informative dimensions (D,) of one run."""
    from torch.distributions import Independent
    from torch.distributions.kl import kl_divergence

    from aerepr.kinds.distributions import has_closed_form, is_factorised

    model, prior = run.model, run.model.prior()
    rows, codes, rates = [], [], []
    for batch in run.evaluated():
        rows.append(batch.rows.cpu().numpy())
        codes.append(model.prior.to_metric_scale(model.represent(batch)).cpu().numpy())
        posterior = model.posterior(model.encoder(batch.first))
        if is_factorised(posterior) and is_factorised(prior) and has_closed_form(posterior, prior):
            bases = [cast(Independent, item).base_dist for item in (posterior, prior)]
            rates.append(kl_divergence(*bases).cpu().numpy())
    codes_ND = np.concatenate(codes)
    informative_D = (np.concatenate(rates).mean(axis=0) if rates else codes_ND.var(axis=0)) > THRESHOLD
    return np.concatenate(rows), codes_ND, informative_D
