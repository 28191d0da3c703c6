"""Arrays as they come out of a file, checked and brought to the forms the rest of aerepr works with.

Images are uint8 (N, H, W, C) with C of 1, 3 or 4; vectors are float32 (N, F); factor columns are numeric (N, F). What
cannot be told for certain is refused with the setting that would decide it, never guessed.

Shape letters: N rows, H height, W width, C channels, F features or factors.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aerepr.errors import DataError

Layout = Literal["NHWC", "NCHW", "NHW"]

CHANNELS = (1, 3, 4)

# Rows converted at a time are chosen so that the temporaries of one block stay near this many values.
_BLOCK_VALUES = 1 << 24


def as_images(
    array: npt.NDArray[Any],
    where: str,
    layout: Layout | None = None,
    binary: bool | None = None,
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Bring an array of images to uint8 (N, H, W, C).

    Args:
        array: (N, H, W), (N, H, W, C) or, with `layout = "NCHW"`, (N, C, H, W). Integers in 0..255, booleans, or
            float32 or float64 in [0, 1], which become round(255 x).
        where: file and key, shown in errors and notes: `shapes.npz[imgs]`.
        layout: order of the axes; None accepts only what has one reading.
        binary: whether integers are masks of 0 and 1, to be multiplied by 255. None: they are if no value exceeds 1.
            Booleans and floats have one reading and take no notice of it.

    Returns:
        The images, which share memory with `array` where nothing had to be converted, and notes on what was decided
        without being asked.

    Raises:
        DataError: no values, wrong number of dimensions or channels, ambiguous layout, wrong dtype, values out of range
            or not finite.
    """
    _require_values(array, where)
    notes: list[str] = []
    images = np.asarray(_to_nhwc(array, where, layout))
    kind = images.dtype.kind
    if kind == "b":
        return np.ascontiguousarray(images).astype(np.uint8) * np.uint8(255), notes
    if kind == "f" and images.dtype.itemsize in (4, 8):
        return _floats_to_uint8(images, array, where), notes
    if kind not in "iu":
        raise DataError(
            f"{where}: found dtype {array.dtype}, expected uint8, bool, an integer type, float32 or float64; "
            "store pixels as uint8 0..255"
        )
    low, high = int(images.min()), int(images.max())
    if low < 0 or high > 255:
        raise DataError(
            f"{where}: found {array.dtype} values from {low} to {high}, expected 0..255; rescale them and store uint8"
        )
    if binary and high > 1:
        raise DataError(
            f"{where}: found values up to {high}, expected masks of 0 and 1 because binary = true; remove that setting"
        )
    pixels = images.astype(np.uint8, copy=False)
    if binary or (binary is None and high == 1):
        if binary is None:
            notes.append(
                f"{where}: values are 0 and 1, read as masks and multiplied by 255 (binary = false keeps them)"
            )
        pixels = pixels * np.uint8(255)
    return np.ascontiguousarray(pixels), notes


def as_vectors(array: npt.NDArray[Any], where: str) -> npt.NDArray[np.float32]:
    """Bring an array of feature vectors to float32 (N, F).

    Args:
        array: (N, F), any integer, boolean or floating-point type.
        where: file and key, shown in errors.

    Returns:
        The vectors, C-contiguous; shares memory with `array` where nothing had to be converted.

    Raises:
        DataError: no values, not two dimensions, not numbers, or values that are not finite as float32.
    """
    _require_values(array, where)
    if array.ndim != 2:
        raise DataError(f"{where}: found shape {array.shape}, expected (rows, features); reshape it to two dimensions")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where}: found dtype {array.dtype}, expected numbers; store float32")
    _require_finite(array, where, "values")
    with np.errstate(over="ignore"):
        vectors = np.ascontiguousarray(array, dtype=np.float32)
    # A finite float64 beyond 3.4e38 only becomes infinite here.
    overflow = vectors.size - int(np.count_nonzero(np.isfinite(vectors)))
    if overflow:
        raise DataError(
            f"{where}: found {overflow} values beyond the range of float32, expected less than 3.4e38; rescale them"
        )
    return vectors


def as_factors(array: npt.NDArray[Any], n_rows: int | None, where: str) -> npt.NDArray[Any]:
    """Check columns of factor values or class indices.

    Args:
        array: (N, F), or (N,) for one factor; integers, booleans or floats, NaN meaning unknown.
        n_rows: rows of the data the factors belong to; None leaves the length unchecked.
        where: file and key, shown in errors.

    Returns:
        The columns, (N, F), dtype unchanged but for booleans, which become uint8.

    Raises:
        DataError: no values, wrong number of dimensions, not numbers, infinite, or another length than the data.
    """
    _require_values(array, where)
    if array.ndim not in (1, 2):
        raise DataError(f"{where}: found shape {array.shape}, expected (rows, factors) or (rows,); reshape it")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where}: found dtype {array.dtype}, expected numbers; store class indices or values")
    if n_rows is not None and len(array) != n_rows:
        raise DataError(
            f"{where}: found {len(array)} rows of factors, expected {n_rows}, one for each row of the data; "
            "check that both files belong together"
        )
    if array.dtype.kind == "f" and np.isinf(array).any():
        first = _index_text(np.isinf(array))
        raise DataError(f"{where}: found infinite values, the first at {first}, expected numbers or NaN for unknown")
    columns = array.reshape(len(array), -1)
    return columns.astype(np.uint8) if columns.dtype.kind == "b" else columns


def _require_values(array: npt.NDArray[Any], where: str) -> None:
    if array.size == 0:
        raise DataError(
            f"{where}: found an empty array of shape {array.shape}, expected at least one row; check the file"
        )


def _index_text(mask: npt.NDArray[np.bool_]) -> str:
    first = np.unravel_index(int(mask.argmax()), mask.shape)
    return "[" + ", ".join(str(int(position)) for position in first) + "]"


def _require_finite(array: npt.NDArray[Any], where: str, what: str) -> None:
    if array.dtype.kind != "f":
        return
    finite = np.isfinite(array)
    bad = array.size - int(np.count_nonzero(finite))
    if bad:
        raise DataError(
            f"{where}: found {bad} {what} that are NaN or infinite, the first at index {_index_text(~finite)}, "
            "expected finite numbers; repair or leave out those rows"
        )


def _to_nhwc(array: npt.NDArray[Any], where: str, layout: Layout | None) -> npt.NDArray[Any]:
    """A view of `array` with axes (N, H, W, C), or the reason why there is none."""
    shape = array.shape
    layout = layout or _guess_layout(shape, where)
    if len(shape) != len(layout):
        raise DataError(
            f"{where}: found shape {shape}, expected {len(layout)} dimensions because layout = {layout!r}; "
            "correct the layout"
        )
    view = array[..., np.newaxis] if layout == "NHW" else array.transpose(0, 2, 3, 1) if layout == "NCHW" else array
    if view.shape[-1] not in CHANNELS:
        raise DataError(
            f"{where}: found shape {shape} with {view.shape[-1]} channels, expected 1, 3 or 4; "
            "check the layout, or keep only those channels"
        )
    return view


def _guess_layout(shape: tuple[int, ...], where: str) -> Layout:
    if len(shape) == 3:
        if shape[-1] in CHANNELS:
            raise DataError(
                f"{where}: found shape {shape}, which may be one image (H, W, C) or many (N, H, W), "
                'expected (N, H, W, C); add the missing axis, or set layout = "NHW"'
            )
        return "NHW"
    if len(shape) != 4:
        raise DataError(f"{where}: found shape {shape}, expected (N, H, W) or (N, H, W, C); reshape it")
    first, last = shape[1] in CHANNELS, shape[-1] in CHANNELS
    if first and last:
        raise DataError(
            f"{where}: found shape {shape}, which may be (N, H, W, C) or (N, C, H, W), expected one reading; "
            'set layout = "NHWC" or layout = "NCHW"'
        )
    if first:
        raise DataError(
            f"{where}: found shape {shape}, expected (N, H, W, C), and it looks like (N, C, H, W); "
            'set layout = "NCHW" if that is so'
        )
    return "NHWC"


def _floats_to_uint8(images: npt.NDArray[Any], array: npt.NDArray[Any], where: str) -> npt.NDArray[np.uint8]:
    # Checked on the array as it came, so that the index in an error is one the user can look up.
    _require_finite(array, where, "pixels")
    low, high = float(array.min()), float(array.max())
    if low < 0.0 or high > 1.0:
        raise DataError(
            f"{where}: found {array.dtype} values from {low:g} to {high:g}, expected [0, 1]; "
            "divide by the largest value, or store uint8 0..255"
        )
    pixels = np.empty(images.shape, dtype=np.uint8)
    # In blocks of rows, so that a large file needs no second copy of itself in floats.
    step = max(1, _BLOCK_VALUES // (images.size // len(images)))
    for start in range(0, len(images), step):
        pixels[start : start + step] = np.rint(images[start : start + step] * 255.0)
    return pixels
