import numpy as np
import pytest

from aerepr.builtin.metrics.irs import IRSMetric, IRSSpec, irs
from aerepr.errors import DataError
from tests.builtin.metrics.arrays import classes, noisy
from tests.builtin.metrics.reference import cases, formulas


@pytest.mark.parametrize("case", cases("irs"), ids=str)
def test_every_case_of_the_reference(case):
    found = irs(case.codes, case.factors)
    case.check("irs", found.score)
    if not case.about["degenerate"]:  # there the reference keeps dimensions that rounding alone lets vary
        np.testing.assert_allclose(found.matrix_DK, case.details["irs"]["matrix"], atol=1e-5)
        np.testing.assert_allclose(found.largest_D, case.details["irs"]["max_deviations"], rtol=1e-5)
    assert irs(case.codes, case.factors, quantile=1).score == pytest.approx(
        case.about["variants"]["irs_quantile_1"], abs=1e-4
    )


@pytest.mark.parametrize("item", formulas("irs"))
def test_the_formula(item):
    found = irs(item["latents"].astype(np.float64), item["factors"], quantile=float(item["quantile"]))
    assert found.score == pytest.approx(float(item["score"]), abs=1e-8)
    np.testing.assert_allclose(found.matrix_DK, item["matrix"], atol=1e-8)


def test_codes_without_noise_score_one():
    y = classes()
    assert irs(y.astype(np.float64), y).score == 1


def test_dimensions_that_do_not_vary_are_left_out():
    y = classes()
    z = noisy(y)
    dead = np.concatenate([np.full((len(z), 1), 0.1, np.float32), z], axis=1)
    assert irs(dead, y).score == irs(z, y).score
    assert irs(dead, y).active_D.tolist() == [1, 2, 3, 4]
    with pytest.raises(DataError, match="every dimension is constant"):
        irs(np.full((30, 2), 0.1, np.float32), y[:30])


def test_factors_may_be_continuous():
    angle = np.linspace(0, 1, 400)[:, None]
    assert irs(np.concatenate([angle, angle[::-1] ** 2], axis=1), angle).score > 0.9


def test_another_quantile_has_another_key():
    y = classes()
    assert list(IRSMetric(IRSSpec(name="irs", quantile=1)).compute(noisy(y), y)) == ["irs.score@quantile=1"]
    assert list(IRSMetric(IRSSpec(name="irs")).compute(noisy(y), y)) == ["irs.score"]
