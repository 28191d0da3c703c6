"""Separated attribute predictability: how far the best single dimension of each factor is ahead of the second.

    SAP = 1/K sum_j ( largest - second largest of S_ij over i )

S_ij is the test accuracy of a linear support vector machine that predicts factor j from the raw dimension i alone: squared
hinge, L2 (the intercept too), C = 0.01, one class against the rest, the classes balanced by their weight. Range [0, 1], in
practice far below 1: a line cannot pick out a class in the middle.

Source: Kumar et al. 2018, arXiv:1711.00848; the machine as in Locatello et al. 2019, arXiv:1811.12359, which is
liblinear's (Fan et al. 2008, JMLR 9).

On a line the machine is two numbers, w and b, and the rows inside its margin are all those on one side of a point. So the
rows are sorted once, running sums of 1, x and x^2 give value, gradient and Hessian of every machine at once, and Newton's
method solves all D times sum_j C_j of them together, in a few steps.

Shape letters: N rows, D latent dimensions, K factors, C classes of a factor, P machines, one for each dimension and class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import as_classes, as_codes, require_train_classes, train_count
from aerepr.errors import MissingExtra
from aerepr.kinds.metric import Metric
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import TrainRows

COST = 0.01
NEWTON_STEPS = 100

# Up to about this value liblinear, at the tolerance of the reference, ends where the minimum is.
LARGE = 100.0

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SAP:
    """Attributes: score: the mean gap. gap_K: of each factor. accuracy_DK: of each dimension alone."""

    score: float
    gap_K: Array
    accuracy_DK: Array


def sap(codes: npt.ArrayLike, factors: npt.ArrayLike, *, train_rows: int | None = None) -> SAP:
    """Separated attribute predictability, by classifiers.

    Args:
        codes: (N, D), D >= 2. factors: (N, K) classes. train_rows: fitted on; two thirds of N when left out.

    Raises:
        DataError: arrays that it is not defined on, or a class that no train row has.
    """
    codes_ND = as_codes(codes, dimensions=2).astype(np.float64)
    found = as_classes(factors, len(codes_ND))
    train = train_count(len(codes_ND), train_rows)
    require_train_classes(found, train)
    ranked = _Ranked(codes_ND[:train])
    accuracy_DK = np.stack(
        [
            _accuracy_D(ranked, classes_N[:train], size, codes_ND[train:], classes_N[train:])
            for classes_N, size in zip(found.classes_NK.T, found.sizes, strict=True)
        ],
        axis=1,
    )
    second_K, first_K = np.sort(accuracy_DK, axis=0)[-2:]
    return SAP(float((first_K - second_K).mean()), first_K - second_K, accuracy_DK)


class _Ranked:
    """The train codes, each dimension sorted, with running sums.

    `left_to_liblinear` are the dimensions whose number liblinear's arithmetic decides, and not the minimum: constant ones,
    where classes of one frequency tie, and large ones, where it stops well short.
    """

    def __init__(self, codes_ND: Array) -> None:
        self.codes_ND = codes_ND
        self.order_DN = np.argsort(np.ascontiguousarray(codes_ND.T), axis=1)
        self.sorted_DN = np.take_along_axis(np.ascontiguousarray(codes_ND.T), self.order_DN, axis=1)
        self.segments = _Segments(self.sorted_DN.ravel(), np.full(len(self.sorted_DN), codes_ND.shape[0]))
        low_D, high_D = self.sorted_DN[:, 0], self.sorted_DN[:, -1]
        self.left_to_liblinear = np.flatnonzero((low_D == high_D) | (np.maximum(-low_D, high_D) > LARGE))


class _Segments:
    """Sorted values of several segments, one after the other, and their running sums of 1, x and x^2."""

    def __init__(self, values: Array, sizes: npt.NDArray[np.intp]) -> None:
        self.values = values
        self.stops = np.cumsum(sizes)
        self.starts = self.stops - sizes
        self.sums_3N = np.zeros((3, len(values) + 1))
        self.sums_3N[0] = np.arange(len(values) + 1)
        np.cumsum(values, out=self.sums_3N[1, 1:])
        np.cumsum(values * values, out=self.sums_3N[2, 1:])

    def below(self, segment_P: npt.NDArray[np.intp], bound_P: Array) -> npt.NDArray[np.intp]:
        """For each machine, where in its segment the values reach its bound: bisection, all at once."""
        low_P, high_P = self.starts[segment_P].copy(), self.stops[segment_P].copy()
        for _ in range(int(np.max(high_P - low_P)).bit_length()):
            middle_P = (low_P + high_P) // 2
            open_P = low_P < high_P
            less_P = open_P & (self.values[np.minimum(middle_P, len(self.values) - 1)] < bound_P)
            low_P = np.where(less_P, middle_P + 1, low_P)
            high_P = np.where(open_P & ~less_P, middle_P, high_P)
        return low_P

    def sums(self, segment_P: npt.NDArray[np.intp], bound_P: Array, left_P: npt.NDArray[np.bool_]) -> Array:
        """Sums (3, P) over the values of a segment that lie left of a bound, or right of it."""
        cut_P = self.below(segment_P, bound_P)
        first_P = np.where(left_P, self.starts[segment_P], cut_P)
        last_P = np.where(left_P, cut_P, self.stops[segment_P])
        return self.sums_3N[:, last_P] - self.sums_3N[:, first_P]


@dataclass(frozen=True, eq=False)
class _Machines:
    """P machines: which segment holds all rows of the dimension of each, which its positive ones, and their costs."""

    rows: _Segments
    positives: _Segments
    row_P: npt.NDArray[np.intp]
    positive_P: npt.NDArray[np.intp]
    positive_cost_P: Array
    negative_cost_P: Array

    def terms(self, w_P: Array, b_P: Array) -> tuple[Array, Array, Array]:
        """Value (P,), gradient (2, P) and Hessian (3, P: ww, wb, bb) of each machine's objective."""
        right_P = w_P >= 0
        with np.errstate(divide="ignore", invalid="ignore"):
            # A flat machine has all rows of a sign inside its margin, or none: the bound is infinite.
            upper_P, lower_P = (1 - b_P) / w_P, (-1 - b_P) / w_P
        positive_3P = self.positives.sums(self.positive_P, upper_P, right_P)
        negative_3P = self.rows.sums(self.row_P, lower_P, ~right_P) - self.positives.sums(
            self.positive_P, lower_P, ~right_P
        )
        value_P = (w_P**2 + b_P**2) / 2
        gradient_2P, hessian_3P = (
            np.stack([w_P, b_P]),
            np.stack([np.ones_like(w_P), np.zeros_like(w_P), np.ones_like(w_P)]),
        )
        for (n_P, x_P, xx_P), cost_P, sign in (
            (positive_3P, self.positive_cost_P, 1.0),
            (negative_3P, self.negative_cost_P, -1.0),
        ):
            # Over the rows inside the margin, with slack 1 - sign (w x + b): its square, and it times 1 and x.
            slack_P = n_P - sign * (w_P * x_P + b_P * n_P)
            slack_x_P = x_P - sign * (w_P * xx_P + b_P * x_P)
            value_P += cost_P * (slack_P - sign * (w_P * slack_x_P + b_P * slack_P))
            gradient_2P -= 2 * cost_P * sign * np.stack([slack_x_P, slack_P])
            hessian_3P += 2 * cost_P * np.stack([xx_P, x_P, n_P])
        return value_P, gradient_2P, hessian_3P

    def solve(self) -> tuple[Array, Array]:
        """w and b of each machine: Newton's method, halving a step that does not descend.

        The objective is strictly convex and made of parabolas, so the steps end at its minimum.
        """
        point_2P = np.zeros((2, len(self.row_P)))
        value_P, gradient_2P, hessian_3P = self.terms(*point_2P)
        enough_P = 1e-9 * np.abs(gradient_2P).max(axis=0)
        for _ in range(NEWTON_STEPS):
            open_P = np.abs(gradient_2P).max(axis=0) > enough_P
            if not open_P.any():
                break
            ww_P, wb_P, bb_P = hessian_3P
            step_2P = np.stack(
                [wb_P * gradient_2P[1] - bb_P * gradient_2P[0], wb_P * gradient_2P[0] - ww_P * gradient_2P[1]]
            ) / (ww_P * bb_P - wb_P**2)
            slope_P = (gradient_2P * step_2P).sum(axis=0)
            length_P = open_P.astype(np.float64)
            for _ in range(20):
                trial = self.terms(*(point_2P + length_P * step_2P))
                worse_P = trial[0] > value_P + 1e-4 * length_P * slope_P + 1e-12 * np.abs(value_P)
                if not worse_P.any():
                    break
                length_P = np.where(worse_P, length_P / 2, length_P)
            point_2P = point_2P + length_P * step_2P
            value_P, gradient_2P, hessian_3P = trial
        return point_2P[0], point_2P[1]


def _accuracy_D(
    ranked: _Ranked,
    classes_N: npt.NDArray[np.intp],
    size: int,
    test_ND: Array,
    test_N: npt.NDArray[np.intp],
) -> Array:
    """Test accuracy of each dimension for one factor."""
    D, N = ranked.sorted_DN.shape
    count_C = np.bincount(classes_N, minlength=size)
    weight_C = N / (size * count_C)
    # The rows of each dimension, ordered by class and within a class by value. Small numbers are sorted by their digits.
    small_N = classes_N.astype(np.int16) if size <= np.iinfo(np.int16).max else classes_N
    by_class_DN = np.argsort(small_N[ranked.order_DN], axis=1, kind="stable")
    positives = _Segments(np.take_along_axis(ranked.sorted_DN, by_class_DN, axis=1).ravel(), np.tile(count_C, D))
    # Two classes share one machine, in which both have their weight; of more, only the one that is told from the rest has.
    told_C = np.arange(size) if size > 2 else np.array([1])
    dimension_P = np.repeat(np.arange(D), len(told_C))
    class_P = np.tile(told_C, D)
    machines = _Machines(
        rows=ranked.segments,
        positives=positives,
        row_P=dimension_P,
        positive_P=dimension_P * size + class_P,
        positive_cost_P=COST * weight_C[class_P],
        negative_cost_P=np.full(len(class_P), COST * (weight_C[0] if size == 2 else 1.0)),
    )
    w_DC, b_DC = (found.reshape(D, -1) for found in machines.solve())
    if size == 2:
        w_DC, b_DC = np.pad(w_DC, ((0, 0), (1, 0))), np.pad(b_DC, ((0, 0), (1, 0)))
    # Each machine of a dimension gives a line w x + b; the highest tells the class.
    told_DN = np.stack(
        [np.argmax(np.outer(w_DC[d], x_N) + b_DC[d][:, None], axis=0) for d, x_N in enumerate(test_ND.T)]
    )
    for d in ranked.left_to_liblinear:
        told_DN[d] = _of_liblinear(ranked.codes_ND[:, [d]], classes_N, test_ND[:, [d]])
    return (told_DN == test_N).mean(axis=1)


def _of_liblinear(x_N1: Array, classes_N: npt.NDArray[np.intp], test_N1: Array) -> npt.NDArray[np.intp]:
    """What one dimension tells, by liblinear itself."""
    try:
        from sklearn.svm import LinearSVC
    except ImportError as cause:
        raise MissingExtra("scikit-learn", "metrics", "the metric sap") from cause
    machine = LinearSVC(C=COST, class_weight="balanced", dual=False, tol=1e-4, max_iter=1000).fit(x_N1, classes_N)
    told_N: npt.NDArray[np.intp] = machine.predict(test_N1)
    return told_N


class SAPSpec(ComponentSpec):
    """A metric's table with `name = "sap"`."""

    train_rows: TrainRows = None


class SAPMetric(Metric):
    """`sap.score`."""

    Spec = SAPSpec
    needs = "codes"
    protocol = "linear machines (squared hinge, C 0.01, balanced) fitted on the train rows, accuracy on the test rows"

    def __init__(self, spec: SAPSpec) -> None:
        self.train_rows = spec.train_rows

    def compute(self, *subject: Any) -> dict[str, float]:
        """The gap of codes (N, D) and classes (N, K)."""
        return {"sap.score": sap(*subject, train_rows=self.train_rows).score}
