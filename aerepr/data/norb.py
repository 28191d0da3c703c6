"""The binary matrix format of the NORB data sets, plain or gzipped.

Little-endian: a magic number that tells the type of the values, the number of dimensions D, max(3, D) sizes (those beyond D
are 1 and mean nothing), all int32, then the values, the last dimension fastest. Source: LeCun, Huang, Bottou 2004, "Learning
methods for generic object recognition", file formats of norb-v1.0-small.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from aerepr.data.lookup import existing_file
from aerepr.errors import DataError

_TYPES = {
    0x1E3D4C51: "<f4",
    0x1E3D4C53: "<f8",
    0x1E3D4C54: "<i4",
    0x1E3D4C55: "u1",
    0x1E3D4C56: "<i2",
}
_GZIP_MAGIC = b"\x1f\x8b"
_BLOCK_BYTES = 1 << 24
# More than any data set needs; a file of another format gives any number.
_MOST_DIMENSIONS = 8


def matrix_shape(path: Path | str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of a file's matrix, without its values.

    Raises:
        DataError: missing or empty file, or not of this format.
    """
    with _opened(existing_file(path)) as stream:
        return _header(stream, Path(path))


def read_matrix(path: Path | str) -> npt.NDArray[Any]:
    """The whole matrix.

    Raises:
        DataError: as `matrix_shape`; a truncated or damaged file, or bytes left over.
    """
    return np.concatenate(list(matrix_blocks(path)))


def matrix_blocks(path: Path | str) -> Iterator[npt.NDArray[Any]]:
    """The matrix along its first dimension, some whole rows at a time.

    Raises:
        DataError: as `read_matrix`.
    """
    path = existing_file(path)
    with _opened(path) as stream:
        shape, dtype = _header(stream, path)
        row_bytes = prod(shape[1:]) * dtype.itemsize
        step = max(1, _BLOCK_BYTES // row_bytes)
        for start in range(0, shape[0], step):
            count = min(step, shape[0] - start)
            content = stream.read(count * row_bytes)
            if len(content) < count * row_bytes:
                raise DataError(
                    f"{path}: found values for {start + len(content) // row_bytes:,} rows, expected {shape[0]:,} of shape "
                    f"{shape[1:]}; the file is cut short, copy or download it again"
                )
            yield np.frombuffer(content, dtype).reshape(count, *shape[1:])
        # Reading past the end also makes gzip compare its checksum.
        if stream.read(1):
            raise DataError(
                f"{path}: found bytes after the {shape[0]:,} rows that its header promises; copy or download it again"
            )


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with open(path, "rb") as raw:
            gzipped = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if not gzipped:
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield cast("IO[bytes]", unpacked)
    except EOFError as cause:
        raise DataError(
            f"{path}: found a gzip file cut short, expected all of it; copy or download it again"
        ) from cause
    except (OSError, zlib.error) as cause:
        raise DataError(
            f"{path}: found a damaged file ({cause}), expected a binary matrix; copy or download it again"
        ) from cause


def _header(stream: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    start = stream.read(8)
    magic, dimensions = (int(number) for number in np.frombuffer(start.ljust(8, b"\0"), "<i4"))
    if magic not in _TYPES or not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise DataError(
            f"{path}: found first bytes {start.hex(' ') or '(none)'}, expected a binary matrix of NORB: a magic number of "
            f"{', '.join(int(code).to_bytes(4, 'little').hex(' ') for code in _TYPES)}, and a number of dimensions; check "
            "that it is the right file"
        )
    sizes = stream.read(4 * max(3, dimensions))
    shape = tuple(int(size) for size in np.frombuffer(sizes, "<i4", count=len(sizes) // 4)[:dimensions])
    if len(shape) < dimensions or min(shape) < 1:
        raise DataError(f"{path}: found sizes {shape}, expected {dimensions} above 0; copy or download it again")
    return shape, np.dtype(_TYPES[magic])
