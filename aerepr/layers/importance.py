"""From the importance of each dimension for each factor to disentanglement and completeness, and the fits before it.

With R the (D, K) matrix of absolute importances and eps = 1e-11:

    P_ij = (R_ij + eps) / sum_j' (R_ij' + eps)      D_i = 1 + sum_j P_ij log_K P_ij      D = sum_i D_i sum_j R_ij / sum R
    Q_ij = (R_ij + eps) / sum_i' (R_i'j + eps)      C_j = 1 + sum_i Q_ij log_D Q_ij      C = sum_j C_j sum_i R_ij / sum R

Source: Eastwood and Williams 2018, "A framework for the quantitative evaluation of disentangled representations".
Shape letters: N rows, D latent dimensions, K factors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aerepr.errors import MissingExtra

Array = npt.NDArray[np.float64]
Classes = npt.NDArray[np.intp]

EPSILON = 1e-11

# Starting processes takes a second or two; below about this many rows x dimensions x classes fits take less.
_WORTH_PROCESSES = 500_000


@dataclass(frozen=True, eq=False)
class Fitted:
    """What the classifier of one factor gives.

    Attributes:
        importance_D: absolute importance of each dimension. train, test: its accuracy.
    """

    importance_D: Array
    train: float
    test: float


@dataclass(frozen=True, eq=False)
class DCI:
    """Attributes: disentanglement, completeness: in [0, 1]. informativeness_test, informativeness_train: accuracy, mean
    over factors. importance_DK: of each dimension for each factor. disentanglement_D, completeness_K: before the mean.
    """

    disentanglement: float
    completeness: float
    informativeness_test: float
    informativeness_train: float
    importance_DK: Array
    disentanglement_D: Array
    completeness_K: Array


def of_fits(fits: list[Fitted]) -> DCI:
    """The scores of the classifiers of all factors."""
    importance_DK = np.stack([fit.importance_D for fit in fits], axis=1)
    disentanglement_D, completeness_K = concentration(importance_DK), concentration(importance_DK.T)
    total = importance_DK.sum()
    # Nothing is important where no classifier learned anything: then all weigh the same.
    share_DK = importance_DK / total if total > 0 else np.full_like(importance_DK, 1 / importance_DK.size)
    return DCI(
        disentanglement=float(disentanglement_D @ share_DK.sum(axis=1)),
        completeness=float(completeness_K @ share_DK.sum(axis=0)),
        informativeness_test=float(np.mean([fit.test for fit in fits])),
        informativeness_train=float(np.mean([fit.train for fit in fits])),
        importance_DK=importance_DK,
        disentanglement_D=disentanglement_D,
        completeness_K=completeness_K,
    )


def concentration(importance: Array) -> Array:
    """1 - entropy of each row, in units of that of a uniform row."""
    share = importance + EPSILON
    share /= share.sum(axis=1, keepdims=True)
    return 1 + (share * np.log(share)).sum(axis=1) / np.log(share.shape[1])


@dataclass(frozen=True, eq=False)
class Split:
    """What the classifier of one factor is fitted to, and scored on.

    Attributes:
        train_ND, test_ND: codes. train_N, test_N: classes 0 .. size-1. seed: of the fit's ties.
    """

    train_ND: npt.NDArray[np.floating]
    train_N: Classes
    test_ND: npt.NDArray[np.floating]
    test_N: Classes
    size: int
    seed: int


Fit = Callable[[Split], Fitted]


def factor_seeds(seed: int, factors: int) -> list[int]:
    """A seed for each factor's classifier, drawn from one."""
    return [int(np.random.SeedSequence([seed, factor]).generate_state(1)[0] >> 1) for factor in range(factors)]


def fit_factors(
    fit: Fit, codes_ND: npt.NDArray[np.floating], classes_NK: Classes, train: int, seed: int, jobs: int | None
) -> list[Fitted]:
    """Fit one classifier for each factor, in as many processes as there are processors; the numbers do not depend on it.

    Args:
        fit: a function of this module.
        train: the first rows, which are fitted on. seed: see `factor_seeds`.
        jobs: processes at most; None for one a processor where the work is worth starting them.

    Raises:
        MissingExtra: joblib, which comes with scikit-learn, is not installed.
    """
    sizes = [int(classes_N.max()) + 1 for classes_N in classes_NK.T]
    try:
        from joblib import Parallel, cpu_count, delayed
    except ImportError as cause:
        raise MissingExtra("scikit-learn", "metrics", "DCI") from cause
    if jobs is None:
        jobs = cpu_count() if train * codes_ND.shape[1] * sum(sizes) > _WORTH_PROCESSES else 1
    jobs = min(jobs, len(sizes))
    splits = [
        Split(codes_ND[:train], classes_N[:train], codes_ND[train:], classes_N[train:], size, own)
        for classes_N, size, own in zip(classes_NK.T, sizes, factor_seeds(seed, len(sizes)), strict=True)
    ]
    # The factors of most classes first: they take longest, and the others fill up the rest. Two processors share the 57
    # classes of 3D-Shapes' factors as 29 and 28.
    order = sorted(range(len(sizes)), key=lambda factor: -sizes[factor])
    found = Parallel(n_jobs=jobs, batch_size=1)(delayed(fit)(splits[factor]) for factor in order)
    return [fitted for _, fitted in sorted(zip(order, found, strict=True), key=lambda pair: pair[0])]


def fit_gradient_boosting(split: Split) -> Fitted:
    """scikit-learn's gradient-boosted trees, with the defaults of the reference spelt out; impurity importances.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import GradientBoostingClassifier
    except ImportError as cause:
        raise MissingExtra("scikit-learn", "metrics", "the metric dci") from cause
    model = GradientBoostingClassifier(
        loss="log_loss",
        learning_rate=0.1,
        n_estimators=100,
        subsample=1.0,
        min_samples_split=2,
        min_samples_leaf=1,
        max_depth=3,
        max_features=None,
        random_state=split.seed,
    )
    model.fit(split.train_ND, split.train_N)
    importance_D = np.abs(np.asarray(model.feature_importances_, np.float64))
    return Fitted(
        importance_D,
        float((model.predict(split.train_ND) == split.train_N).mean()),
        float((model.predict(split.test_ND) == split.test_N).mean()),
    )


def fit_lightgbm(split: Split) -> Fitted:
    """LightGBM's trees on histograms, of the same number, depth and learning rate; total gain as importance, summing to 1.

    Raises:
        MissingExtra: LightGBM is not installed.
    """
    try:
        import lightgbm
    except ImportError as cause:
        raise MissingExtra("lightgbm", "metrics", "the metric dci_lgbm") from cause
    settings = {
        "objective": "binary" if split.size == 2 else "multiclass",
        "num_class": 1 if split.size == 2 else split.size,
        "learning_rate": 0.1,
        "max_depth": 3,
        "num_leaves": 8,
        "min_data_in_leaf": 1,
        "seed": split.seed & 0x7FFFFFFF,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    model = lightgbm.train(settings, lightgbm.Dataset(split.train_ND, split.train_N), num_boost_round=100)
    gain_D = np.asarray(model.feature_importance("gain"), np.float64)

    def accuracy(x_ND: npt.NDArray[np.floating], y_N: Classes) -> float:
        probability = np.asarray(model.predict(x_ND))
        told_N = probability > 0.5 if split.size == 2 else probability.argmax(axis=1)
        return float((told_N == y_N).mean())

    importance_D = gain_D / gain_D.sum() if gain_D.sum() > 0 else gain_D
    return Fitted(importance_D, accuracy(split.train_ND, split.train_N), accuracy(split.test_ND, split.test_N))
