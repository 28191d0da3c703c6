"""The idx format of MNIST and its relatives, plain or gzipped.

Two zero bytes, a byte for the value type, a byte for the number of dimensions, each dimension as a big-endian uint32,
then the values, big-endian, row-major. Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", file formats.
"""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from aerepr.data.lookup import existing_file
from aerepr.errors import DataError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
_PIECE = 1 << 20


def read_idx(path: Path | str) -> npt.NDArray[Any]:
    """Read one idx file.

    Args:
        path: the file; whether it is gzipped is told from its first bytes, not from its name.

    Returns:
        The array in native byte order: (N, 28, 28) uint8 for MNIST images, (N,) uint8 for labels.

    Raises:
        DataError: missing, empty, truncated or damaged file, bytes left over, or not idx.
    """
    path = existing_file(path)
    try:
        with open(path, "rb") as raw:
            gzipped = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if not gzipped:
                return _read(raw, path)
            with gzip.GzipFile(fileobj=raw) as unpacked:
                return _read(cast("IO[bytes]", unpacked), path)
    except EOFError as error:
        raise DataError(
            f"{path}: found a gzip file cut short, expected all of it; copy or download it again"
        ) from error
    except (OSError, zlib.error) as error:
        raise DataError(f"{path}: found a damaged file ({error}), expected idx; copy or download it again") from error


def _read(stream: IO[bytes], path: Path) -> npt.NDArray[Any]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or magic[3] == 0:
        raise DataError(
            f"{path}: found first bytes {magic.hex(' ') or '(none)'}, expected an idx file: 00 00, "
            f"a type of {', '.join(f'{code:02x}' for code in _TYPES)}, a number of dimensions; "
            "check that it is the right file"
        )
    header = stream.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise DataError(
            f"{path}: found {len(header)} bytes of dimensions, expected {4 * magic[3]}; "
            "the file is cut short, copy or download it again"
        )
    shape = tuple(int(size) for size in np.frombuffer(header, dtype=">u4"))
    dtype = np.dtype(_TYPES[magic[2]])
    if 0 in shape:
        raise DataError(f"{path}: found an empty array of shape {shape}, expected at least one row; check the file")
    expected = prod(shape) * dtype.itemsize
    content = bytearray()
    # Piece by piece: a damaged header may promise more bytes than there is memory. One byte more than promised tells
    # whether anything is left over, and reaching the end makes gzip compare its checksum.
    while len(content) <= expected:
        piece = stream.read(min(_PIECE, expected + 1 - len(content)))
        if not piece:
            break
        content += piece
    if len(content) != expected:
        found = f"{len(content)} bytes" if len(content) < expected else f"more than {expected} bytes"
        reason = (
            "the file is cut short" if len(content) < expected else "the header and the values do not belong together"
        )
        raise DataError(
            f"{path}: found {found} of values, expected {expected} for shape {shape} of {dtype.name}; "
            f"{reason}, copy or download it again"
        )
    return np.frombuffer(content, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
