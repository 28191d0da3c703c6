"""The binary matrix format of NORB."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from aerepr.data.norb import matrix_shape, read_matrix
from aerepr.errors import DataError
from tests.builtin.datasets.official_files import write_matrix


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("name", ["a.mat", "a.mat.gz"])
def test_every_type_reads_back(tmp_path: Path, dtype: str, name: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    write_matrix(tmp_path / name, array)
    assert matrix_shape(tmp_path / name) == ((2, 3, 4), np.dtype(dtype))
    np.testing.assert_array_equal(read_matrix(tmp_path / name), array)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(array=arrays(np.int32, array_shapes(max_dims=5, max_side=5)))
def test_any_number_of_dimensions(tmp_path: Path, array: np.ndarray) -> None:
    write_matrix(tmp_path / "a.mat", array)
    np.testing.assert_array_equal(read_matrix(tmp_path / "a.mat"), array)


def test_a_header_as_published(tmp_path: Path) -> None:
    # The first bytes of the published categories: one dimension, and two sizes more that mean nothing.
    header = bytes.fromhex("544c3d1e 01000000 02000000 01000000 01000000")
    (tmp_path / "a.mat").write_bytes(header + struct.pack("<2i", 3, 4))
    assert read_matrix(tmp_path / "a.mat").tolist() == [3, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"MATLAB 5.0 MAT-file", r"first bytes 4d 41 54 4c .*55 4c 3d 1e"),
        (bytes.fromhex("554c3d1e"), "expected a binary matrix"),
        (struct.pack("<Ii", 0x1E3D4C55, 0) + b"\0" * 12, "expected a binary matrix"),
        (struct.pack("<Ii3i", 0x1E3D4C55, 2, 2, -1, 1), r"sizes \(2, -1\)"),
        (struct.pack("<Iii", 0x1E3D4C55, 2, 2), "expected 2 above 0"),
        (struct.pack("<Ii3i", 0x1E3D4C55, 1, 4, 1, 1) + b"abc", "values for 3 rows, expected 4"),
        (struct.pack("<Ii3i", 0x1E3D4C55, 1, 4, 1, 1) + b"abcde", "bytes after the 4 rows"),
        (gzip.compress(struct.pack("<Ii3i", 0x1E3D4C55, 1, 4, 1, 1) + b"abcd", mtime=0)[:-6], "gzip file cut short"),
        (b"\x1f\x8b" + b"x" * 40, "damaged file"),
    ],
)
def test_other_and_damaged_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_matrix(tmp_path / "a.mat")
