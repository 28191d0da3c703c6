"""Independence of the latent variables: a lower bound of their total correlation, by a classifier, not Gaussian alone.

    TC = KL( q(z) || prod_v q(z_v) )  >=  E ln( e^T(z) / mean of e^T over z and K - 1 samples of the product )

for any critic T(z), with v the variables (each of one or more dimensions) and samples of the product from permuting each
variable over the rows. It cannot exceed ln K, and unlike the bound of Donsker and Varadhan, whose mean is without z, it stays a
bound where few of the samples have a large e^T. Dimensions are first replaced by the normal scores of their ranks, which
leaves TC as it is. Two critics are tried:

    gaussian  the log ratio of a Gaussian with the train rows' covariance and the product of its own variables
    score     that plus boosted trees, fitted to tell train rows from permuted ones (their logit is ln q / prod q)

Critics are fitted on four fifths of the rows and scored on the rest, five times, with the mean of the bounds taken; the best
of 0, `gaussian` and the trees is `score`. Nats; 0 for independent variables.

Source: Poole et al. 2019, arXiv:1905.06922 (the bound, of many samples); Kim and Mnih 2018, arXiv:1802.05983 (permuted codes).
Shape letters: N rows, D latent dimensions, V variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import as_codes
from aerepr.errors import DataError, MissingExtra
from aerepr.kinds.metric import Metric
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import MetricSeed

if TYPE_CHECKING:
    # The function on arrays works without torch, which this would import.
    from aerepr.kinds.run import RunView

Array = npt.NDArray[np.float64]
Units = list[npt.NDArray[np.intp]]

FOLDS = 5
# Permuted copies of the train rows that the trees see, and of the scored rows that the bound averages over.
_FITTED, _SCORED = 4, 20
# Of the unit variance of normal scores.
_JITTER = 1e-6


@dataclass(frozen=True, eq=False)
class Independence:
    """Attributes: score: lower bound of the total correlation between variables, in nats. gaussian: the part of it that
    a Gaussian shows. gaussian_F, trees_F: the bound of either critic on the rows of each fold, which may be negative.
    """

    score: float
    gaussian: float
    gaussian_F: Array
    trees_F: Array


def independence(codes: npt.ArrayLike, sizes: Sequence[int] | None = None, *, seed: int = 0) -> Independence:
    """How far variables are from independent, at the least.

    Args:
        codes: (N, D), N >= 20 and D >= 2. sizes: dimensions of each variable, in order; None: each dimension is one.
        seed: of folds and permutations.

    Raises:
        DataError: arrays that it is not defined on, or sizes that do not split them into at least two variables.
        MissingExtra: LightGBM is not installed.
    """
    codes_ND = as_codes(codes, dimensions=2, rows=20)
    D = codes_ND.shape[1]
    sizes = [1] * D if sizes is None else list(sizes)
    if len(sizes) < 2 or min(sizes) < 1 or sum(sizes) != D:
        raise DataError(
            f"sizes: found variables of {', '.join(map(str, sizes))} dimensions, expected at least two that split all {D}: "
            "independence is between variables"
        )
    varies_D = codes_ND.max(axis=0) > codes_ND.min(axis=0)
    # A dimension that does not vary is independent of everything, and so is a variable without others.
    unit_D = np.repeat(np.arange(len(sizes)), sizes)[varies_D]
    units = [np.flatnonzero(unit_D == unit) for unit in np.unique(unit_D)]
    if len(units) < 2:
        return Independence(0.0, 0.0, np.zeros(FOLDS), np.zeros(FOLDS))
    generator = np.random.default_rng(seed)
    x_ND = _normal_scores(codes_ND[:, varies_D])
    folds = np.array_split(generator.permutation(len(x_ND)), FOLDS)
    bounds_F2 = np.array(
        [
            _bounds(x_ND[np.concatenate(folds[:fold] + folds[fold + 1 :])], x_ND[folds[fold]], units, generator)
            for fold in range(FOLDS)
        ]
    )
    gaussian, trees = bounds_F2.mean(axis=0).tolist()
    return Independence(max(0.0, gaussian, trees), max(0.0, gaussian), bounds_F2[:, 0], bounds_F2[:, 1])


def _normal_scores(codes_ND: npt.NDArray[np.floating[Any]]) -> Array:
    """Each dimension as normal quantiles of its ranks, equal values sharing the middle of theirs."""
    try:
        from scipy.special import ndtri
    except ImportError as cause:
        raise MissingExtra("SciPy", "metrics", "the metric independence") from cause
    scores = []
    for column_N in codes_ND.T:
        _, place_N, counts = np.unique(column_N, return_inverse=True, return_counts=True)
        scores.append(ndtri((np.cumsum(counts) - counts / 2) / len(column_N))[place_N])
    return np.stack(scores, axis=1)


def _bounds(train_ND: Array, test_ND: Array, units: Units, generator: np.random.Generator) -> tuple[float, float]:
    """The bound of the Gaussian critic, and with trees, on the test rows."""
    critic = _GaussianCritic(train_ND, units)
    joint_ND, product_MD = test_ND, _permuted(test_ND, units, _SCORED, generator)
    gaussian_N, gaussian_M = critic(joint_ND), critic(product_MD)
    trees = _fit_trees(train_ND, _permuted(train_ND, units, _FITTED, generator), critic)
    trees_N, trees_M = (
        given + np.asarray(trees.predict(x, raw_score=True), np.float64)
        for given, x in ((gaussian_N, joint_ND), (gaussian_M, product_MD))
    )
    return _bound(gaussian_N, gaussian_M), _bound(trees_N, trees_M)


def _permuted(x_ND: Array, units: Units, copies: int, generator: np.random.Generator) -> Array:
    """`copies` times the rows, (copies N, D), each variable in an order of its own."""
    found = np.empty((copies, *x_ND.shape))
    for copy in found:
        for unit in units:
            copy[:, unit] = x_ND[np.ix_(generator.permutation(len(x_ND)), unit)]
    return found.reshape(-1, x_ND.shape[1])


def _bound(joint_N: Array, product_M: Array) -> float:
    """The bound from a critic's values on rows and on samples of the product, K = M + 1."""
    largest = product_M.max()
    log_sum = largest + np.log(np.exp(product_M - largest).sum())
    return float((joint_N - np.logaddexp(joint_N, log_sum)).mean() + np.log(len(product_M) + 1))


class _GaussianCritic:
    """ln N(x; m, S) - sum_v ln N(x_v; m_v, S_v), with the mean and covariance of the rows."""

    def __init__(self, x_ND: Array, units: Units) -> None:
        self.mean_D = x_ND.mean(axis=0)
        # Copies, and few rows, have a covariance without an inverse.
        covariance_DD = np.cov(x_ND, rowvar=False) + _JITTER * np.eye(x_ND.shape[1])
        self.form_DD = np.linalg.inv(covariance_DD)
        log_det = np.linalg.slogdet(covariance_DD)[1]
        for unit in units:
            own = np.ix_(unit, unit)
            self.form_DD[own] -= np.linalg.inv(covariance_DD[own])
            log_det -= np.linalg.slogdet(covariance_DD[own])[1]
        self.log_det = log_det

    def __call__(self, x_ND: Array) -> Array:
        centred_ND = x_ND - self.mean_D
        found: Array = -0.5 * (self.log_det + ((centred_ND @ self.form_DD) * centred_ND).sum(axis=1))
        return found


def _fit_trees(joint_ND: Array, product_MD: Array, critic: _GaussianCritic) -> Any:
    """Boosted trees that add to the Gaussian critic's logit; both sorts of rows weigh the same."""
    try:
        import lightgbm
    except ImportError as cause:
        raise MissingExtra("lightgbm", "metrics", "the metric independence") from cause
    x = np.concatenate([joint_ND, product_MD])
    is_joint = np.arange(len(x)) < len(joint_ND)
    weight = np.where(is_joint, len(product_MD) / len(joint_ND), 1.0)
    settings = {
        "objective": "binary",
        "boost_from_average": False,
        "learning_rate": 0.1,
        "num_leaves": 15,
        "min_data_in_leaf": min(100, len(x) // 4),
        "lambda_l2": 1.0,
        "seed": 0,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(x, is_joint.astype(np.float64), weight=weight, init_score=critic(x))
    return lightgbm.train(settings, data, num_boost_round=100)


class IndependenceSpec(ComponentSpec):
    """A metric's table with `name = "independence"`."""

    seed: MetricSeed = 0


class IndependenceMetric(Metric):
    """`independence.score`, `.gaussian`."""

    Spec = IndependenceSpec
    needs = "run"
    protocol = (
        "lower bound of the total correlation between the latent variables, nats: Gaussian critic and boosted trees against "
        "permuted variables, on held-out rows, 5 folds"
    )
    lower_is_better = frozenset({"*"})

    def __init__(self, spec: IndependenceSpec) -> None:
        self.seed = spec.seed

    def compute(self, run: RunView) -> dict[str, float]:
        """The bounds of one run on the rows asked about, between the variables of its layout."""
        codes = [run.model.prior.to_metric_scale(step.z_BD).cpu().numpy() for step in run.encoded()]
        found = independence(np.concatenate(codes), run.layout.sizes, seed=self.seed)
        return {"independence.score": found.score, "independence.gaussian": found.gaussian}
