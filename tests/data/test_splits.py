"""Tests of aerepr/data/splits.py."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerepr.data.splits import split_rows
from aerepr.errors import AereprError, DataError, UsageError


@given(st.integers(10, 3000), st.integers(0, 2**40), st.floats(0.1, 0.8), st.floats(0, 1))
@settings(deadline=None, max_examples=100)
def test_every_row_is_in_exactly_one_split(n: int, seed: int, train: float, share: float) -> None:
    valid = (0.9 - train) * share
    try:
        rows = split_rows(n, (train, valid, 1 - train - valid), seed)
    except DataError:
        assert round(n * valid) <= 1
        return
    assert list(rows) == ["train", "valid", "test"]
    np.testing.assert_array_equal(np.sort(np.concatenate(list(rows.values()))), np.arange(n))
    for piece, fraction in zip(rows.values(), (train, valid, 1 - train - valid), strict=True):
        assert abs(len(piece) - n * fraction) <= 1
        assert piece.dtype == np.int64
        assert (np.diff(piece) > 0).all()


@pytest.mark.parametrize(
    ("n", "sizes"),
    [(10, (7, 1, 2)), (10_000, (7000, 1000, 2000)), (5, (4, 0, 1)), (258, (181, 25, 52)), (25, (18, 2, 5))],
)
def test_sizes_follow_the_rule(n: int, sizes: tuple[int, int, int]) -> None:
    fractions = (0.7, 0.1, 0.2) if sizes[1] else (0.7, 0.0, 0.3)
    assert tuple(len(piece) for piece in split_rows(n, fractions).values()) == sizes


def test_the_split_is_pinned() -> None:
    rows = split_rows(10, seed=0)
    # A change here would move rows between the test and training sets of every study already run.
    found = {name: piece.tolist() for name, piece in rows.items()}
    assert found == {"train": [2, 3, 4, 5, 6, 7, 9], "valid": [0], "test": [1, 8]}


def test_the_seed_decides() -> None:
    again, other = split_rows(100, seed=3), split_rows(100, seed=4)
    np.testing.assert_array_equal(split_rows(100, seed=3)["test"], again["test"])
    assert set(again["test"].tolist()) != set(other["test"].tolist())


def test_valid_may_be_left_out() -> None:
    rows = split_rows(10, (0.8, 0.0, 0.2))
    assert len(rows["valid"]) == 0
    assert rows["valid"].dtype == np.int64


@pytest.mark.parametrize(
    ("n", "fractions", "seed", "kind", "parts"),
    [
        (10, (0.7, 0.1, 0.1), 0, UsageError, ("[0.7, 0.1, 0.1]", "sums to 0.9, expected 1")),
        (10, (0.7, 0.3), 0, UsageError, ("[0.7, 0.3]", "expected three fractions")),
        (10, (1.1, -0.2, 0.1), 0, UsageError, ("[1.1, -0.2, 0.1]", "expected no fraction below 0")),
        (10, (float("nan"), 0.5, 0.5), 0, UsageError, ("nan", "expected no fraction below 0")),
        (10, (0.9, 0.1, 0.0), 0, UsageError, ("[0.9, 0.1, 0.0]", "expected train and test above 0")),
        (10, (0.0, 0.1, 0.9), 0, UsageError, ("[0.0, 0.1, 0.9]", "expected train and test above 0")),
        (10, (0.7, 0.1, 0.2), -1, UsageError, ("split_seed = -1", "expected 0 or more")),
        (3, (0.7, 0.1, 0.2), 0, DataError, ("of 3 rows", "0 rows for valid, expected at least one")),
        (1, (0.7, 0.0, 0.3), 0, DataError, ("of 1 rows", "0 rows for test, expected at least one")),
        (1, (0.2, 0.0, 0.8), 0, DataError, ("of 1 rows", "0 rows for train, expected at least one")),
        (0, (0.7, 0.1, 0.2), 0, DataError, ("of 0 rows", "0 rows for train, expected at least one")),
    ],
)
def test_a_split_that_cannot_be_is_refused(
    n: int, fractions: tuple[float, ...], seed: int, kind: type[AereprError], parts: tuple[str, ...]
) -> None:
    with pytest.raises(kind, match=".*".join(map(re.escape, ("found", *parts)))):
        split_rows(n, fractions, seed)
