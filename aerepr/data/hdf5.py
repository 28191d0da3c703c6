"""HDF5 files: one dataset, or some of its rows, into memory or block after block.

Reading goes along the first axis in blocks of whole chunks, because HDF5 decompresses a chunk each time any part of it
is asked for: row by row, a file with 100 rows in a chunk would be decompressed 100 times.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from aerepr.data.lookup import existing_file, missing_key
from aerepr.data.stored import StoredArray
from aerepr.errors import DataError

_BLOCK_BYTES = 1 << 24

# What h5py raises while looking through a damaged file, found by damaging files.
_DAMAGE_ERRORS = (OSError, RuntimeError, KeyError, TypeError, ValueError)


def read_hdf5(path: Path | str, key: str, rows: npt.NDArray[np.integer[Any]] | None = None) -> npt.NDArray[Any]:
    """Read a dataset of an HDF5 file.

    Args:
        path: the file.
        key: name of the dataset, with slashes for groups: `images`, `train/images`.
        rows: (M,) row numbers in any order, with repeats if wished; None reads all rows.

    Returns:
        The array, (N, ...) or (M, ...), dtype as stored.

    Raises:
        DataError: missing, truncated or damaged file, not HDF5, no such dataset, a dataset without rows or of objects
            or variable-length values, or a row number outside the dataset.
    """
    path = existing_file(path)
    where = f"{path}[{key}]"
    with _opened(path) as file:
        dataset = _dataset(file, path, key)
        if rows is None:
            return _read_all(dataset, where)
        return _read_rows(dataset, _checked(rows, dataset.shape[0], where), where)


def find_hdf5(path: Path | str, key: str) -> StoredArray:
    """A dataset of an HDF5 file, not yet read.

    Raises:
        DataError: as `read_hdf5`; damage inside the values is only found when they are read.
    """
    path = existing_file(path)
    with _opened(path) as file:
        dataset = _dataset(file, path, key)
        # None where storage is in chunks; of a file beside this one the offset would be meant in that.
        offset = None if dataset.external else dataset.id.get_offset()
        shape, dtype = dataset.shape, dataset.dtype
    return StoredArray(path, key, shape, dtype, offset, lambda: _stream(path, key))


def _stream(path: Path, key: str) -> Iterator[npt.NDArray[Any]]:
    with _opened(path) as file:
        dataset = _dataset(file, path, key)
        blocks = _blocks(dataset)
        for start in blocks:
            yield _read_block(dataset, start, min(start + blocks.step, dataset.shape[0]), f"{path}[{key}]")


def hdf5_keys(path: Path | str) -> tuple[str, ...]:
    """Names of all datasets in an HDF5 file, those in groups with slashes, sorted.

    Raises:
        DataError: missing, truncated or damaged file, or not HDF5.
    """
    with _opened(existing_file(path)) as file:
        return _dataset_names(file)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        # The superblock may be found and yet the file be too short for what it says: h5py calls that truncated.
        found = "an HDF5 file cut short or damaged" if h5py.is_hdf5(path) else "no HDF5 file"
        raise DataError(f"{path}: found {found} ({error}), expected HDF5; copy or download it again") from error
    with file:
        try:
            yield file
        except _DAMAGE_ERRORS as error:
            raise DataError(
                f"{path}: found damaged structures ({error}), expected HDF5 that can be read; copy or download it again"
            ) from error


def _dataset(file: h5py.File, path: Path, key: str) -> h5py.Dataset:
    dataset = file.get(key) if key else None
    if not isinstance(dataset, h5py.Dataset):
        raise missing_key(str(path), key, _dataset_names(file))
    # Variable-length values and references arrive as Python objects.
    if dataset.dtype.hasobject:
        raise DataError(
            f"{path}[{key}]: found objects or variable-length values, expected numbers of one dtype; store it again"
        )
    if not dataset.shape:
        raise DataError(f"{path}[{key}]: found {_shape_text(dataset)}, expected an array with rows; choose another key")
    return dataset


def _dataset_names(file: h5py.File) -> tuple[str, ...]:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return tuple(sorted(names))


def _shape_text(dataset: h5py.Dataset) -> str:
    return "no values" if dataset.shape is None else "a single value"


def _checked(rows: npt.NDArray[np.integer[Any]], n_rows: int, where: str) -> npt.NDArray[np.int64]:
    numbers = np.asarray(rows)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise DataError(
            f"{where}: found rows of shape {numbers.shape} and dtype {numbers.dtype}, expected a list of numbers"
        )
    if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) < n_rows:
        wrong = int(numbers.min()) if numbers.min() < 0 else int(numbers.max())
        raise DataError(f"{where}: found row number {wrong}, expected 0..{n_rows - 1}; choose rows of this data set")
    return numbers.astype(np.int64)


def _blocks(dataset: h5py.Dataset) -> range:
    """First rows of blocks: a whole number of chunks each, near the block size in bytes."""
    shape, chunk = dataset.shape, dataset.chunks[0] if dataset.chunks else 1
    row_bytes = max(1, dataset.nbytes // max(1, shape[0]))
    step = max(1, _BLOCK_BYTES // (row_bytes * chunk)) * chunk
    return range(0, shape[0], step)


def _read_all(dataset: h5py.Dataset, where: str) -> npt.NDArray[Any]:
    out = np.empty(dataset.shape, dtype=dataset.dtype)
    blocks = _blocks(dataset)
    for start in blocks:
        stop = min(start + blocks.step, len(out))
        out[start:stop] = _read_block(dataset, start, stop, where)
    return out


def _read_rows(dataset: h5py.Dataset, rows: npt.NDArray[np.int64], where: str) -> npt.NDArray[Any]:
    out = np.empty((len(rows), *dataset.shape[1:]), dtype=dataset.dtype)
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    blocks = _blocks(dataset)
    for start in blocks:
        first, last = np.searchsorted(ascending, [start, start + blocks.step])
        if first < last:
            block = _read_block(dataset, start, min(start + blocks.step, dataset.shape[0]), where)
            out[order[first:last]] = block[ascending[first:last] - start]
    return out


def _read_block(dataset: h5py.Dataset, start: int, stop: int, where: str) -> npt.NDArray[Any]:
    try:
        block: npt.NDArray[Any] = dataset[start:stop]
    except OSError as error:
        raise DataError(
            f"{where}: found rows {start} to {stop - 1} that cannot be read ({error}), expected whole chunks; "
            "the file is damaged or needs a compression filter that is not installed"
        ) from error
    return block
