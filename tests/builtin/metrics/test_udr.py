"""UDR of codes that agree, that are rotated, and of runs."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aerepr.builtin.metrics.udr import UDRMetric, udr
from aerepr.errors import DataError, MissingExtra, UsageError
from aerepr.kinds.batch import Batch
from aerepr.spec.base import ComponentSpec
from tests.builtin.metrics.arrays import grid

from ..building import build, context


def independent(rows=3000, dimensions=5, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, size=(rows, dimensions))


def rotation(dimensions, seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dimensions, dimensions)))[0]


def test_the_same_codes_in_another_order_and_sign_agree():
    # Every combination once: ranks of different dimensions have no correlation at all.
    z = grid((5, 4, 3)).astype(float)
    found = udr([z, -2 * z[:, [2, 0, 1]] + 1, z[:, [1, 0, 2]] ** 3])
    np.testing.assert_allclose(found.spearman_M, 1, rtol=1e-12)
    # What the penalty takes off every weight.
    two = udr([z, -2 * z[:, [2, 0, 1]] + 1])
    np.testing.assert_allclose(two.lasso_M, 0.9, rtol=1e-6)
    assert np.isnan(np.diag(two.lasso_MM)).all()


def test_rotated_codes_do_not():
    z = np.random.default_rng(0).normal(size=(3000, 8))
    found = udr([z, z @ rotation(8, 1), z @ rotation(8, 2)])
    assert found.spearman_M.max() < 0.35
    assert found.lasso_M.max() < 0.5
    assert udr([z, z[:, ::-1]]).lasso_M.min() > 0.85


def test_unrelated_codes_agree_on_nothing():
    found = udr([independent(seed=0), independent(seed=1)])
    assert found.lasso_M.max() == 0
    assert found.spearman_M.max() < 0.1


def test_against_the_definition_with_other_libraries():
    from scipy.stats import spearmanr
    from sklearn.linear_model import Lasso
    from sklearn.preprocessing import StandardScaler

    generator = np.random.default_rng(3)
    base = generator.normal(size=(1000, 4))
    runs = [
        np.round(base @ generator.normal(size=(4, 4)) + 0.3 * generator.normal(size=(1000, 4)), 1) for _ in range(3)
    ]
    found = udr(runs)

    def agreement(R):
        return 0.5 * np.mean(R.max(0) ** 2 / R.sum(0)) + 0.5 * np.mean(R.max(1) ** 2 / R.sum(1))

    for j in range(3):
        lasso, spearman = [], []
        for i in set(range(3)) - {j}:
            x, y = (StandardScaler().fit_transform(runs[k]) for k in (i, j))
            lasso.append(agreement(np.abs([Lasso(alpha=0.1).fit(x, target).coef_ for target in y.T]).T))
            spearman.append(agreement(np.abs([[spearmanr(a, b).statistic for b in y.T] for a in x.T])))
        assert found.lasso_M[j] == pytest.approx(np.median(lasso), rel=1e-3)
        assert found.spearman_M[j] == pytest.approx(np.median(spearman), rel=1e-9)


def test_the_median_is_over_the_other_runs():
    z = independent()
    found = udr([z, z, z, independent(seed=9)])
    assert found.lasso_M[:3].min() > 0.85
    assert found.lasso_M[3] == 0


def test_dimensions_without_information_are_not_compared():
    z = independent()
    noise = 0.05 * np.random.default_rng(7).normal(size=(3000, 3))
    wide = np.concatenate([noise, z], axis=1)
    found = udr([z, wide])
    np.testing.assert_allclose(found.lasso_M, udr([z, z]).lasso_M)
    np.testing.assert_array_equal(found.informative[1], [False] * 3 + [True] * 5)
    # Taken for information, they count as dimensions that go with none.
    all_of_them = udr([z, wide], informative=[np.ones(5, bool), np.ones(8, bool)])
    assert all_of_them.lasso_M[0] == pytest.approx(found.lasso_M[0] * (1 + 5 / 8) / 2, rel=0.01)
    assert udr([z, 0 * z]).lasso_M.tolist() == [0, 0]
    assert udr([z, z[:, :1]]).lasso_M.min() > 0.5


@pytest.mark.parametrize(
    ("codes", "informative", "says"),
    [
        ([independent()], None, "found those of 1 runs, expected at least 2"),
        ([independent(), independent(50)], None, "found 3000, 50 rows, expected the same examples"),
        ([independent(), independent() * np.nan], None, "NaN or infinite"),
        ([independent(), independent()], [[True] * 5, [True] * 4], r"found shapes \(5,\), \(4,\), expected"),
        ([independent(), independent()], [[True] * 5], r"found shapes \(5,\), expected"),
    ],
)
def test_bad_input(codes, informative, says):
    with pytest.raises(DataError, match=says):
        udr(codes, informative=informative)


def test_a_missing_library_is_named(monkeypatch):
    real = builtins.__import__

    def without(module, *arguments, **keywords):
        if module.partition(".")[0] == "sklearn":
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return real(module, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r'pip install "aerepr\[metrics\]"'):
        udr([independent(), independent()])


class Encoded:
    """A run whose data are the posterior's numbers (N, D, K) themselves."""

    def __init__(self, params, posterior="gaussian", rows=None):
        D, K = params.shape[1:]
        self.params = params
        self.rows = torch.arange(len(params)) if rows is None else rows
        self.model = SimpleNamespace(
            encoder=lambda x: x,
            represent=lambda batch: batch.first[..., 0],
            posterior=build("posterior", context(latent_dim=D, K=K), name=posterior),
            prior=build("prior", context(latent_dim=D), name="standard_normal"),
        )

    def evaluated(self) -> Iterator[Batch]:
        for rows in torch.arange(len(self.params)).split(700):
            yield Batch(x=self.params[rows], rows=self.rows[rows])


def metric():
    return UDRMetric(ComponentSpec(name="udr"))


def test_runs_are_compared_in_the_dimensions_that_have_a_rate():
    z = torch.from_numpy(independent(dimensions=3)).float()
    # The third dimension varies, and costs nothing: a mean that is small beside the posterior's own width.
    tiny = torch.stack([z, torch.full_like(z, -2.0)], dim=-1)
    tiny[:, 2] = torch.stack([0.2 * z[:, 2], torch.zeros(len(z))], dim=-1)
    assert tiny[:, 2, 0].var() > 0.01
    plain = z[:, :2, None]
    numbers = metric().compute([Encoded(tiny), Encoded(tiny.flip(1)), Encoded(plain, "deterministic")])
    assert list(numbers) == [
        *("udr.lasso", "udr.lasso_0", "udr.lasso_1", "udr.lasso_2"),
        *("udr.spearman", "udr.spearman_0", "udr.spearman_1", "udr.spearman_2"),
    ]
    expected = udr([z[:, :2], z[:, :2].flip(1), z[:, :2]])
    assert [numbers[f"udr.lasso_{run}"] for run in range(3)] == pytest.approx(expected.lasso_M.tolist(), rel=1e-4)
    assert numbers["udr.spearman"] == pytest.approx(expected.spearman_M.mean(), rel=1e-4)


def test_runs_on_other_rows_and_a_single_run_are_refused():
    params = torch.randn(50, 3, 2)
    with pytest.raises(DataError, match="number 2 .* asked about other rows"):
        metric().compute([Encoded(params), Encoded(params), Encoded(params, rows=torch.arange(50).flip(0))])
    with pytest.raises(UsageError, match="found 1, expected at least 2"):
        metric().compute([Encoded(params)])
