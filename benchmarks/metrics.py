"""How fast the metrics are, against the loops that define them, at equal values.

    python benchmarks/metrics.py                 every metric but DCI: half a minute
    python benchmarks/metrics.py --dci           DCI alone, on two processors: about ten minutes; --rows 1500 for a look
    python benchmarks/metrics.py --only sap,irs

Codes are those of a rotated encoder: 15,000 rows (10,000 to fit, 5,000 to score; metrics without a split take 10,000), the
six factors of 3D-Shapes one-hot, projected at random to 12 dimensions, with noise. Each metric is timed as the best of
three, in one process, next to a plain restatement of its definition: one loop over dimensions and factors, or over votes,
with the functions of scikit-learn. The last columns are both values; Monte-Carlo metrics agree as two seeds do. DCI is
fitted once each way, from the same seeds, and must come out equal to the last digit. Times mean something on a machine that
does nothing else.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import scipy.linalg
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.svm import LinearSVC

from aerepr import metrics
from aerepr.layers.importance import DCI, factor_seeds

CARDINALITIES = (10, 10, 10, 8, 4, 15)
TRAIN, TEST, DIMENSIONS = 10_000, 5_000, 12
BINS, BATCH = 20, 64

DCI_FIELDS = ("disentanglement", "completeness", "informativeness_test", "informativeness_train")

T = TypeVar("T")
Arrays = tuple[np.ndarray, np.ndarray]


def rotated(seed: int = 0) -> Arrays:
    """Codes (15000, 12) float32 and classes (15000, 6)."""
    generator = np.random.default_rng(seed)
    classes = generator.integers(0, CARDINALITIES, size=(TRAIN + TEST, len(CARDINALITIES)))
    levels = np.concatenate(
        [(classes[:, [j]] - (c - 1) / 2) / np.sqrt((c * c - 1) / 12) for j, c in enumerate(CARDINALITIES)], axis=1
    )
    spread = np.concatenate([levels, generator.normal(size=(len(levels), DIMENSIONS - len(CARDINALITIES)))], axis=1)
    spread += 0.05 * generator.normal(size=spread.shape)
    mix, _ = np.linalg.qr(generator.normal(size=(DIMENSIONS, DIMENSIONS)))
    return (spread @ mix).astype(np.float32), classes


# The definitions, as loops.


def binned(codes: np.ndarray) -> np.ndarray:
    labels = np.zeros(codes.shape, int)
    for i in range(codes.shape[1]):
        edges = np.histogram(codes[:, i], BINS)[1]
        labels[:, i] = np.digitize(codes[:, i], edges[:-1])
    return labels


def information(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    matrix = np.zeros((labels.shape[1], classes.shape[1]))
    for i in range(labels.shape[1]):
        for j in range(classes.shape[1]):
            matrix[i, j] = mutual_info_score(classes[:, j], labels[:, i])
    return matrix


def mig(codes: np.ndarray, classes: np.ndarray) -> float:
    matrix = np.sort(information(binned(codes), classes), axis=0)[::-1]
    entropy = [mutual_info_score(column, column) for column in classes.T]
    return float(np.mean((matrix[0] - matrix[1]) / entropy))


def sap(codes: np.ndarray, classes: np.ndarray) -> float:
    scores = np.zeros((codes.shape[1], classes.shape[1]))
    for i in range(codes.shape[1]):
        for j in range(classes.shape[1]):
            machine = LinearSVC(C=0.01, class_weight="balanced")
            machine.fit(codes[:TRAIN, [i]], classes[:TRAIN, j])
            scores[i, j] = np.mean(machine.predict(codes[TRAIN:, [i]]) == classes[TRAIN:, j])
    ordered = np.sort(scores, axis=0)
    return float(np.mean(ordered[-1] - ordered[-2]))


def modularity(codes: np.ndarray, classes: np.ndarray) -> float:
    squares = information(binned(codes[:TRAIN]), classes[:TRAIN]) ** 2
    most = squares.max(axis=1)
    return float(np.mean(1 - (squares.sum(axis=1) - most) / (most * (classes.shape[1] - 1))))


def explicitness(codes: np.ndarray, classes: np.ndarray) -> float:
    mean, deviation = codes[:TRAIN].mean(axis=0), codes[:TRAIN].std(axis=0)
    train, test = (codes[:TRAIN] - mean) / deviation, (codes[TRAIN:] - mean) / deviation
    scores = []
    for j in range(classes.shape[1]):
        model = LogisticRegression().fit(train, classes[:TRAIN, j])
        both = []
        for x, y in ((train, classes[:TRAIN, j]), (test, classes[TRAIN:, j])):
            chances = model.predict_proba(x)
            both.append(np.mean([roc_auc_score(y == v, chances[:, c]) for c, v in enumerate(model.classes_)]))
        scores.append(both[1])
    return float(np.mean(scores))


def irs(codes: np.ndarray, classes: np.ndarray) -> float:
    groups = binned(classes)
    most = np.abs(codes - codes.mean(axis=0)).max(axis=0)
    matrix = np.zeros((codes.shape[1], classes.shape[1]))
    for j in range(classes.shape[1]):
        values = np.unique(groups[:, j])
        for v in values:
            rows = codes[groups[:, j] == v]
            matrix[:, j] += np.percentile(np.abs(rows - rows.mean(axis=0)), q=99, axis=0)
        matrix[:, j] = 1 - matrix[:, j] / len(values) / most
    return float(np.average(matrix.max(axis=1), weights=most))


def total_correlation(codes: np.ndarray, classes: np.ndarray) -> float:
    covariance = np.cov(codes, rowvar=False)
    diagonal = np.diag(np.diag(covariance))
    score = 0.5 * (np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1])
    2 * np.trace(covariance) - 2 * np.trace(scipy.linalg.sqrtm(diagonal @ covariance))
    information(binned(codes), binned(codes))
    return float(score)


def rows_of_values(classes: np.ndarray) -> list[list[np.ndarray]]:
    """The rows that have each value of each factor."""
    return [[np.flatnonzero(column == value) for value in range(column.max() + 1)] for column in classes.T]


def factor_vae(codes: np.ndarray, classes: np.ndarray) -> float:
    generator = np.random.default_rng(0)
    variance = np.var(codes[generator.integers(len(codes), size=10_000)], axis=0, ddof=1)
    kept = np.sqrt(variance) >= 0.05
    same, tables = rows_of_values(classes), []
    for votes in (10_000, 5_000):
        table = np.zeros((int(kept.sum()), classes.shape[1]), int)
        for _ in range(votes):
            j = int(generator.integers(classes.shape[1]))
            first = generator.integers(len(classes), size=BATCH)
            rows = generator.choice(same[j][classes[first[0], j]], size=BATCH)
            local = np.var(codes[rows], axis=0, ddof=1)
            table[np.argmin(local[kept] / variance[kept]), j] += 1
        tables.append(table)
    rule = tables[0].argmax(axis=1)
    return float(tables[1][np.arange(len(rule)), rule].sum() / tables[1].sum())


def beta_vae(codes: np.ndarray, classes: np.ndarray) -> float:
    generator = np.random.default_rng(0)
    same, sets = rows_of_values(classes), []
    for points in (10_000, 5_000):
        features, labels = np.zeros((points, codes.shape[1])), np.zeros(points, int)
        for p in range(points):
            j = int(generator.integers(classes.shape[1]))
            first = generator.integers(len(classes), size=BATCH)
            second = np.zeros_like(first)
            for value in np.unique(classes[first, j]):
                place = classes[first, j] == value
                second[place] = generator.choice(same[j][value], size=int(place.sum()))
            features[p] = np.abs(codes[first] - codes[second]).mean(axis=0)
            labels[p] = j
        sets.append((features, labels))
    model = LogisticRegression().fit(*sets[0])
    return float(np.mean(model.predict(sets[1][0]) == sets[1][1]))


def dci(codes: np.ndarray, classes: np.ndarray, train: int) -> dict[str, float]:
    importance = np.zeros((codes.shape[1], classes.shape[1]))
    accuracy = np.zeros((2, classes.shape[1]))
    for j, seed in enumerate(factor_seeds(0, classes.shape[1])):
        model = GradientBoostingClassifier(random_state=seed).fit(codes[:train], classes[:train, j])
        importance[:, j] = np.abs(model.feature_importances_)
        for part, rows in enumerate((slice(0, train), slice(train, None))):
            accuracy[part, j] = np.mean(model.predict(codes[rows]) == classes[rows, j])
    scores = []
    for matrix in (importance, importance.T):
        shares = (matrix + 1e-11) / (matrix + 1e-11).sum(axis=1, keepdims=True)
        per_row = 1 + (shares * np.log(shares)).sum(axis=1) / np.log(matrix.shape[1])
        scores.append(np.average(per_row, weights=matrix.sum(axis=1)))
    return dict(zip(DCI_FIELDS, map(float, (*scores, *accuracy.mean(axis=1)[::-1])), strict=True))


def timed(function: Callable[[], T]) -> tuple[float, T]:
    """Seconds of a call, and what it gave."""
    began = time.perf_counter()
    value = function()
    return time.perf_counter() - began, value


def peak_mib() -> float:
    """Most memory that this process has held, and its worker processes each, together."""
    if not Path("/proc/self/task").exists():  # not Linux: without the workers
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    children = [
        number for task in Path("/proc/self/task").iterdir() for number in (task / "children").read_text().split()
    ]
    held = [Path(f"/proc/{process}/status").read_text().partition("VmHWM:")[2] for process in ("self", *children)]
    return sum(int(text.split()[0]) for text in held if text) / 2**10


# Name -> rows it takes, the definition, and ours.
ALL, SPLIT = slice(0, TRAIN), slice(0, TRAIN + TEST)
MEASURED = {
    "mig": (ALL, mig, lambda z, y: metrics.mig(z, y).score, 10),
    "sap": (SPLIT, sap, lambda z, y: metrics.sap(z, y, train_rows=TRAIN).score, 10),
    "factor_vae": (ALL, factor_vae, lambda z, y: metrics.factor_vae(z, y).score, 10),
    "beta_vae": (ALL, beta_vae, lambda z, y: metrics.beta_vae(z, y).score, 10),
    "total_correlation": (ALL, total_correlation, lambda z, y: metrics.total_correlation(z).score, 3),
    "explicitness": (SPLIT, explicitness, lambda z, y: metrics.explicitness(z, y, train_rows=TRAIN).score, 3),
    "modularity": (SPLIT, modularity, lambda z, y: metrics.modularity(z, y, train_rows=TRAIN).score, 3),
    "irs": (ALL, irs, lambda z, y: metrics.irs(z, y).score, 1),
}


def measure(names: list[str], times: int) -> None:
    """The metrics but DCI."""
    codes, classes = rotated()
    total = 0.0
    print(f"{'metric':<18}{'loops s':>10}{'aerepr s':>10}{'ratio':>8}{'target':>8}{'loops':>12}{'aerepr':>12}")
    for name in names:
        rows, plain, ours, target = MEASURED[name]
        z, y = codes[rows], classes[rows]
        quick, value = min(timed(lambda ours=ours, z=z, y=y: ours(z, y)) for _ in range(times))
        slow, expected = timed(lambda plain=plain, z=z, y=y: plain(z, y))
        total += quick
        print(
            f"{name:<18}{slow:>10.3f}{quick:>10.3f}{slow / quick:>8.1f}{target:>8}{expected:>12.6f}{value:>12.6f}",
            flush=True,
        )
    print(f"together {total:.2f} s (target 2); peak memory {peak_mib():.0f} MiB (target 1024)")


def measure_dci(train: int, jobs: int) -> bool:
    """DCI by the loop, by aerepr and by LightGBM; whether the first two are equal."""
    codes, classes = (part[: train + train // 2] for part in rotated())
    print(f"DCI of {train} + {train // 2} rows, {DIMENSIONS} dimensions, factors of {CARDINALITIES} classes")
    print(f"{'':<24}{'s':>8}{'ratio':>8}{'target':>8}  " + "".join(f"{field:>23}" for field in DCI_FIELDS))

    def line(name: str, seconds: float, ratio: str, target: str, values: dict[str, float]) -> None:
        numbers = "".join(f"{values[field]:>23.12f}" for field in DCI_FIELDS)
        print(f"{name:<24}{seconds:>8.1f}{ratio:>8}{target:>8}  {numbers}", flush=True)

    def fields(found: DCI) -> dict[str, float]:
        return {field: getattr(found, field) for field in DCI_FIELDS}

    fast, light = timed(lambda: fields(metrics.dci_lgbm(codes, classes, train_rows=train)))
    quick, ours = timed(lambda: fields(metrics.dci(codes, classes, train_rows=train, jobs=jobs)))
    memory = peak_mib()
    slow, plain = timed(lambda: dci(codes, classes, train))
    line("loop over the factors", slow, "", "", plain)
    line(f"dci, {jobs} processes", quick, f"{slow / quick:.2f}", "1.7", ours)
    line("dci_lgbm, one process", fast, f"{slow / fast:.1f}", "20", light)
    most = max(abs(ours[field] - plain[field]) for field in DCI_FIELDS)
    print(f"dci is {'equal to' if most < 1e-12 else 'NOT'} the loop: greatest difference {most:.1e}")
    print(f"peak memory of all processes together {memory:.0f} MiB (target 1024)")
    return most < 1e-12


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 where DCI is not the loop's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dci", action="store_true", help="DCI, and nothing else; minutes")
    parser.add_argument("--rows", type=int, default=TRAIN, help="train rows of DCI; half as many are scored")
    parser.add_argument("--jobs", type=int, default=2, help="processes of DCI")
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--times", type=int, default=3, help="best of how many")
    asked = parser.parse_args(arguments)
    if asked.dci:
        return 0 if measure_dci(asked.rows, asked.jobs) else 1
    measure(asked.only.split(",") if asked.only else list(MEASURED), asked.times)
    return 0


if __name__ == "__main__":
    sys.exit(main())
