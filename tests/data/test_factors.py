"""Tests of aerepr/data/factors.py."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerepr.data.factors import FactorTable
from aerepr.errors import DataError

WHERE = "labels.npz[factors]"


def refused(*parts: str) -> object:
    return pytest.raises(DataError, match="(?s)" + ".*".join(re.escape(part) for part in parts))


def table() -> FactorTable:
    return FactorTable.from_grid(["shape", "scale", "posX"], [2, 3, 4])


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
@settings(deadline=None, max_examples=40)
def test_a_grid_is_the_cartesian_product_in_row_major_order(sizes: list[int]) -> None:
    grid = FactorTable.from_grid([f"f{i}" for i in range(len(sizes))], sizes)
    assert grid.classes.tolist() == [list(row) for row in itertools.product(*map(range, sizes))]
    assert grid.sizes == tuple(sizes)


def test_a_grid_as_large_as_3d_shapes_is_small_in_memory() -> None:
    grid = FactorTable.from_grid(list("abcdef"), [10, 10, 10, 8, 4, 15])
    assert grid.classes.shape == (480_000, 6)
    assert grid.classes.dtype == np.int16


def test_the_index_type_widens_with_the_size() -> None:
    assert FactorTable.from_grid(["row"], [32_768]).classes.dtype == np.int32
    assert FactorTable.from_grid(["row"], [32_768]).classes[-1, 0] == 32_767


def test_a_grid_keeps_its_values() -> None:
    grid = FactorTable.from_grid(["scale", "shape"], [2, 3], [np.array([0.5, 1.0]), None])
    np.testing.assert_array_equal(grid.values[0], [0.5, 1.0])
    assert grid.values[1] is None


@pytest.mark.parametrize(
    ("names", "sizes", "values", "parts"),
    [
        (["a"], [2, 3], None, ("found 1 names and 2 sizes",)),
        ([], [], None, ("found 0 names", "expected as many, at least one")),
        (["a", "b"], [2, 0], None, ("found sizes [2, 0]", "expected each to be at least 1")),
        (["a"], [2], [np.arange(3)], ("found 3 values for 'a'", "expected its size, 2")),
        (["a", "b"], [2, 2], [None], ("1 lists of values", "expected one of each")),
        (["a", "a"], [2, 2], None, ("found names a, a", "expected each name once")),
    ],
)
def test_a_grid_that_does_not_fit_together_is_refused(
    names: list[str], sizes: list[int], values: list[np.ndarray | None] | None, parts: tuple[str, ...]
) -> None:
    with refused("factors:", *parts):
        FactorTable.from_grid(names, sizes, values)


def test_distinct_values_become_classes_in_sorted_order() -> None:
    columns = np.array([[0.5, 30.0], [-1.0, 10.0], [0.5, 20.0]])
    found, notes = FactorTable.from_columns(columns, ["scale", "angle"], WHERE)
    assert found.classes.tolist() == [[1, 2], [0, 0], [1, 1]]
    assert found.sizes == (2, 3)
    np.testing.assert_array_equal(found.values[0], [-1.0, 0.5])
    assert notes == []


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
@settings(deadline=None, max_examples=40)
def test_values_at_classes_give_the_column_back(column: list[float]) -> None:
    found, _ = FactorTable.from_columns(np.array(column))
    assert found.values[0] is not None
    np.testing.assert_array_equal(found.values[0][found.classes[:, 0]], column)


def test_integers_without_sizes_are_values() -> None:
    found, _ = FactorTable.from_columns(np.array([7, 3, 7]))
    assert found.classes[:, 0].tolist() == [1, 0, 1]
    assert found.names == ("label",)


def test_default_names_count_the_columns() -> None:
    assert FactorTable.from_columns(np.zeros((2, 2)))[0].names == ("factor_0", "factor_1")


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64])
def test_with_sizes_a_class_absent_from_the_file_keeps_its_number(dtype: type) -> None:
    found, _ = FactorTable.from_columns(np.array([7, 3, 7], dtype), ["digit"], WHERE, sizes=[10])
    assert found.classes[:, 0].tolist() == [7, 3, 7]
    assert found.sizes == (10,)
    np.testing.assert_array_equal(found.values[0], np.arange(10))


def test_a_column_with_nan_is_an_unknown_factor() -> None:
    columns = np.array([[0.0, np.nan], [1.0, 2.0]])
    found, notes = FactorTable.from_columns(columns, ["shape", "scale"], WHERE)
    assert found.classes.tolist() == [[0, -1], [1, -1]]
    assert found.sizes == (2, 0)
    assert found.values[1] is None
    assert found.known() == ("shape",)
    assert notes == [f"{WHERE}: factor 'scale' is unknown, 1 of 2 rows are NaN"]


@pytest.mark.parametrize(
    ("array", "options", "parts"),
    [
        (np.zeros((2, 2)), {"names": ["a"]}, ("found 2 columns, expected 1 for the 1 names",)),
        (np.zeros((2, 2)), {"sizes": [1]}, ("found 2 columns, expected 1 for the 1 sizes",)),
        (np.zeros((2, 2)), {"n_rows": 5}, ("found 2 rows", "expected 5")),
        (np.array([0, 10]), {"sizes": [10]}, ("'label'", "found class index 10, expected 0..9")),
        (np.array([0, -1]), {"sizes": [10]}, ("'label'", "found class index -1, expected 0..9")),
        (np.array([0, 0.5]), {"sizes": [10]}, ("'label'", "found 0.5, expected class indices 0..9")),
        (np.array(["a"]), {}, ("dtype <U1", "expected numbers")),
    ],
    ids=["names", "sizes", "length", "too-large", "negative", "fraction", "strings"],
)
def test_bad_columns_are_refused(array: np.ndarray, options: dict[str, object], parts: tuple[str, ...]) -> None:
    with refused(WHERE, *parts):
        FactorTable.from_columns(array, where=WHERE, **options)  # type: ignore[arg-type]


def test_select_takes_rows_in_all_the_lists() -> None:
    rows = table().select({"shape": [1], "posX": [0, 3]})
    assert rows.dtype == np.int64
    expected = [
        i for i, row in enumerate(itertools.product(range(2), range(3), range(4))) if row[0] and row[2] in (0, 3)
    ]
    assert rows.tolist() == expected


def test_select_nothing_in_particular_takes_all_rows() -> None:
    assert table().select({}).tolist() == list(range(24))


@pytest.mark.parametrize(
    ("subset", "parts"),
    [
        ({"shap": [0]}, ("no factor named 'shap'", 'did you mean "shape"?', "shape, scale, posX")),
        ({"scale": [0, 3]}, ("class 3 for factor 'scale'", "expected whole numbers 0..2")),
        ({"scale": [-1]}, ("class -1 for factor 'scale'", "0..2")),
        ({"scale": [0.5]}, ("class 0.5 for factor 'scale'", "0..2")),
        ({"scale": [True]}, ("class True for factor 'scale'", "0..2")),
        ({"scale": ["big"]}, ("class 'big' for factor 'scale'", "0..2")),
        ({"scale": []}, ("no rows with scale = []", "among 24", "expected at least one")),
    ],
)
def test_a_bad_subset_is_refused(subset: dict[str, list[int]], parts: tuple[str, ...]) -> None:
    with refused("subset: found", *parts):
        table().select(subset)


def test_a_subset_of_an_unknown_factor_is_refused() -> None:
    found, _ = FactorTable.from_columns(np.array([[0.0, np.nan]]), ["shape", "scale"])
    with refused("subset: found factor 'scale', whose classes are unknown", "expected one of: shape"):
        found.select({"scale": [0]})


def test_take_keeps_order_and_sizes() -> None:
    taken = table().take(np.array([23, 0, 23]))
    assert taken.classes.tolist() == [[1, 2, 3], [0, 0, 0], [1, 2, 3]]
    assert taken.sizes == (2, 3, 4)
    assert len(taken) == 3
    assert taken.known() == ("shape", "scale", "posX")
