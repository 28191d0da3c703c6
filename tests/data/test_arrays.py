"""Tests of aerepr/data/arrays.py."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aerepr.data import arrays
from aerepr.data.arrays import as_factors, as_images, as_vectors
from aerepr.errors import DataError

WHERE = "shapes.npz[imgs]"


def refused(*parts: str) -> object:
    """A DataError that names the file and holds the parts in order."""
    return pytest.raises(DataError, match="(?s)" + ".*".join(re.escape(part) for part in (f"{WHERE}: found", *parts)))


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_uint8_nhwc_is_taken_as_it_is(channels: int) -> None:
    given_array = pixels(5, 8, 6, channels)
    images, notes = as_images(given_array, WHERE)
    assert np.shares_memory(images, given_array)
    np.testing.assert_array_equal(images, given_array)
    assert notes == []


def test_nhw_gains_a_channel() -> None:
    given_array = pixels(5, 8, 6)
    images, _ = as_images(given_array, WHERE)
    assert images.shape == (5, 8, 6, 1)
    np.testing.assert_array_equal(images[..., 0], given_array)


def test_nchw_is_transposed_when_the_layout_says_so() -> None:
    given_array = pixels(5, 3, 8, 6)
    images, _ = as_images(given_array, WHERE, layout="NCHW")
    assert images.shape == (5, 8, 6, 3)
    assert images.flags.c_contiguous
    assert images[2, 7, 5, 1] == given_array[2, 1, 7, 5]


def test_nchw_is_refused_without_a_layout() -> None:
    with refused("(5, 3, 8, 6)", "expected (N, H, W, C)", 'set layout = "NCHW"'):
        as_images(pixels(5, 3, 8, 6), WHERE)


def test_a_shape_with_two_readings_is_refused() -> None:
    with refused("(5, 3, 8, 3)", "expected one reading", 'layout = "NHWC"'):
        as_images(pixels(5, 3, 8, 3), WHERE)
    assert as_images(pixels(5, 3, 8, 3), WHERE, layout="NHWC")[0].shape == (5, 3, 8, 3)
    assert as_images(pixels(5, 3, 8, 3), WHERE, layout="NCHW")[0].shape == (5, 8, 3, 3)


def test_one_image_without_its_row_axis_is_refused() -> None:
    with refused("(8, 6, 3)", "one image", "expected (N, H, W, C)", 'layout = "NHW"'):
        as_images(pixels(8, 6, 3), WHERE)
    assert as_images(pixels(8, 6, 3), WHERE, layout="NHW")[0].shape == (8, 6, 3, 1)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_a_layout_of_another_number_of_dimensions_is_refused(layout: arrays.Layout) -> None:
    with refused("(5, 8, 6)", "expected 4 dimensions", f"layout = '{layout}'"):
        as_images(pixels(5, 8, 6), WHERE, layout=layout)


@pytest.mark.parametrize("shape", [(64,), (8, 8), (2, 2, 8, 8, 3)])
def test_other_numbers_of_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    with refused(str(shape), "expected (N, H, W) or (N, H, W, C)"):
        as_images(pixels(*shape), WHERE)


def test_two_channels_are_refused() -> None:
    with refused("(5, 8, 6, 2)", "2 channels, expected 1, 3 or 4"):
        as_images(pixels(5, 8, 6, 2), WHERE)


@pytest.mark.parametrize("shape", [(0, 8, 6), (5, 0, 6, 3), (0,)])
def test_an_empty_array_is_refused(shape: tuple[int, ...]) -> None:
    with refused("an empty array of shape", str(shape), "expected at least one row"):
        as_images(np.zeros(shape, np.uint8), WHERE)


def test_booleans_become_0_and_255() -> None:
    mask = np.eye(8, dtype=np.bool_)[None]
    images, notes = as_images(mask, WHERE)
    np.testing.assert_array_equal(images[0, ..., 0], np.eye(8) * 255)
    assert images.dtype == np.uint8
    assert notes == []


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_masks_of_0_and_1_are_scaled_and_it_is_said(dtype: type) -> None:
    mask = np.eye(8, dtype=dtype)[None]
    images, notes = as_images(mask, WHERE)
    np.testing.assert_array_equal(np.unique(images), [0, 255])
    assert len(notes) == 1
    assert notes[0].startswith(f"{WHERE}: values are 0 and 1")
    assert mask.max() == 1, "the array that was given must stay as it was"


def test_binary_decides_what_a_small_maximum_means() -> None:
    mask = np.eye(8, dtype=np.uint8)[None]
    assert as_images(mask, WHERE, binary=False)[0].max() == 1
    scaled, notes = as_images(mask, WHERE, binary=True)
    assert scaled.max() == 255
    assert notes == []
    with refused("values up to 2", "expected masks of 0 and 1", "binary = true"):
        as_images(mask * np.uint8(2), WHERE, binary=True)


def test_black_images_are_not_called_masks() -> None:
    assert as_images(np.zeros((2, 8, 8), np.uint8), WHERE)[1] == []


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.int64, np.uint64, ">i4"])
def test_wider_integers_in_range_are_narrowed(dtype: type | str) -> None:
    given_array = pixels(5, 8, 6)
    images, _ = as_images(given_array.astype(dtype), WHERE)
    np.testing.assert_array_equal(images[..., 0], given_array)


@pytest.mark.parametrize("value", [-1, 256, 70000])
def test_integers_out_of_range_are_refused(value: int) -> None:
    given_array = pixels(5, 8, 6).astype(np.int32)
    given_array[1, 2, 3] = value
    with refused("int32 values", str(value), "expected 0..255"):
        as_images(given_array, WHERE)


@given(hnp.arrays(np.float32, (3, 5, 6), elements=st.floats(0, 1, width=32)))
@settings(deadline=None, max_examples=30)
def test_floats_in_the_unit_interval_are_rounded(values: np.ndarray) -> None:
    images, _ = as_images(values, WHERE)
    assert np.abs(images[..., 0] - values.astype(np.float64) * 255).max() <= 0.5 + 1e-4


def test_every_byte_survives_as_a_float() -> None:
    byte = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(as_images(byte.astype(dtype) / dtype(255), WHERE)[0][..., 0], byte)


def test_floats_are_converted_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((7, 3, 5, 6))
    whole, _ = as_images(values, WHERE, layout="NCHW")
    monkeypatch.setattr(arrays, "_BLOCK_VALUES", 3 * 5 * 6 * 2)
    np.testing.assert_array_equal(as_images(values, WHERE, layout="NCHW")[0], whole)


@pytest.mark.parametrize(("low", "high"), [(-0.5, 1.0), (0.0, 255.0)])
def test_floats_outside_the_unit_interval_are_refused(low: float, high: float) -> None:
    values = np.linspace(low, high, 128).reshape(2, 8, 8)
    with refused(f"float64 values from {low:g} to {high:g}", "expected [0, 1]"):
        as_images(values, WHERE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_counted_and_located(value: float) -> None:
    values = np.zeros((4, 3, 8, 6), np.float32)
    values[2, 1, 5, 3] = values[3, 0, 0, 0] = value
    with refused("2 pixels", "index [2, 1, 5, 3]", "expected finite"):
        as_images(values, WHERE, layout="NCHW")


@pytest.mark.parametrize(
    "array",
    [
        np.full((2, 8, 8), "a"),
        np.full((2, 8, 8), None),
        np.zeros((2, 8, 8), np.complex64),
        np.zeros((2, 8, 8), np.float16),
        np.zeros((2, 8, 8), [("r", "u1")]),
    ],
    ids=["strings", "objects", "complex", "half", "records"],
)
def test_other_types_are_refused(array: np.ndarray) -> None:
    with refused(f"dtype {array.dtype}", "expected uint8"):
        as_images(array, WHERE)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.bool_, ">f8"])
def test_numbers_become_float32_vectors(dtype: type | str) -> None:
    vectors = as_vectors(np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype), WHERE)
    assert vectors.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(vectors, [[0, 1, 1], [1, 0, 1]])


@pytest.mark.parametrize(
    ("array", "parts"),
    [
        (np.zeros((0, 3)), ("an empty array of shape (0, 3)", "expected")),
        (np.zeros(3), ("shape (3,)", "expected (rows, features)")),
        (np.zeros((2, 3, 4)), ("shape (2, 3, 4)", "expected (rows, features)")),
        (np.array([[1.0, 2.0], [np.nan, np.inf]]), ("2 values", "index [1, 0]", "expected finite")),
        (np.array([[1.0, 1e300]]), ("1 values beyond", "expected less than 3.4e38")),
        (np.array([["a", "b"]]), ("dtype <U1", "expected numbers")),
        (np.array([[1j]]), ("dtype complex128", "expected numbers")),
    ],
    ids=["empty", "one-dimension", "three-dimensions", "nan", "overflow", "strings", "complex"],
)
def test_bad_vectors_are_refused(array: np.ndarray, parts: tuple[str, ...]) -> None:
    with refused(*parts):
        as_vectors(array, WHERE)


def test_one_column_of_factors_becomes_a_table() -> None:
    assert as_factors(np.array([3, 1, 2]), 3, WHERE).shape == (3, 1)
    assert as_factors(np.array([True, False]), None, WHERE).dtype == np.uint8
    assert np.isnan(as_factors(np.array([[1.0, np.nan]]), 1, WHERE)[0, 1])


@pytest.mark.parametrize(
    ("array", "parts"),
    [
        (np.zeros((0, 2)), ("an empty array of shape (0, 2)", "expected")),
        (np.zeros((2, 2, 2)), ("shape (2, 2, 2)", "expected (rows, factors) or (rows,)")),
        (np.array(["cat", "dog"]), ("dtype <U3", "expected numbers")),
        (np.zeros((2, 2)), ("2 rows", "expected 3")),
        (np.array([[1.0], [np.inf], [0.0]]), ("infinite", "[1, 0]", "expected numbers or NaN")),
    ],
    ids=["empty", "dimensions", "strings", "length", "infinite"],
)
def test_bad_factors_are_refused(array: np.ndarray, parts: tuple[str, ...]) -> None:
    with refused(*parts):
        as_factors(array, 3, WHERE)
