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
    ],
    ids=["nan", "infinite", "one dimension", "text", "one row"],
)
def test_bad_codes(metric, codes, found):
    with pytest.raises(DataError, match=found):
        call(metric, codes, Y[: len(codes)])


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
    ],
    ids=["shorter", "none", "text", "unknown", "nan"],
)
def test_bad_factors(metric, factors, found):
    with pytest.raises(DataError, match=found):
        metric(Z, factors)


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
    [(metrics.independence, 19), (metrics.mig, 19), (metrics.total_correlation, 19), (metrics.modularity, 28)],
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


@each(FUNCTIONS)
def test_arrays_are_left_as_they_are(metric):
    z, y = Z.copy(), Y.copy()
    z.flags.writeable = y.flags.writeable = False
    call(metric, z, y)
