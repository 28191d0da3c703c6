"""npz and npy files, read without ever unpickling: only the keys asked for are loaded.

An npz is a zip of npy files, and an npy begins with a header that tells shape and dtype. The header is read first, so a
pickled object array is recognised, and a header that promises more than the file holds is refused, before any value is
read. Source: numpy/lib/format.py (NEP 1).
"""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from aerepr.data.lookup import existing_file, missing_key
from aerepr.data.stored import StoredArray
from aerepr.errors import DataError

_BLOCK_BYTES = 1 << 24


@dataclass(frozen=True)
class ArrayHeader:
    """What an npy header says: shape, dtype, whether the values are pickled objects, and whether columns come first."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pickled: bool
    fortran: bool = False


def read_npz(path: Path | str, keys: Sequence[str]) -> tuple[dict[str, npt.NDArray[Any]], list[str]]:
    """Read some arrays of an npz file.

    Args:
        path: the file.
        keys: names of the arrays to read.

    Returns:
        The arrays by key, in the order asked for, and one note for each pickled array left alone.

    Raises:
        DataError: missing, truncated or damaged file, a key that is not there, or a pickled array among those asked
            for.
    """
    path = existing_file(path)
    with _opened(path) as archive:
        members = _members(archive)
        for key in keys:
            if key not in members:
                raise missing_key(str(path), key, members)
        arrays: dict[str, npt.NDArray[Any]] = {}
        for key in keys:
            with _said_as_data_error(f"{path}[{key}]"), archive.open(members[key]) as stream:
                arrays[key] = _read_array(stream, members[key].file_size, f"{path}[{key}]")
        notes = _pickled(archive, members, path)
    return arrays, notes


def find_npz(path: Path | str, key: str) -> tuple[StoredArray, list[str]]:
    """An array of an npz file, not yet read, and one note for each pickled array left alone.

    Raises:
        DataError: as `read_npz`; damage inside the values is only found when they are read, in a member that is not
            compressed only when they are read as blocks.
    """
    path = existing_file(path)
    where = f"{path}[{key}]"
    with _opened(path) as archive:
        members = _members(archive)
        if key not in members:
            raise missing_key(str(path), key, members)
        notes = _pickled(archive, members, path)
        member = members[key]
        with _said_as_data_error(where), archive.open(member) as stream:
            header = _checked_header(stream, member.file_size, where)
            plain = member.compress_type == zipfile.ZIP_STORED and not header.fortran
            offset = _member_offset(path, member) + stream.tell() if plain else None
    if not header.shape:
        raise DataError(f"{where}: found a single value, expected an array with rows; choose another key")
    return StoredArray(path, key, header.shape, header.dtype, offset, lambda: _stream(path, key)), notes


def _member_offset(path: Path, member: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: behind a header of 30 bytes, its name and what else was written of it."""
    with open(path, "rb") as file:
        file.seek(member.header_offset + 26)
        name, extra = struct.unpack("<2H", file.read(4))
    return int(member.header_offset + 30 + name + extra)


def _stream(path: Path, key: str) -> Iterator[npt.NDArray[Any]]:
    where = f"{path}[{key}]"
    with _opened(path) as archive:
        member = _members(archive)[key]
        with _said_as_data_error(where), archive.open(member) as stream:
            header = _checked_header(stream, member.file_size, where)
            if header.fortran:
                stream.seek(0)
                yield npy.read_array(stream, allow_pickle=False)
                return
            row_bytes = prod(header.shape[1:]) * header.dtype.itemsize
            step = max(1, _BLOCK_BYTES // max(1, row_bytes))
            for start in range(0, header.shape[0], step):
                count = min(step, header.shape[0] - start)
                content = stream.read(count * row_bytes)
                # A full read: zipfile only returns fewer bytes at the end of a member, where it compares the checksum.
                yield np.frombuffer(content, header.dtype).reshape(count, *header.shape[1:])
            stream.read(1)


def npz_keys(path: Path | str) -> tuple[str, ...]:
    """Names of the arrays in an npz file, in file order.

    Raises:
        DataError: missing, truncated or damaged file.
    """
    path = existing_file(path)
    with _opened(path) as archive:
        return tuple(_members(archive))


def npz_headers(path: Path | str) -> dict[str, ArrayHeader]:
    """Shape and dtype of every array in an npz file, read without loading any.

    Raises:
        DataError: missing, truncated or damaged file.
    """
    path = existing_file(path)
    with _opened(path) as archive:
        members = _members(archive)
        return {key: _member_header(archive, member, f"{path}[{key}]") for key, member in members.items()}


def read_npy(path: Path | str) -> npt.NDArray[Any]:
    """Read an npy file.

    Raises:
        DataError: missing, truncated or damaged file, or pickled objects.
    """
    path = existing_file(path)
    with _said_as_data_error(str(path)), open(path, "rb") as stream:
        return _read_array(stream, path.stat().st_size, str(path))


# TypeError and TokenError are what numpy lets through from a damaged header; found by damaging files.
_DAMAGE_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    TypeError,
    OSError,
    NotImplementedError,
    RuntimeError,
    tokenize.TokenError,
)


@contextmanager
def _said_as_data_error(where: str) -> Iterator[None]:
    """Turn what zipfile, zlib and numpy raise on damaged bytes into a DataError."""
    try:
        yield
    except _DAMAGE_ERRORS as error:
        raise DataError(
            f"{where}: found damaged or cut-short data ({error}), expected numpy's npz or npy format; "
            "copy or download it again"
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with _said_as_data_error(str(path)):
        archive = zipfile.ZipFile(path)
    with archive:
        yield archive


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {info.filename[:-4]: info for info in archive.infolist() if info.filename.endswith(".npy")}


def _pickled(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: Path) -> list[str]:
    return [
        f"{path}[{key}]: pickled object array, not read"
        for key, member in members.items()
        if _member_header(archive, member, f"{path}[{key}]").pickled
    ]


def _member_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> ArrayHeader:
    with _said_as_data_error(where), archive.open(member) as stream:
        return _read_header(stream)


def _read_header(stream: IO[bytes]) -> ArrayHeader:
    # Version 3 differs from 2 only in the encoding of field names, which plain arrays do not have.
    read = npy.read_array_header_1_0 if npy.read_magic(stream) == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return ArrayHeader(shape, dtype, dtype.hasobject, fortran)


def _read_array(stream: IO[bytes], n_bytes: int, where: str) -> npt.NDArray[Any]:
    _checked_header(stream, n_bytes, where)
    stream.seek(0)
    array: npt.NDArray[Any] = npy.read_array(stream, allow_pickle=False)
    return array


def _checked_header(stream: IO[bytes], n_bytes: int, where: str) -> ArrayHeader:
    header = _read_header(stream)
    if header.pickled:
        raise DataError(
            f"{where}: found a pickled object array, expected numbers; it is not read because unpickling can run code, "
            "so store it again with a plain dtype"
        )
    found, expected = n_bytes - stream.tell(), prod(header.shape) * header.dtype.itemsize
    if found != expected:
        raise DataError(
            f"{where}: found {found} bytes of values, expected {expected} for shape {header.shape} of {header.dtype}; "
            "copy or download it again"
        )
    return header
