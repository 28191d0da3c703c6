import numpy as np
import pytest

from aerepr.builtin.metrics.mig import mig
from tests.builtin.metrics.arrays import classes, grid
from tests.builtin.metrics.reference import cases, formulas


@pytest.mark.parametrize("case", cases("mig"), ids=str)
def test_every_case_of_the_reference(case):
    found = mig(case.codes, case.factors)
    case.check("mig", found.score)
    details = case.details["mig"]
    np.testing.assert_allclose(found.information_DK, details["mutual_information"], atol=1e-8)
    np.testing.assert_allclose(found.entropy_K, details["factor_entropy"], atol=1e-8)
    np.testing.assert_allclose(found.gap_K, details["per_factor"], atol=1e-8)


@pytest.mark.parametrize("item", formulas("mig"))
def test_the_formula(item):
    assert mig(item["latents"].astype(np.float64), item["factors"]).score == pytest.approx(item["mig"], abs=1e-8)


def test_a_code_that_is_the_factors_scores_one_on_a_grid():
    y = grid()
    assert mig(y.astype(np.float32), y).score == pytest.approx(1)


def test_two_copies_of_a_factor_score_nothing():
    y = classes()
    assert mig(np.concatenate([y, y], axis=1), y).score == 0


def test_a_factor_of_many_classes_is_bounded_by_the_bins():
    y = np.stack([np.arange(800) % 40, np.arange(800) // 40 % 2], axis=1)
    assert mig(np.where([True, False], y, 0).astype(np.float64), y).gap_K[0] == pytest.approx(np.log(20) / np.log(40))


def test_the_codes_type_decides_the_bins():
    # Levels of which some lie exactly on an edge: float32 and float64 put them on different sides.
    y = np.arange(600)[:, None] % 6
    z = np.concatenate([y / 5, np.arange(600)[:, None] % 7], axis=1)
    assert mig(z, y).score == mig(z.astype(np.float64), y).score
    assert mig(z.astype(np.float16), y).score == mig(z.astype(np.float16).astype(np.float32), y).score
