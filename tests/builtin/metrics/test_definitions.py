"""Metrics of arrays against their definitions written as loops, on random arrays of every awkward sort.

The arrays have constant dimensions, copies, more factors than dimensions, classes of two rows, labels with gaps, either
type of float and scales that differ by decades.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.svm import LinearSVC

from aerepr import metrics
from tests.builtin.metrics.reference import CASES

BINS = 20
KINDS = ("plain", "constant", "copies", "narrow", "rare", "double")
# Train rows are the first two thirds of these.
ROWS, TRAIN = 240, 160


def arrays(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes (240, D) and classes (240, K) of one sort."""
    generator = np.random.default_rng([KINDS.index(kind), seed])
    K = 5 if kind == "narrow" else int(generator.integers(2, 5))
    D = 2 if kind == "narrow" else int(generator.integers(2, 7))
    sizes = generator.integers(2, 6, size=K)
    y = generator.integers(0, sizes, size=(ROWS, K))
    # Every class on either side of the split.
    y[: max(sizes)] = y[-max(sizes) :] = np.arange(max(sizes))[:, None] % sizes
    if kind == "rare":
        # One train and one test row of a class that nothing else has.
        y[generator.integers(10, TRAIN - 10), 0] = y[generator.integers(TRAIN + 10, ROWS - 10), 0] = sizes[0]
    z = y @ generator.normal(size=(K, D)) + 0.5 * generator.normal(size=(ROWS, D))
    z *= 10.0 ** generator.uniform(-1, 1, size=D)
    if kind == "constant":
        z = np.insert(z, 1, 0.1, axis=1)
    if kind == "copies":
        z = np.concatenate([z, z[:, :2]], axis=1)
    return z.astype(np.float64 if kind == "double" else np.float32), y


def each(*kinds: str, seeds: int = 4):
    return pytest.mark.parametrize(
        ("z", "y"),
        [pytest.param(*arrays(kind, seed), id=f"{kind}-{seed}") for kind in kinds for seed in range(seeds)],
    )


def binned(values: np.ndarray) -> np.ndarray:
    """Equal-width bins, 1 to 20, edges in the type of the values."""
    return np.stack([np.digitize(column, np.histogram(column, BINS)[1][:-1]) for column in values.T], axis=1)


def information(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array([[mutual_info_score(second, first) for second in b.T] for first in a.T])


@each(*KINDS)
def test_mig(z, y):
    gaps = []
    for j, column in enumerate(information(binned(z), y).T):
        first, second = sorted(column, reverse=True)[:2]
        gaps.append((first - second) / mutual_info_score(y[:, j], y[:, j]))
    found = metrics.mig(z, y)
    np.testing.assert_allclose(found.gap_K, gaps, atol=1e-9)
    assert found.score == pytest.approx(np.mean(gaps), abs=1e-9)


@each(*KINDS)
def test_modularity(z, y):
    scores = []
    for row in information(binned(z[:TRAIN]), y[:TRAIN]):
        most = max(row)
        others = sum(value**2 for value in row) - most**2
        scores.append(1 - others / (most**2 * (len(row) - 1)) if most > 1e-12 else 0.0)
    np.testing.assert_allclose(metrics.modularity(z, y).score_D, scores, atol=1e-9)


@each(*KINDS)
def test_irs(z, y):
    z64 = z.astype(np.float64)
    kept = [i for i in range(z.shape[1]) if z[:, i].max() > z[:, i].min()]
    score, total = 0.0, 0.0
    for i in kept:
        most = max(abs(z64[:, i] - z64[:, i].mean()))
        best = -np.inf
        for j in range(y.shape[1]):
            deviations = []
            for value in np.unique(y[:, j]):
                held = z64[y[:, j] == value, i]
                deviations.append(np.percentile(abs(held - held.mean()), 99))
            best = max(best, 1 - np.mean(deviations) / most)
        score, total = score + most * best, total + most
    assert metrics.irs(z, y).score == pytest.approx(score / total, abs=1e-6)


@each("plain", "narrow", "rare", "double", seeds=2)
def test_sap(z, y):
    z64 = z.astype(np.float64)
    accuracy_DK = np.zeros((z.shape[1], y.shape[1]))
    for i in range(z.shape[1]):
        for j in range(y.shape[1]):
            machine = LinearSVC(C=0.01, class_weight="balanced", dual=False, tol=1e-9, max_iter=100_000)
            machine.fit(z64[:TRAIN, [i]], y[:TRAIN, j])
            accuracy_DK[i, j] = np.mean(machine.predict(z64[TRAIN:, [i]]) == y[TRAIN:, j])
    found = metrics.sap(z, y)
    np.testing.assert_allclose(found.accuracy_DK, accuracy_DK, atol=1e-9)
    second, first = np.sort(accuracy_DK, axis=0)[-2:]
    assert found.score == pytest.approx(np.mean(first - second), abs=1e-9)


@each(*KINDS)
def test_sap_continuous(z, y):
    squares_DK = np.zeros((z.shape[1], y.shape[1]))
    for i in range(z.shape[1]):
        if z[:TRAIN, i].max() > z[:TRAIN, i].min():
            for j in range(y.shape[1]):
                squares_DK[i, j] = np.corrcoef(z[:TRAIN, i].astype(np.float64), y[:TRAIN, j])[0, 1] ** 2
    np.testing.assert_allclose(metrics.sap_continuous(z, y).squared_correlation_DK, squares_DK, atol=1e-9)


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@each("plain", "narrow", "rare", "copies", "double", seeds=2)
def test_explicitness(z, y):
    mean, deviation = z[:TRAIN].mean(axis=0), z[:TRAIN].std(axis=0)
    areas = []
    for j in range(y.shape[1]):
        model = LogisticRegression().fit((z[:TRAIN] - mean) / deviation, y[:TRAIN, j])
        chances = model.predict_proba((z[TRAIN:] - mean) / deviation)
        areas.append(
            np.mean([roc_auc_score(y[TRAIN:, j] == value, chances[:, c]) for c, value in enumerate(model.classes_)])
        )
    np.testing.assert_allclose(metrics.explicitness(z, y).test_K, areas, atol=0.002)


@each("plain", "constant", "narrow", "double")
def test_total_correlation(z, y):
    z64 = z.astype(np.float64)
    covariance = np.cov(z64, rowvar=False)
    found = metrics.total_correlation(z)
    varies = np.flatnonzero(z.max(axis=0) > z.min(axis=0))
    kept = covariance[np.ix_(varies, varies)]
    assert found.score == pytest.approx(0.5 * (np.log(np.diag(kept)).sum() - np.linalg.slogdet(kept)[1]), abs=1e-6)
    distance = 2 * np.trace(kept) - 2 * np.trace(scipy.linalg.sqrtm(np.diag(np.diag(kept)) @ kept).real)
    assert found.wasserstein == pytest.approx(distance, abs=1e-4 * np.trace(covariance))
    assert found.wasserstein_norm == pytest.approx(found.wasserstein / np.trace(covariance), rel=1e-6)
    labels, pairs = binned(z), []
    for i in range(z.shape[1]):
        pairs += [mutual_info_score(labels[:, i], labels[:, other]) for other in range(i + 1, z.shape[1])]
    assert found.mutual_information == pytest.approx(np.mean(pairs), abs=1e-9)


def drawn(generator: np.random.Generator, y: np.ndarray, j: int) -> tuple[np.ndarray, np.ndarray]:
    """64 rows, and as many that share each one's value of factor j."""
    first = generator.integers(len(y), size=64)
    second = np.zeros_like(first)
    for value in np.unique(y[first, j]):
        places = y[first, j] == value
        second[places] = generator.choice(np.flatnonzero(y[:, j] == value), size=places.sum())
    return first, second


@each("constant", "narrow", "rare", seeds=1)
def test_factor_vae(z, y):
    generator = np.random.default_rng(0)
    variance = z[generator.integers(len(z), size=10_000)].astype(np.float64).var(axis=0, ddof=1)
    kept = np.flatnonzero(np.sqrt(variance) >= 0.05)
    votes = np.zeros((2, len(kept), y.shape[1]))
    for part in (0, 1):
        for _ in range(2_000):
            j = int(generator.integers(y.shape[1]))
            same = np.flatnonzero(y[:, j] == y[generator.integers(len(y)), j])
            local = z[generator.choice(same, size=64)].astype(np.float64).var(axis=0, ddof=1)
            votes[part, np.argmin(local[kept] / variance[kept]), j] += 1
    right = votes[1][np.arange(len(kept)), votes[0].argmax(axis=1)].sum() / votes[1].sum()
    assert metrics.factor_vae(z, y).score == pytest.approx(right, abs=4 * np.sqrt(0.25 / 2_000))


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@each("constant", "narrow", "rare", seeds=1)
def test_beta_vae(z, y):
    generator = np.random.default_rng(0)
    sets = []
    for points in (1_500, 1_000):
        labels = generator.integers(y.shape[1], size=points)
        pairs = [drawn(generator, y, j) for j in labels]
        sets.append((np.stack([abs(z[first] - z[second]).mean(axis=0) for first, second in pairs]), labels))
    model = LogisticRegression().fit(*sets[0])
    right = np.mean(model.predict(sets[1][0]) == sets[1][1])
    # Fewer points to fit on, too.
    assert metrics.beta_vae(z, y).score == pytest.approx(right, abs=0.03 + 4 * np.sqrt(0.25 / 1_000))


@pytest.mark.parametrize("name", ["mig", "modularity", "irs", "explicitness", "sap_continuous", "factor_vae"])
def test_names_and_order_of_classes_do_not_matter_nor_does_the_order_of_dimensions(name):
    z, y = arrays("plain", 0)
    metric = getattr(metrics, name)
    order = np.random.default_rng(0).permutation(z.shape[1])
    assert metric(z[:, order], y).score == pytest.approx(metric(z, y).score, abs=0.02 if name == "factor_vae" else 1e-6)
    # The other two take labels for quantities.
    if name not in ("sap_continuous", "irs"):
        labels = np.array([7, 3, 40, 11, 5, 900])[y]
        # Votes follow the order of the classes' numbers.
        near = 0.02 if name == "factor_vae" else 1e-6
        assert metric(z, labels).score == pytest.approx(metric(z, y).score, abs=near)


def test_the_reference_has_no_metric_that_is_not_compared():
    compared = {
        *("mig", "modularity", "explicitness_train", "explicitness_test", "sap", "sap_continuous", "irs"),
        *(f"unsup_gaussian_{field}" for field in ("total_correlation", "wasserstein_correlation")),
        *("unsup_gaussian_wasserstein_correlation_norm", "unsup_mutual_info_score"),
        *(f"dci_{field}" for field in ("disentanglement", "completeness")),
        *(f"dci_informativeness_{part}" for part in ("train", "test")),
        *(
            f"{name}_{part}"
            for name in ("factor_vae", "beta_vae")
            for part in ("train", "eval", "rows_train", "rows_eval")
        ),
    }
    for case in CASES:
        assert set(case.about["expected"]) <= compared
