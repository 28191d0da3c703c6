"""Multinomial logistic regression with an L2 penalty, as scikit-learn's `LogisticRegression()` defines it, faster.

Minimises  mean over rows of -log p(class)  +  |W|^2 / (2 cost N)  with L-BFGS from zero; intercepts are not penalised, the
score of the first of two classes is fixed at 0. The steps, the limit of 100 and the tolerances are those of scikit-learn
0.22 and later, so it stops where that stops, also short of the minimum.

Shape letters: N rows, D features, C classes, M score functions: C, or 1 for two classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.errors import MissingExtra

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LogisticModel:
    """Attributes: weight_MD, intercept_M: of the scores. converged: whether it stopped before the limit of steps."""

    weight_MD: Array
    intercept_M: Array
    converged: bool

    def probabilities(self, x_ND: Array) -> Array:
        """Of each class in each row, (C, N)."""
        return _softmax(_scores(np.column_stack([self.weight_MD, self.intercept_M]), _with_ones(x_ND)))[0]


def fit(x_ND: Array, classes_N: npt.NDArray[np.intp], size: int, purpose: str) -> LogisticModel:
    """Fit.

    Args:
        x_ND: features. classes_N: 0 .. size-1, each at least once. purpose: what needs it, for the error.

    Raises:
        MissingExtra: SciPy is not installed.
    """
    try:
        from scipy.optimize import minimize
    except ImportError as cause:
        raise MissingExtra("scipy", "metrics", purpose) from cause
    N, D = x_ND.shape
    M = 1 if size == 2 else size
    x_EN = _with_ones(x_ND)
    # Rows of the class's own score lie at these places of the scores as one long row; the fixed score has none.
    own = (classes_N - (size - M)) * N + np.arange(N)
    own = own[classes_N >= size - M]
    penalty = 1.0 / N

    def objective(flat: Array) -> tuple[float, Array]:
        parameters_ME = flat.reshape(M, D + 1)
        scores_MN = _scores(parameters_ME, x_EN)
        own_score = scores_MN.ravel()[own].sum()
        p_CN, log_total = _softmax(scores_MN)
        slope_MN = p_CN[size - M :]
        slope_MN.ravel()[own] -= 1.0
        weight_MD = parameters_ME[:, :D]
        value = (log_total - own_score) / N + 0.5 * penalty * float((weight_MD**2).sum())
        gradient_ME = slope_MN @ x_EN.T / N
        gradient_ME[:, :D] += penalty * weight_MD
        return value, gradient_ME.ravel()

    options: dict[str, Any] = {"maxiter": 100, "maxls": 50, "gtol": 1e-4, "ftol": 64 * np.finfo(np.float64).eps}
    found = minimize(objective, np.zeros(M * (D + 1)), jac=True, method="L-BFGS-B", options=options)
    parameters_ME = found.x.reshape(M, D + 1)
    return LogisticModel(parameters_ME[:, :D], parameters_ME[:, D], bool(found.success))


def _with_ones(x_ND: Array) -> Array:
    # Features first: sums over classes then run along rows in memory.
    return np.concatenate([x_ND.T, np.ones((1, len(x_ND)))], axis=0)


def _scores(parameters_ME: Array, x_EN: Array) -> Array:
    return parameters_ME @ x_EN


def _softmax(scores_MN: Array) -> tuple[Array, float]:
    """Probabilities (C, N), and the sum over rows of the log of their normaliser; the scores are used up."""
    if len(scores_MN) == 1:
        scores_MN = np.concatenate([np.zeros_like(scores_MN), scores_MN])
    highest_N = scores_MN.max(axis=0)
    scores_MN -= highest_N
    np.exp(scores_MN, out=scores_MN)
    total_N = scores_MN.sum(axis=0)
    scores_MN /= total_N
    return scores_MN, float((highest_N + np.log(total_N)).sum())
