import numpy as np
import pytest

from aerepr.builtin.metrics.factor_vae import FactorVAEMetric, FactorVAESpec, factor_vae, factor_vae_generative
from aerepr.errors import DataError
from tests.builtin.metrics.arrays import SIZES, classes, grid, noisy
from tests.builtin.metrics.reference import cases


@pytest.mark.parametrize("case", cases("factor_vae_rows_eval"), ids=str)
def test_every_case_of_the_reference_on_its_rows(case):
    found = factor_vae(case.codes, case.factors)
    case.check("factor_vae_rows_eval", found.score)
    case.check("factor_vae_rows_train", found.train)
    assert found.active_D.tolist() == [bool(kept) for kept in case.details["factor_vae_rows"]["active_mask_first_seed"]]


@pytest.mark.parametrize("case", cases("factor_vae_eval"), ids=str)
def test_every_case_of_the_reference_on_new_samples(case):
    found = factor_vae_generative(case.encode, case.sizes)
    case.check("factor_vae_eval", found.score)
    case.check("factor_vae_train", found.train)


def test_one_dimension_a_factor_is_told_and_noise_is_not():
    y = classes()
    found = factor_vae(noisy(y), y)
    assert (found.score, found.train) == (1, 1)
    assert found.votes_DK.sum() == 10_000
    assert factor_vae(np.random.default_rng(0).normal(size=(600, 4)), y).score == pytest.approx(1 / 3, abs=0.04)


def test_dimensions_that_hardly_vary_do_not_vote():
    y = classes()
    dead = np.concatenate([noisy(y, extra=0), np.full((len(y), 1), 0.1), 0.049 * noisy(y)[:, 3:]], axis=1)
    found = factor_vae(dead, y)
    assert (found.score, found.active_D.tolist()) == (1, [True, True, True, False, False])
    assert factor_vae(np.full((600, 2), 0.1, np.float32), y).score == 0


def test_the_seed_decides():
    y = classes()
    z = np.random.default_rng(0).normal(size=(600, 4))
    assert factor_vae(z, y, seed=1).score == factor_vae(z, y, seed=1).score
    assert factor_vae(z, y, seed=1).score != factor_vae(z, y, seed=2).score


def test_the_generative_protocol_has_its_own_key_and_wants_a_full_grid():
    y = grid()
    metric = FactorVAEMetric(FactorVAESpec(name="factor_vae", protocol="generative"))
    assert metric.compute(y.astype(np.float32), y) == {
        "factor_vae.score@generative": 1,
        "factor_vae.train@generative": 1,
    }
    with pytest.raises(DataError, match="found 59 rows, expected each of the 60 combinations of 4 x 3 x 5"):
        metric.compute(y[1:].astype(np.float32), y[1:])
    with pytest.raises(DataError, match="combinations"):
        metric.compute(np.concatenate([y[1:], y[-1:]]).astype(np.float32), np.concatenate([y[1:], y[-1:]]))


def test_an_encoder_must_give_codes():
    with pytest.raises(DataError, match=r"found codes of shape \(10000,\)"):
        factor_vae_generative(lambda values: values[:, 0], SIZES)
    with pytest.raises(DataError, match="found 1 factors"):
        factor_vae_generative(lambda values: values, (3,))


def test_the_threshold_is_on_the_deviation():
    y = classes()
    z = np.random.default_rng(0).normal(size=(600, 3)) * [1.0, 0.07, 0.03]
    assert factor_vae(z, y).active_D.tolist() == [True, True, False]


def test_the_score_is_of_new_votes():
    found = factor_vae(np.random.default_rng(0).normal(size=(600, 4)), classes())
    assert found.votes_DK.sum() == 10_000
    assert found.train * 10_000 == pytest.approx(found.votes_DK.max(axis=1).sum(), abs=1e-6)
    assert found.score != found.train


def test_where_the_codes_lie_does_not_matter():
    y = classes()
    z = noisy(y).astype(np.float64)
    assert factor_vae(z + 1e8, y).score == factor_vae(z, y).score == 1
