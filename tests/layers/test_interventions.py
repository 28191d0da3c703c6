import numpy as np
import pytest

from aerepr.errors import DataError, UsageError
from aerepr.layers.interventions import Encoded, StoredRows, grid_lookup, interventions
from tests.builtin.metrics.arrays import SIZES, classes, grid

Y = classes(400)

# Codes are the factors, so that what was drawn can be read.
SOURCES = {"rows": StoredRows(Y, Y), "encoded": Encoded(lambda values: values, SIZES)}


@pytest.fixture(params=SOURCES.values(), ids=SOURCES.keys())
def source(request):
    return request.param


@pytest.mark.parametrize("factor", range(3))
def test_one_factor_is_held_and_the_others_vary(source, factor):
    held = source.held(factor, 50, 64, np.random.default_rng(0))
    assert held.shape == (64, 50, 3)
    assert (held[..., factor] == held[0, :, factor]).all()
    assert len(np.unique(held[0, :, factor])) == SIZES[factor]
    for other in {0, 1, 2} - {factor}:
        assert (np.ptp(held[..., other], axis=0) > 0).all()


@pytest.mark.parametrize("factor", range(3))
def test_pairs_share_one_factor_whose_value_varies_in_the_batch(source, factor):
    first, second = source.pairs(factor, 50, 64, np.random.default_rng(0))
    assert (first[..., factor] == second[..., factor]).all()
    assert (np.ptp(first[..., factor], axis=0) > 0).all()
    for other in {0, 1, 2} - {factor}:
        assert (first[..., other] == second[..., other]).mean() == pytest.approx(1 / SIZES[other], abs=0.05)


def test_rows_are_drawn_uniformly():
    rows = StoredRows(np.arange(400)[:, None], Y)
    drawn = np.bincount(rows.draw(200_000, np.random.default_rng(0))[:, 0], minlength=400)
    assert drawn.min() > 380
    assert drawn.max() < 630
    # Held at a value, every row that has it comes as often as the others.
    held = rows.held(1, 2000, 64, np.random.default_rng(0))
    for value in range(SIZES[1]):
        own = np.flatnonzero(Y[:, 1] == value)
        counts = np.bincount(held.ravel(), minlength=400)[own]
        assert counts.min() > 0.75 * counts.mean()


def test_a_grid_is_looked_up():
    y = grid()
    encode = grid_lookup(y * 10, y, SIZES)
    np.testing.assert_array_equal(encode(Y), Y * 10)
    with pytest.raises(DataError, match="found 60 rows, expected each of the 72 combinations of 4 x 3 x 6"):
        grid_lookup(y, y, (4, 3, 6))


def test_the_protocols():
    y, generator = grid()[::-1], np.random.default_rng(0)
    np.testing.assert_array_equal(interventions("rows", y * 10, y).codes_ND, y * 10)
    first, second = interventions("generative", y * 10, y).pairs(1, 2, 500, generator)
    assert (first[..., 1] == second[..., 1]).all()
    assert len(np.unique(np.concatenate([first, second]).reshape(-1, 3), axis=0)) == len(y)
    with pytest.raises(DataError, match="found 59 rows, expected each of the 60 combinations"):
        interventions("generative", y[1:], y[1:])
    with pytest.raises(UsageError, match='protocol: found "grid", expected rows or generative'):
        interventions("grid", y, y)


def test_what_is_no_grid_is_refused():
    y = grid()
    with pytest.raises(DataError, match="found 60 rows, expected each of the 60 combinations"):
        interventions("generative", y, np.concatenate([y[1:], y[1:2]]))
    # More combinations than there are whole numbers to count them.
    many = np.tile(np.arange(60)[:, None], (1, 13))
    with pytest.raises(DataError, match=f"found 60 rows, expected each of the {60**13} combinations"):
        interventions("generative", many, many)


def test_an_encoder_gives_a_code_a_row():
    with pytest.raises(DataError, match=r"found codes of shape \(4, 2\) for 8 rows of factors"):
        Encoded(lambda values: np.zeros((len(values) // 2, 2)), SIZES).draw(8, np.random.default_rng(0))


def test_codes_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="expected finite codes"):
        Encoded(lambda values: np.full((len(values), 2), np.nan), SIZES).draw(3, np.random.default_rng(0))
