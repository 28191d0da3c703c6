import numpy as np
import pytest

from aerepr.builtin.metrics.sap_continuous import sap_continuous
from aerepr.errors import DataError
from tests.builtin.metrics.arrays import classes
from tests.builtin.metrics.reference import cases, formulas


@pytest.mark.parametrize("case", cases("sap_continuous"), ids=str)
def test_every_case_of_the_reference(case):
    found = sap_continuous(case.codes, case.factors, train_rows=case.train)
    case.check("sap_continuous", found.score)
    np.testing.assert_allclose(found.squared_correlation_DK, case.details["sap"]["score_matrix_continuous"], atol=1e-5)


@pytest.mark.parametrize("item", formulas("sap_gap"))
def test_the_gap(item):
    second, first = np.sort(item["score_matrix"], axis=0)[-2:]
    assert (first - second).mean() == pytest.approx(float(item["sap"]), abs=1e-8)


def test_the_score_is_the_squared_correlation():
    generator = np.random.default_rng(0)
    y = generator.normal(size=(300, 1))
    z = np.concatenate([y + generator.normal(size=y.shape), generator.normal(size=y.shape)], axis=1)
    squares = np.corrcoef(np.concatenate([z, y], axis=1)[:200], rowvar=False)[2, :2] ** 2
    assert sap_continuous(z, y).score == pytest.approx(squares[0] - squares[1])


def test_a_dimension_that_hardly_varies_scores_nothing():
    y = classes()
    z = np.stack([y[:, 0] % 2, 1e-7 * y[:, 0], np.full(len(y), 0.1)], axis=1)
    assert sap_continuous(z, y[:, :1]).squared_correlation_DK[1:, 0].tolist() == [0, 0]
    assert sap_continuous(1e3 * z, y[:, :1]).squared_correlation_DK[1, 0] == pytest.approx(1)


def test_a_constant_factor_is_refused():
    y = classes()
    with pytest.raises(DataError, match="factor 1 has one value in all 400 train rows"):
        sap_continuous(y[:, :2], np.where([True, False, True], y, 2))
