"""Sprites: pixel for pixel against published dSprites images, and the laws of each factor."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from aerepr.data.sprites import FACTOR_NAMES, FACTOR_SIZES, FACTOR_VALUES, ROWS, SHAPE_NAMES, render

PIXELS_PER_STEP = 32 / 31


class Published(NamedTuple):
    """dSprites images as booleans, (N, 64, 64), and their factors without the colour, indices and values (N, 5)."""

    images: np.ndarray
    indices: np.ndarray
    values: np.ndarray


@pytest.fixture(scope="module")
def dsprites() -> Published:
    """The images of the official animation, 258 distinct combinations of factors."""
    default = Path(__file__).parents[2].parent / "shared" / "data"
    file = Path(os.environ.get("AEREPR_REAL_DATA", default)) / "dsprites" / "dsprites_subset.npz"
    if not file.is_file():
        pytest.skip(f"no real dSprites images at {file}: set AEREPR_REAL_DATA to the folder that holds dsprites/")
    with np.load(file) as arrays:
        return Published(arrays["imgs"] > 0, arrays["latents_classes"][:, 1:], arrays["latents_values"][:, 1:])


def rows_of(indices: Sequence[Sequence[int]] | np.ndarray) -> np.ndarray:
    """Row numbers of factor indices (B, 5), the last factor fastest."""
    return np.asarray(np.ravel_multi_index(tuple(np.asarray(indices).T), FACTOR_SIZES))


def masks(*indices: Sequence[int], size: int = 64) -> np.ndarray:
    """Drawn shapes as booleans, (B, size, size)."""
    return render(rows_of(indices), size)[..., 0] > 0


def centroid(mask: np.ndarray) -> tuple[float, float]:
    """Mean column and row of the white pixels."""
    row, column = np.nonzero(mask)
    return float(column.mean()), float(row.mean())


def axis_angle(mask: np.ndarray) -> float:
    """Angle of the longest axis in [0, pi), counter-clockwise on screen from the horizontal."""
    row, column = np.nonzero(mask)
    (xx, xy), (_, yy) = np.cov(column, -row)
    return 0.5 * math.atan2(2 * xy, xx - yy) % math.pi


@pytest.mark.parametrize("shape", range(3), ids=SHAPE_NAMES)
def test_published_images_are_reproduced(dsprites: Published, shape: int) -> None:
    of_shape = dsprites.indices[:, 0] == shape
    drawn = render(rows_of(dsprites.indices[of_shape]))[..., 0] > 0
    # Exact, and safely so: every pixel centre is 0.0001 pixels or more from an edge, far above rounding.
    np.testing.assert_array_equal(drawn, dsprites.images[of_shape])


def test_published_values_belong_to_their_indices(dsprites: Published) -> None:
    for table, index_N, value_N in zip(FACTOR_VALUES, dsprites.indices.T, dsprites.values.T, strict=True):
        assert np.array(table)[index_N] == pytest.approx(value_N)


def test_factor_tables() -> None:
    assert FACTOR_NAMES == ("shape", "scale", "orientation", "pos_x", "pos_y")
    assert tuple(len(values) for values in FACTOR_VALUES) == FACTOR_SIZES == (3, 6, 40, 32, 32)
    assert FACTOR_VALUES[1] == pytest.approx(np.linspace(0.5, 1, 6))
    assert FACTOR_VALUES[2] == pytest.approx(np.linspace(0, 2 * np.pi, 40))
    assert FACTOR_VALUES[3] == FACTOR_VALUES[4] == pytest.approx(np.linspace(0, 1, 32))


def test_rows_count_with_the_last_factor_fastest() -> None:
    assert ROWS == 737_280
    # One row apart: only down. 32 apart: only right. Then a turn, a scale and a shape.
    steps = np.array([0, 1, 32, 32 * 32, 40 * 32 * 32, 6 * 40 * 32 * 32])
    base, down, right, turned, larger, ellipse = render(steps)[..., 0] > 0
    assert centroid(down)[0] == centroid(base)[0]
    assert centroid(down)[1] > centroid(base)[1]
    assert centroid(right)[1] == centroid(base)[1]
    assert centroid(right)[0] > centroid(base)[0]
    assert (turned != base).any()
    assert larger.sum() > 1.2 * base.sum()
    assert np.ptp(np.nonzero(ellipse)[1]) > np.ptp(np.nonzero(ellipse)[0])


def test_images_are_binary() -> None:
    images = render(np.array([0, ROWS // 2, ROWS - 1]))
    assert images.shape == (3, 64, 64, 1)
    assert images.dtype == np.uint8
    assert set(np.unique(images)) == {0, 255}


def test_nothing_leaves_the_image() -> None:
    """The largest shapes in the four corners keep their area and clear the border, at every size."""
    for size in (16, 33, 64, 128):
        corners = [(shape, 5, turn, x, y) for shape in range(3) for turn in (0, 5) for x in (0, 31) for y in (0, 31)]
        drawn = masks(*corners, size=size)
        assert not drawn[:, [0, -1], :].any()
        assert not drawn[:, :, [0, -1]].any()
        # Corners lie 32/64 of the side apart: half the side, so whole pixels where the size is even.
        if size % 2 == 0:
            assert (np.ptp(drawn.reshape(6, 4, -1).sum(axis=2), axis=1) == 0).all()


@pytest.mark.parametrize("shape", [0, 1], ids=SHAPE_NAMES[:2])
def test_position_moves_the_centroid(shape: int) -> None:
    # Square and ellipse are centred on the position; pixels round the centroid by less than half of one.
    for x, y in ((0, 0), (31, 0), (0, 31), (7, 20), (16, 15)):
        column, row = centroid(masks((shape, 5, 0, x, y))[0])
        assert column == pytest.approx(15.5 + x * PIXELS_PER_STEP, abs=0.51)
        assert row == pytest.approx(15.5 + y * PIXELS_PER_STEP, abs=0.51)


def test_a_whole_span_is_32_pixels() -> None:
    for shape in range(3):
        corner, opposite = masks((shape, 3, 11, 0, 0), (shape, 3, 11, 31, 31))
        np.testing.assert_array_equal(np.roll(corner, (32, 32), axis=(0, 1)), opposite)


def test_orientation_turns_counter_clockwise() -> None:
    for turn in range(0, 40, 3):
        (ellipse,) = masks((1, 5, turn, 16, 16))
        error = (axis_angle(ellipse) - turn * 2 * math.pi / 39) % math.pi
        assert min(error, math.pi - error) < math.radians(2)
    # The heart has a head and a tip: upright it is heavier above its centre, a quarter turn later heavier on the left.
    upright, turned = masks((2, 5, 0, 0, 0), (2, 5, 10, 0, 0))
    assert centroid(upright)[1] < 14.5
    assert centroid(turned)[0] < 14.5


def test_the_last_orientation_is_the_first() -> None:
    for shape in range(3):
        first, last = masks((shape, 5, 0, 9, 23), (shape, 5, 39, 9, 23))
        np.testing.assert_array_equal(first, last)


@pytest.mark.parametrize("shape", range(3), ids=SHAPE_NAMES)
def test_area_grows_with_the_square_of_the_scale(shape: int) -> None:
    # Averaged over sub-pixel positions; turned, so that no straight edge runs along the pixels.
    areas = [
        masks(*((shape, scale, 3, x, y) for x in range(0, 31, 3) for y in range(0, 31, 3))).sum(axis=(1, 2)).mean()
        for scale in range(6)
    ]
    assert np.array(areas) / areas[-1] == pytest.approx(np.linspace(0.5, 1, 6) ** 2, abs=0.005)


@pytest.mark.parametrize("size", [32, 128])
def test_other_sizes_draw_the_same_geometry(size: int) -> None:
    ratio = size / 64
    rows = np.random.default_rng(0).integers(0, ROWS, 60)
    native, other = render(rows)[..., 0] > 0, render(rows, size)[..., 0] > 0
    assert other.shape == (60, size, size)
    assert other.sum() / ratio**2 == pytest.approx(native.sum(), rel=0.02)
    for small, large in zip(native, other, strict=True):
        expected = [(coordinate + 0.5) * ratio - 0.5 for coordinate in centroid(small)]
        assert centroid(large) == pytest.approx(expected, abs=0.5 * max(ratio, 1))


def test_rows_do_not_depend_on_their_company() -> None:
    rows = np.random.default_rng(1).integers(0, ROWS, 200)
    together = render(rows)
    np.testing.assert_array_equal(together, render(rows))
    np.testing.assert_array_equal(together[::-1], render(rows[::-1]))
    # Alone, a row is drawn in a window of its own size.
    np.testing.assert_array_equal(together[:20], np.concatenate([render(rows[k : k + 1]) for k in range(20)]))


def test_no_rows_give_no_images() -> None:
    assert render(np.array([], dtype=np.int64)).shape == (0, 64, 64, 1)


@pytest.mark.parametrize("row", [-1, ROWS])
def test_row_out_of_range(row: int) -> None:
    with pytest.raises(IndexError, match="737279"):
        render(np.array([0, row]))


@pytest.mark.parametrize("rows", [np.array([0.0]), np.array([[0]]), np.array(0)])
def test_rows_must_be_a_list_of_integers(rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match="rows must be integers"):
        render(rows)


@pytest.mark.parametrize("size", [15, 129])
def test_size_out_of_range(size: int) -> None:
    with pytest.raises(ValueError, match="16 to 128"):
        render(np.array([0]), size)
