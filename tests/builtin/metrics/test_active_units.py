"""Active units against codes of known variance, and what is said of the others."""

import numpy as np
import pytest

from aerepr.builtin.metrics.active_units import ActiveUnitsMetric, active_units
from aerepr.spec.base import ComponentSpec


def codes(*deviations, rows=4000):
    """Columns of exactly these deviations."""
    z = np.random.default_rng(0).normal(size=(rows, len(deviations)))
    return (z - z.mean(axis=0)) / z.std(axis=0, ddof=1) * deviations


def metric():
    return ActiveUnitsMetric(ComponentSpec(name="active_units"))


def test_units_above_the_threshold_are_counted():
    found = active_units(codes(1.0, 0.101, 0.099, 0.0))
    assert (found.count, found.fraction) == (2, 0.5)
    np.testing.assert_array_equal(found.active_D, [True, True, False, False])
    np.testing.assert_allclose(found.variance_D, [1, 0.101**2, 0.099**2, 0], atol=1e-12)


def test_where_codes_lie_does_not_matter():
    # Not the second moment, and not in float32 arithmetic: the squares of these codes differ by less than it resolves.
    z = (codes(0.2, 0.05) + 1000).astype(np.float32)
    np.testing.assert_array_equal(active_units(z).active_D, [True, False])


@pytest.mark.parametrize(
    ("deviations", "said"),
    [
        ((1.0, 1.0, 1.0), []),
        ((1.0, 0.01, 1.0), ["1 of 3 dimensions is inactive: their code hardly differs"]),
        ((1.0, 0.01, 0.0), ["2 of 3 dimensions are inactive: their code hardly differs"]),
        ((0.01, 0.01, 0.0), ["no dimension is active"]),
    ],
)
def test_inactive_units_are_said_aloud(deviations, said):
    numbers = metric().compute(codes(*deviations), None)
    assert set(numbers) == {"active_units.count", "active_units.fraction"}
    remarks = metric().remarks(numbers)
    assert len(remarks) == len(said)
    for remark, start in zip(remarks, said, strict=True):
        assert remark.startswith(start)


def test_it_reads_no_factors_and_says_what_it_is_of_deterministic_codes():
    assert not ActiveUnitsMetric.supervised
    assert "deterministic codes have no scale" in ActiveUnitsMetric.protocol
