"""A square, an ellipse or a heart on black: the factors and the geometry of dSprites, drawn from formulas.

One row of the data set is one combination of the factors shape, scale, orientation, position x and position y, the last
running fastest, as in the published file. That file has one more factor in front, the colour; it takes a single value
(white), so it is left out here and the row numbers stay the same.

Each shape is symmetric, so it is two polylines over the distance from its axis: where it starts and where it ends along
that axis. A pixel is white where its centre, turned and shifted into the frame of the shape, lies between the two. No
supersampling: the 258 published images at hand come out pixel for pixel with this rule.

Sources: the factors are those of Matthey et al. 2017, github.com/deepmind/dsprites-dataset. The geometry is not
published. It was fitted to the images of the official animation (45 squares, 45 ellipses, 168 hearts) by a grid search
for the fewest differing pixels; where several values differ in none, theirs is the middle one.

Shape letters: B rows, S image side, W window side, N points of a polyline.
"""

from __future__ import annotations

import functools
import math
from typing import TypeAlias

import numpy as np

FACTOR_NAMES: tuple[str, ...] = ("shape", "scale", "orientation", "pos_x", "pos_y")
FACTOR_SIZES: tuple[int, ...] = (3, 6, 40, 32, 32)
SHAPE_NAMES: tuple[str, ...] = ("square", "ellipse", "heart")
# Published values. Both ends of the turn are included, so orientations 0 and 39 look the same.
FACTOR_VALUES: tuple[tuple[float, ...], ...] = (
    (1.0, 2.0, 3.0),
    tuple((5 + k) / 10 for k in range(6)),
    tuple(k * 2 * math.pi / 39 for k in range(40)),
    tuple(k / 31 for k in range(32)),
    tuple(k / 31 for k in range(32)),
)
ROWS: int = math.prod(FACTOR_SIZES)

SMALLEST_SIZE, LARGEST_SIZE = 16, 128

# Every length below is in pixels of a 64 x 64 image, for scale 1. Centres run from 16 to 48, measured from the edge of
# the image: the middle of pixel i is at i + 0.5.
_NATIVE_SIZE = 64
_FIRST_CENTRE, _CENTRE_SPAN = 16.0, 32.0

# Half a side. All squares are exact from 9.5966 to 9.5998, so 9.6 = 0.15 * 64, the likely intention, is just too much.
_SQUARE_HALF_SIDE = 9.598

# Semi-axes. All ellipses are exact from 12.7665 to 12.767 and from 7.213 to 7.2155.
_ELLIPSE_SEMI_AXES = (12.7667, 7.2143)

# The well-known curve x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, stretched and moved: half its width,
# pixels to a unit of y, and the height of y = 0 above the centre of rotation. All hearts are exact within about 0.0005,
# 0.0001 and 0.001 of these.
_HEART_HALF_WIDTH = 9.5985
_HEART_UNIT = 0.6622
_HEART_RISE = 1.438

# Corners of the curved outlines, a quarter turn: one every 2 degrees. A smooth heart misses two pixels at its best.
_QUARTER_TURN = np.linspace(0.0, np.pi / 2, 46)

# Rows drawn at once: keeps the windows (about 30 x 30 doubles a row) in the processor's cache.
_CHUNK = 64

_Outline: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


def _square() -> _Outline:
    side_N = np.array([0.0, _SQUARE_HALF_SIDE])
    bottom_N = np.full(2, _SQUARE_HALF_SIDE)
    return side_N, -bottom_N, bottom_N


def _ellipse() -> _Outline:
    half_width, half_height = _ELLIPSE_SEMI_AXES
    bottom_N = half_height * np.cos(_QUARTER_TURN)
    return half_width * np.sin(_QUARTER_TURN), -bottom_N, bottom_N


def _heart() -> _Outline:
    def height(t: np.ndarray) -> np.ndarray:
        y: np.ndarray = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        return y * _HEART_UNIT + _HEART_RISE

    # t and pi - t share their distance from the axis: one on the lobe, the other on the side that runs to the tip.
    side_N = _HEART_HALF_WIDTH * np.sin(_QUARTER_TURN) ** 3
    return side_N, -height(_QUARTER_TURN), -height(np.pi - _QUARTER_TURN)


@functools.cache
def _outlines() -> tuple[_Outline, ...]:
    """One outline a shape, in the order of `SHAPE_NAMES`.

    Returns:
        For each shape: distance from the vertical axis, rising from 0, and the top and bottom edges there, measured
        downwards from the centre of rotation; three arrays of shape (N,).
    """
    return _square(), _ellipse(), _heart()


def _draw(
    images_BSS: np.ndarray,
    outline: _Outline,
    scale_B: np.ndarray,
    angle_B: np.ndarray,
    pos_x_B: np.ndarray,
    pos_y_B: np.ndarray,
) -> None:
    """Draws one shape into black images, in place.

    Args:
        images_BSS: uint8, shape (B, S, S).
        outline: what `_outlines` gives for the shape.
        scale_B: scale, shape (B,).
        angle_B: orientation in radians, counter-clockwise on screen, shape (B,).
        pos_x_B: position rightwards in [0, 1], shape (B,).
        pos_y_B: position downwards in [0, 1], shape (B,).
    """
    side_N, top_N, bottom_N = outline
    size = images_BSS.shape[-1]
    magnification = size / _NATIVE_SIZE
    radius = max(np.hypot(side_N, top_N).max(), np.hypot(side_N, bottom_N).max())
    # Only a window that holds the shape at any orientation is looked at; it never leaves the image.
    reach = math.ceil(radius * scale_B.max() * magnification)
    window_W = np.arange(min(2 * reach + 2, size))

    def offsets(pos_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel numbers of the window along one axis and their distance from the centre, both (B, W)."""
        centre_B = (_FIRST_CENTRE + _CENTRE_SPAN * pos_B) * magnification - 0.5
        start_B = np.clip(np.floor(centre_B).astype(np.int64) - reach, 0, size - len(window_W))
        pixel_BW = start_B[:, None] + window_W
        return pixel_BW, (pixel_BW - centre_B[:, None]) / (scale_B[:, None] * magnification)

    column_BW, right_BW = offsets(pos_x_B)
    row_BW, down_BW = offsets(pos_y_B)
    # Rows grow downwards, so counter-clockwise on screen is clockwise in (right, down); this is the turn back.
    cos_B1, sin_B1 = np.cos(angle_B)[:, None], np.sin(angle_B)[:, None]
    across_BWW = np.abs((right_BW * cos_B1)[:, None, :] - (down_BW * sin_B1)[:, :, None])
    along_BWW = (right_BW * sin_B1)[:, None, :] + (down_BW * cos_B1)[:, :, None]
    # Beyond the widest point nothing is inside.
    inside_BWW = along_BWW > np.interp(across_BWW, side_N, top_N, right=np.inf)
    inside_BWW &= along_BWW < np.interp(across_BWW, side_N, bottom_N, right=-np.inf)
    images_BSS[np.arange(len(scale_B))[:, None, None], row_BW[:, :, None], column_BW[:, None, :]] = (
        inside_BWW * np.uint8(255)
    )


def render(rows: np.ndarray, size: int = _NATIVE_SIZE) -> np.ndarray:
    """Images of the given rows.

    Args:
        rows: row numbers, integers in [0, `ROWS`), shape (B,).
        size: side of the images in pixels, 16 to 128. At 64 the images are those of dSprites; at another size the same
            geometry is drawn larger or smaller.

    Returns:
        uint8, 0 (background) or 255 (shape), shape (B, size, size, 1).

    Raises:
        IndexError: a row number is out of range; negative ones do not count from the end.
        ValueError: `rows` is not a list of integers, or `size` is out of range.
    """
    rows_B = np.asarray(rows)
    if rows_B.ndim != 1 or not np.issubdtype(rows_B.dtype, np.integer):
        raise ValueError(f"sprites: rows must be integers of shape (B,), got {rows_B.dtype} of shape {rows_B.shape}")
    if not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise ValueError(f"sprites: size must be {SMALLEST_SIZE} to {LARGEST_SIZE} pixels, got {size}")
    if len(rows_B) and (rows_B.min() < 0 or rows_B.max() >= ROWS):
        raise IndexError(f"sprites: row numbers run from 0 to {ROWS - 1}, got {rows_B.min()} to {rows_B.max()}")

    images_BSS = np.zeros((len(rows_B), size, size), dtype=np.uint8)
    shape_B, *indices = np.unravel_index(rows_B.astype(np.int64), FACTOR_SIZES)
    values = [np.array(table)[index_B] for table, index_B in zip(FACTOR_VALUES[1:], indices, strict=True)]
    for shape, outline in enumerate(_outlines()):
        members = np.flatnonzero(shape_B == shape)
        for start in range(0, len(members), _CHUNK):
            chosen = members[start : start + _CHUNK]
            drawn = np.zeros((len(chosen), size, size), dtype=np.uint8)
            _draw(drawn, outline, *(value_B[chosen] for value_B in values))
            images_BSS[chosen] = drawn
    return images_BSS[..., None]
