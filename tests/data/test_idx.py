"""Tests of aerepr/data/idx.py."""

from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aerepr.data.idx import read_idx
from aerepr.errors import DataError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def idx_bytes(array: np.ndarray) -> bytes:
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write(folder: Path, content: bytes) -> Path:
    path = folder / "t10k-idx3-ubyte"
    path.write_bytes(content)
    return path


def refused(*parts: str) -> object:
    return pytest.raises(DataError, match="(?s)" + ".*".join(map(re.escape, ("t10k-idx3-ubyte: found", *parts))))


@given(
    st.sampled_from(sorted(CODES)).flatmap(
        lambda code: hnp.arrays(f"={code}", hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
    ),
    st.booleans(),
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, array: np.ndarray, gzipped: bool) -> None:
    content = idx_bytes(array)
    found = read_idx(write(tmp_path, gzip.compress(content, 1) if gzipped else content))
    assert found.dtype == array.dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)


def test_the_array_may_be_written_to(tmp_path: Path) -> None:
    assert read_idx(write(tmp_path, idx_bytes(IMAGES))).flags.writeable


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with refused("no such file", "expected one"):
        read_idx(tmp_path / "t10k-idx3-ubyte")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with refused("an empty file", "expected data"):
        read_idx(write(tmp_path, b""))


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"<!DOCTYPE html>", ("first bytes 3c 21 44 4f", "expected an idx file")),
        (b"\0\0\x08", ("first bytes 00 00 08", "expected an idx file")),
        (b"\0\0\x07\x01\0\0\0\x01a", ("first bytes 00 00 07 01", "expected an idx file")),
        (b"\0\0\x08\x00a", ("first bytes 00 00 08 00", "expected an idx file")),
        (idx_bytes(IMAGES)[:10], ("6 bytes of dimensions, expected 12",)),
        (idx_bytes(IMAGES)[:-5], ("19 bytes of values, expected 24 for shape (2, 3, 4) of uint8", "cut short")),
        (idx_bytes(IMAGES) + b"x", ("more than 24 bytes of values, expected 24", "do not belong together")),
        (struct.pack(">HBBI", 0, 8, 1, 0), ("an empty array of shape (0,)", "expected")),
        (struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3) + b"x", ("1 bytes of values, expected", "cut short")),
    ],
    ids=["html", "three-bytes", "type", "no-dimensions", "header", "truncated", "too-long", "no-rows", "huge-promise"],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, parts: tuple[str, ...], gzipped: bool) -> None:
    with refused(*parts):
        read_idx(write(tmp_path, gzip.compress(content) if gzipped else content))


def test_a_gzip_file_cut_short_is_refused(tmp_path: Path) -> None:
    content = gzip.compress(idx_bytes(np.random.default_rng(0).integers(0, 256, (9, 28, 28)).astype(np.uint8)))
    for length in (12, len(content) // 2, len(content) - 1):
        with refused("a gzip file cut short", "expected all of it"):
            read_idx(write(tmp_path, content[:length]))


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(idx_bytes(IMAGES)))
    content[-6] ^= 1
    with refused("a damaged file (CRC check failed", "expected idx"):
        read_idx(write(tmp_path, bytes(content)))


def test_mnist(real_data: Path) -> None:
    images = read_idx(real_data / "mnist" / "t10k-images-idx3-ubyte.gz")
    labels = read_idx(real_data / "mnist" / "t10k-labels-idx1-ubyte.gz")
    assert images.shape == (10_000, 28, 28)
    assert images.dtype == np.uint8
    assert images.max() == 255
    # The published test set begins with a seven, a two, a one and a zero, and holds 980 zeros.
    assert labels[:4].tolist() == [7, 2, 1, 0]
    assert np.bincount(labels)[0] == 980


def test_fashion_mnist(real_data: Path) -> None:
    images = read_idx(real_data / "fashion_mnist" / "sprite600-images-idx3-ubyte.gz")
    labels = read_idx(real_data / "fashion_mnist" / "sprite600-labels-idx1-ubyte.gz")
    assert images.shape == (600, 28, 28)
    assert np.bincount(labels).tolist() == [60] * 10
