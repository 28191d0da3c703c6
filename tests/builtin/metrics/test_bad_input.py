"""Every metric of arrays refuses what it is not defined on, and says what was found."""

import numpy as np
import pytest

from aerepr import metrics
from aerepr.errors import DataError
from tests.builtin.metrics.arrays import classes, noisy

# Those that take something else than codes and factors have tests of their own.
OTHERS = ("beta_vae_generative", "factor_vae_generative", "latent_responses", "udr")
FUNCTIONS = {name: getattr(metrics, name) for name in metrics.__all__ if name not in OTHERS}
UNSUPERVISED = {name: FUNCTIONS[name] for name in ("active_units", "independence", "total_correlation")}
SUPERVISED = {name: function for name, function in FUNCTIONS.items() if name not in UNSUPERVISED}
# Those whose factors are classes, those that fit on train rows, and those that compare factors.
CLASSES = {name: function for name, function in SUPERVISED.items() if name not in ("irs", "sap_continuous")}
SPLIT = {name: FUNCTIONS[name] for name in ("dci", "dci_lgbm", "explicitness", "modularity", "sap", "sap_continuous")}
SEVERAL = {name: FUNCTIONS[name] for name in ("beta_vae", "dci", "dci_lgbm", "factor_vae", "modularity")}
Y = classes(90)
Z = noisy(Y)


def each(functions):
    return pytest.mark.parametrize("metric", functions.values(), ids=functions.keys())


def call(metric, z, y, **settings):
    return metric(z, **settings) if metric in UNSUPERVISED.values() else metric(z, y, **settings)


@each(FUNCTIONS)
@pytest.mark.parametrize(
    ("codes", "found"),
    [
        (
            np.where(np.arange(90)[:, None] == 7, np.nan, Z),
            "found 4 values that are NaN or infinite, the first in row 7",
        ),
        (np.where(np.arange(90)[:, None] == 7, -np.inf, Z), "NaN or infinite"),
        (Z[:, 0], r"found shape \(90,\), expected \(rows, dimensions\)"),
        (Z.astype(str), "expected real numbers"),
        (Z[:1], "found 1 rows"),
        (Z[:, :0], "found 0 dimensions"),
        (Z.astype(object), "found dtype object, expected real numbers"),
        (Z.astype(complex), r"found dtype complex\d+, expected real numbers"),
        (Z * np.float32([1, 1, 1e30, 1]), r"found values as large as \S+e\+30 in dimension 2, expected at most 1e\+15"),
        (np.abs(Z.astype(np.float64)) * -1e300, "found values as large as .* in dimension 0"),
        (Z.astype(np.float64) * [1, 1e-200, 1, 1], "found a range of .* in dimension 1, expected 0 or at least 1e-100"),
        (Z.astype(np.longdouble) * np.longdouble("1e4000"), "NaN or infinite"),
        (np.ma.masked_greater(Z, 1), "codes: found masked values"),
        ([[1.0, 2.0], [3.0]] * 45, "codes: found no array"),
        (None, "codes: found shape"),
    ],
    ids=[
        "nan",
        "infinite",
        "one dimension",
        "text",
        "one row",
        "no dimension",
        "objects",
        "complex",
        "1e30",
        "1e300",
        "1e-200",
        "1e4000",
        "masked",
        "ragged",
        "none",
    ],
)
@pytest.mark.filterwarnings("error")
def test_bad_codes(metric, codes, found):
    with pytest.raises(DataError, match=found):
        call(metric, codes, Y if codes is None else Y[: len(codes)])


@each(SUPERVISED)
@pytest.mark.parametrize(
    ("factors", "found"),
    [
        (Y[:80], "found 80 rows, expected 90"),
        (None, "found none"),
        (Y.astype(str), "expected numbers"),
        (
            np.where([[True, False, False]], np.where(np.arange(90)[:, None] < 5, -1, Y), Y),
            "5 unknown labels .* in factor 0",
        ),
        (np.where(Y == 2, np.nan, Y), "NaN or infinite values"),
        (np.ma.masked_equal(Y, 1), "factors: found masked values"),
        ([[1, 2], [3]] * 45, "factors: found no array"),
        (Y.astype(object), r"found shape \(90, 3\) of object, expected numbers"),
        (Y[:, :, None], r"found shape \(90, 3, 1\)"),
        (Y[:, :0], "found 0 factors"),
        (np.full_like(Y, 3), "every factor has a single value"),
    ],
    ids=[
        "shorter",
        "none",
        "text",
        "unknown",
        "nan",
        "masked",
        "ragged",
        "objects",
        "three axes",
        "no factor",
        "constant",
    ],
)
def test_bad_factors(metric, factors, found):
    with pytest.raises(DataError, match=found):
        metric(Z, factors)


@each({name: FUNCTIONS[name] for name in ("irs", "sap_continuous")})
def test_quantities_that_floats_cannot_hold(metric):
    with pytest.raises(DataError, match=r"factors: found values as large as .* in factor 0, expected at most 1e\+15"):
        metric(Z, Y.astype(np.uint64) + np.uint64(2**63))
    with pytest.raises(DataError, match="factors: found a range of .* in factor 1"):
        metric(Z, Y * [1, 1e-200, 1])


@each(CLASSES)
def test_continuous_factors_where_classes_are_needed(metric):
    with pytest.raises(DataError, match="found float64, expected classes as integers"):
        metric(Z, Y + 0.5)


@each({name: FUNCTIONS[name] for name in ("dci", "dci_lgbm", "explicitness", "mig", "sap")})
def test_a_factor_with_one_value(metric):
    with pytest.raises(DataError, match="factor 1 has the single value 3"):
        metric(Z, np.where([True, False, True], Y, 3))


@each({name: FUNCTIONS[name] for name in ("beta_vae", "factor_vae", "irs", "modularity")})
def test_a_factor_with_one_value_where_the_score_is_defined(metric):
    assert 0 <= metric(Z, np.where([True, False, True], Y, 3)).score <= 1


@each(SEVERAL)
def test_one_factor_where_factors_are_compared(metric):
    with pytest.raises(DataError, match="found 1 factor, expected at least 2"):
        metric(Z, Y[:, 0])


@each(
    {
        name: FUNCTIONS[name]
        for name in ("dci", "dci_lgbm", "independence", "mig", "sap", "sap_continuous", "total_correlation")
    }
)
def test_one_dimension_where_dimensions_are_compared(metric):
    with pytest.raises(DataError, match="found 1 dimensions, expected at least 2"):
        call(metric, Z[:, :1], Y)


@pytest.mark.parametrize(
    ("metric", "rows"),
    [
        (metrics.independence, 19),
        (metrics.irs, 19),
        (metrics.mig, 19),
        (metrics.total_correlation, 19),
        (metrics.modularity, 28),
    ],
)
def test_fewer_rows_than_bins(metric, rows):
    with pytest.raises(DataError, match=r"found 1[89] rows, expected at least 20"):
        call(metric, Z[:rows], Y[:rows])


@each(SPLIT)
def test_more_train_rows_than_there_are(metric):
    with pytest.raises(DataError, match="10000 rows to fit on .* 90 rows are available"):
        metric(Z, Y, train_rows=10_000)


@each({name: FUNCTIONS[name] for name in ("dci", "dci_lgbm", "explicitness", "sap")})
def test_a_class_that_no_train_row_has(metric):
    y = Y.copy()
    y[:60][y[:60] == 2] = 0
    with pytest.raises(DataError, match="value 2 of factor 0 is in none of the 60 train rows"):
        metric(Z, y)


@each({name: function for name, function in FUNCTIONS.items() if name != "dci"})  # dci_lgbm takes the same way, quickly
def test_any_type_of_numbers_and_labels_with_gaps(metric):
    labels = np.array([3, 8, 9, 11, 1000])[Y]
    whole = (100 * Z).astype(np.int16)
    # Continuous metrics take labels for numbers; to the others only which rows are equal matters.
    same = labels if metric in CLASSES.values() else Y
    fields = [field for field in ("score", "disentanglement", "completeness") if hasattr(call(metric, whole, Y), field)]
    for field in fields:
        ours = getattr(call(metric, whole, same.astype(np.uint16)), field)
        assert ours == getattr(call(metric, whole.astype(np.float64), Y), field)


@each({name: function for name, function in FUNCTIONS.items() if name != "dci"})
@pytest.mark.parametrize(
    "stored",
    [
        np.asfortranarray,
        lambda array: np.repeat(array, 2, axis=1)[:, ::2],
        lambda array: array[::-1].copy()[::-1],
        lambda array: array.astype(array.dtype.newbyteorder()),
        np.asmatrix,
        np.ndarray.tolist,
    ],
    ids=["columns first", "strided", "backwards", "other byte order", "matrix", "lists"],
)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_how_an_array_is_stored_does_not_matter(metric, stored):
    z = Z.astype(np.float64)  # which lists hold
    ours, plain = call(metric, stored(z), stored(Y)), call(metric, z, Y)
    for field, value in vars(plain).items():
        np.testing.assert_allclose(getattr(ours, field), value, rtol=1e-9, atol=1e-12)


@each({name: FUNCTIONS[name] for name in ("explicitness", "irs", "mig", "modularity")})
@pytest.mark.parametrize("unit", [1e-90, 1e-38, 1e14])
def test_the_unit_of_the_codes_does_not_matter(metric, unit):
    z = Z.astype(np.float64)
    assert metric(z * unit, Y).score == pytest.approx(metric(z, Y).score, abs=1e-9)


@each(FUNCTIONS)
def test_arrays_are_left_as_they_are(metric):
    z, y = Z.copy(), Y.copy()
    z.flags.writeable = y.flags.writeable = False
    call(metric, z, y)
