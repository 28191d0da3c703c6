import numpy as np
import pytest

from aerepr.builtin.metrics.beta_vae import BetaVAEMetric, BetaVAESpec, beta_vae, beta_vae_generative
from aerepr.errors import DataError
from tests.builtin.metrics.arrays import classes, grid, noisy
from tests.builtin.metrics.reference import cases


@pytest.mark.parametrize("case", cases("beta_vae_rows_eval"), ids=str)
def test_every_case_of_the_reference_on_its_rows(case):
    found = beta_vae(case.codes, case.factors)
    case.check("beta_vae_rows_eval", found.score)
    case.check("beta_vae_rows_train", found.train)


@pytest.mark.parametrize("case", cases("beta_vae_eval"), ids=str)
def test_every_case_of_the_reference_on_new_samples(case):
    found = beta_vae_generative(case.encode, case.sizes)
    case.check("beta_vae_eval", found.score)
    case.check("beta_vae_train", found.train)


def test_one_dimension_a_factor_is_told_and_noise_is_not():
    y = classes()
    assert beta_vae(noisy(y), y).score == 1
    assert beta_vae(np.random.default_rng(0).normal(size=(600, 4)), y).score == pytest.approx(1 / 3, abs=0.04)


def test_the_seed_decides():
    y = classes()
    z = np.random.default_rng(0).normal(size=(600, 4))
    assert beta_vae(z, y, seed=1).score == beta_vae(z, y, seed=1).score
    assert beta_vae(z, y, seed=1).score != beta_vae(z, y, seed=2).score


def test_the_score_is_of_new_points():
    found = beta_vae(np.random.default_rng(0).normal(size=(600, 4)), classes())
    assert found.score * 5_000 == pytest.approx(round(found.score * 5_000), abs=1e-6)
    assert found.score != found.train


def test_the_generative_protocol_has_its_own_key_and_wants_a_full_grid():
    y = grid()
    metric = BetaVAEMetric(BetaVAESpec(name="beta_vae", protocol="generative"))
    assert metric.compute(y.astype(np.float32), y) == {"beta_vae.score@generative": 1, "beta_vae.train@generative": 1}
    with pytest.raises(DataError, match="found 59 rows"):
        metric.compute(y[1:].astype(np.float32), y[1:])
