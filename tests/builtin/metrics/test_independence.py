"""The bound of independence against total correlations that are known: Gaussian, and where a Gaussian sees nothing."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aerepr.builtin.metrics.independence import IndependenceMetric, IndependenceSpec, independence
from aerepr.builtin.metrics.total_correlation import total_correlation
from aerepr.errors import DataError, MissingExtra
from aerepr.kinds.layout import LatentLayout


def normal(rows=4000, dimensions=4, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, dimensions))


def equicorrelated(rho, rows=4000, dimensions=6):
    """Gaussian codes with one correlation between all dimensions, and their total correlation."""
    covariance = np.full((dimensions, dimensions), rho) + (1 - rho) * np.eye(dimensions)
    return normal(rows, dimensions) @ np.linalg.cholesky(covariance).T, -0.5 * np.linalg.slogdet(covariance)[1]


def crossed(rho, rows=4000, dimensions=4, seed=1):
    """Dimensions 0 and 1 are correlated by +rho or -rho, either half the time: each is normal, they are uncorrelated."""
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(rows, dimensions))
    z[:, 1] = generator.choice([-rho, rho], rows) * z[:, 0] + np.sqrt(1 - rho**2) * z[:, 1]
    return z


def crossed_information(rho):
    """Its total correlation by integration."""
    t = np.linspace(-8, 8, 1601)
    a, b = np.meshgrid(t, t)
    parts = [
        np.exp(-(a**2 - 2 * r * a * b + b**2) / (2 * (1 - r**2))) / (2 * np.pi * np.sqrt(1 - r**2)) for r in (rho, -rho)
    ]
    joint, product = sum(parts) / 2, np.exp(-(a**2 + b**2) / 2) / (2 * np.pi)
    kept = joint > 1e-300
    return (joint[kept] * np.log(joint[kept] / product[kept])).sum() * (t[1] - t[0]) ** 2


@pytest.mark.parametrize("rho", [0.1, 0.4, 0.7])
def test_the_total_correlation_of_a_gaussian(rho):
    z, expected = equicorrelated(rho)
    found = independence(z)
    assert 0.93 * expected - 0.02 < found.gaussian <= found.score < expected + 0.03


def test_a_strong_dependence_is_bounded_and_never_overstated():
    for rho in (0.9, 0.99):
        z, expected = equicorrelated(rho, rows=1000)
        for seed in range(3):
            found = independence(z, seed=seed)
            # Of K samples the bound is ln K at most: 20 permutations of the 200 rows that are scored, and the row itself.
            assert 0.5 * min(expected, np.log(4001)) < found.score < min(expected, np.log(4001))


def test_independent_dimensions_score_nothing():
    found = independence(np.concatenate([normal(), np.random.default_rng(1).exponential(size=(4000, 2))], axis=1))
    assert found.score < 0.005
    # Trees fitted to nothing cost something on other rows: the bound of them is below 0 and not taken.
    assert found.trees_F.mean() < 0


def test_what_a_gaussian_does_not_see():
    expected = crossed_information(0.9)
    assert expected == pytest.approx(0.41, abs=0.01)
    z = crossed(0.9)
    assert total_correlation(z).score < 0.01
    found = independence(z)
    assert found.gaussian < 0.01
    # A lower bound, and most of it.
    assert 0.7 * expected < found.score < expected + 0.02


def test_a_ring():
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 4000)
    z = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.1 * normal(dimensions=2)
    assert total_correlation(z).score < 0.01
    assert independence(z).score > 0.5


def test_dependence_within_a_variable_is_none_between_them():
    z = crossed(0.9)
    assert independence(z, [2, 2]).score < 0.02
    assert independence(z[:, [0, 2, 1, 3]], [2, 2]).score > 0.25
    rho = 0.6
    linear, _ = equicorrelated(rho, dimensions=4)
    block = np.full((4, 4), rho) + (1 - rho) * np.eye(4)
    expected = 0.5 * (2 * np.linalg.slogdet(block[:2, :2])[1] - np.linalg.slogdet(block)[1])
    assert independence(linear, [2, 2]).score == pytest.approx(expected, abs=0.05)


def test_shape_and_scale_of_single_dimensions_do_not_matter():
    z = crossed(0.9, rows=1000)
    assert independence(np.sinh(2 * z) * [1, 10, 1, 0.1] + 3).score == independence(z).score


def test_copies_are_very_dependent_and_dead_dimensions_are_not():
    z = normal(2000, 2)
    copied = independence(np.concatenate([z, z[:, :1]], axis=1)).score
    assert 4 < copied < np.log(8001)
    dead = np.insert(crossed(0.9, 1000), 1, 0.1, axis=1)
    assert independence(dead).score == pytest.approx(independence(np.delete(dead, 1, axis=1)).score)
    assert independence(np.full((30, 3), 0.1)).score == 0


def test_few_rows_make_a_low_bound_and_no_error():
    assert independence(normal(20, 12)).score == 0
    assert independence(normal(20, 32)).score == 0
    assert 0 <= independence(crossed(0.9, 300)).score < crossed_information(0.9)


def test_seeds():
    z = crossed(0.9, rows=500)
    first, again, other = (independence(z, seed=seed).score for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("sizes", [[4], [2, 3], [2, 2, 0], []])
def test_sizes_that_are_no_variables_are_refused(sizes):
    with pytest.raises(DataError, match="at least two that split all 4"):
        independence(normal(50), sizes)


@pytest.mark.parametrize("package", ["lightgbm", "scipy"])
def test_a_missing_library_is_named(package, monkeypatch):
    real = builtins.__import__

    def without(module, *arguments, **keywords):
        if module.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return real(module, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r'pip install "aerepr\[metrics\]"'):
        independence(normal(50))


def test_a_run_is_asked_about_the_variables_of_its_layout():
    z = torch.from_numpy(crossed(0.9, rows=1000)).float()

    def encoded() -> Iterator[SimpleNamespace]:
        for z_BD in z.split(300):
            yield SimpleNamespace(z_BD=z_BD)

    def numbers(sizes):
        prior = SimpleNamespace(to_metric_scale=lambda z: 2 * z)
        run = SimpleNamespace(model=SimpleNamespace(prior=prior), encoded=encoded, layout=LatentLayout.of_sizes(sizes))
        return IndependenceMetric(IndependenceSpec(name="independence", seed=2)).compute(run)

    apart, together = numbers([1, 1, 1, 1]), numbers([2, 2])
    expected = independence(z.numpy(), seed=2)
    assert apart == {"independence.score": expected.score, "independence.gaussian": expected.gaussian}
    assert together["independence.score"] < 0.02 < apart["independence.score"]
