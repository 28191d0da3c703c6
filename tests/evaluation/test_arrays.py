"""Metrics of arrays by name, and their bootstrap intervals."""

import numpy as np
import pytest

from aerepr.builtin.metrics.mig import mig
from aerepr.errors import DataError, UsageError
from aerepr.evaluation import arrays
from aerepr.registry.registry import Registry

REGISTRY = Registry()


def spec(name, **settings):
    return REGISTRY.load("metric", name).Spec(name=name, **settings)


def data(rows=400, seed=0):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, [3, 4], size=(rows, 2))
    return (y @ [[1, 0.3, 0], [0, 1, 0]] + generator.normal(size=(rows, 3))).astype(np.float32), y


def interval(name, resamples=40, seed=0, rows=400, **settings):
    z, y = data(rows)
    numbers = arrays.compute(spec(name, **settings), z, y, REGISTRY)
    return numbers, arrays.intervals(spec(name, **settings), z, y, REGISTRY, numbers, resamples, seed)


def test_every_metric_of_codes_is_found():
    assert {"mig", "dci", "total_correlation"} <= set(arrays.metric_names(REGISTRY))
    assert "reconstruction" not in arrays.metric_names(REGISTRY)


@pytest.mark.parametrize("name", ["mig", "sap", "factor_vae", "irs", "total_correlation"])
def test_the_same_seed_gives_the_same_interval_around_the_number(name):
    numbers, ends = interval(name, resamples=8)
    assert ends == interval(name, resamples=8)[1]
    assert ends.keys() == numbers.keys()
    for key, value in numbers.items():
        assert ends[key].low <= value <= ends[key].high
    key = f"{name}.score"
    assert ends[key].low < ends[key].high
    assert ends[key] != interval(name, resamples=8, seed=1)[1][key]


def test_the_interval_is_as_wide_as_samples_differ():
    # What the bootstrap estimates from one sample, seen by drawing many.
    scores = [mig(*data(seed=seed)).score for seed in range(1, 201)]
    _, ends = interval("mig", resamples=200)
    width = ends["mig.score"].high - ends["mig.score"].low
    assert width == pytest.approx(2 * 1.96 * np.std(scores), rel=0.3)


def test_more_rows_make_it_narrower():
    few, many = (interval("mig", rows=rows)[1]["mig.score"] for rows in (300, 4800))
    assert (many.high - many.low) < 0.5 * (few.high - few.low)


def test_train_and_test_rows_are_drawn_from_their_own():
    # The factor can be read in the train rows alone: scored on rows of theirs, it would be told every time.
    y = np.random.default_rng(0).integers(0, 2, size=(400, 1))
    z = np.concatenate([y, 1 - y], axis=1) + 0.01 * np.random.default_rng(1).normal(size=(400, 2))
    z[200:] = np.random.default_rng(2).normal(size=(200, 2))
    settings = spec("explicitness", train_rows=200)
    numbers = arrays.compute(settings, z, y, REGISTRY)
    ends = arrays.intervals(settings, z, y, REGISTRY, numbers, 20, 0)
    assert ends["explicitness.train"].high == pytest.approx(1)
    assert ends["explicitness.score"].high < 0.75
    assert ends["explicitness.score"].high - ends["explicitness.score"].low > 0.05


def test_all_rows_may_be_train_rows_where_none_is_scored():
    numbers, ends = interval("modularity", resamples=5, train_rows=400)
    assert ends["modularity.score"].low < numbers["modularity.score"] < ends["modularity.score"].high


def test_what_cannot_be_resampled_is_refused():
    z, y = data(40)
    y[:, 0] = 0
    y[:2, 0] = y[-2:, 0] = 1
    settings = spec("sap")
    numbers = arrays.compute(settings, z, y, REGISTRY)
    with pytest.raises(DataError, match=r"resample \d+ of 100: factors: value 1 of factor 0 is in none"):
        arrays.intervals(settings, z, y, REGISTRY, numbers, 100, 0)
    with pytest.raises(UsageError, match="at least 2, got 1"):
        arrays.intervals(settings, z, y, REGISTRY, numbers, 1, 0)


def test_an_infinite_number_has_no_interval():
    z, _ = data()
    z = np.concatenate([z, z], axis=1)
    numbers = arrays.compute(spec("total_correlation"), z, None, REGISTRY)
    ends = arrays.intervals(spec("total_correlation"), z, None, REGISTRY, numbers, 3, 0)["total_correlation.score"]
    assert np.isnan([ends.low, ends.high]).all()


def test_a_metric_of_runs_and_missing_factors_are_refused():
    z, _ = data()
    with pytest.raises(UsageError, match="aerepr evaluate"):
        arrays.compute(spec("reconstruction"), z, None, REGISTRY)
    with pytest.raises(DataError, match='metric "mig" needs ground-truth factors'):
        arrays.compute(spec("mig"), z, None, REGISTRY)
