"""Tests of aerepr/data/hdf5.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aerepr.data import hdf5
from aerepr.data.arrays import as_images
from aerepr.data.factors import FactorTable
from aerepr.data.hdf5 import hdf5_keys, read_hdf5
from aerepr.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (25, 8, 8, 3)).astype(np.uint8)


def refused(*parts: str) -> object:
    return pytest.raises(DataError, match="(?s)" + ".*".join(map(re.escape, parts)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as opened:
        opened["images"] = IMAGES
        opened.create_dataset("train/chunked", data=IMAGES, chunks=(4, 8, 8, 2), compression="gzip")
        opened["names"] = np.array([b"a", b"b"])
        opened["one"] = 3
        opened["nothing"] = h5py.Empty("f4")
        opened.create_dataset("text", data=["a", "bc"], dtype=h5py.string_dtype())
        opened.create_dataset("ragged", (3,), dtype=h5py.vlen_dtype(np.int32))
    return path


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "_BLOCK_BYTES", 2000)


@pytest.mark.parametrize("key", ["images", "train/chunked", "/images"])
def test_a_dataset_is_read_whole(file: Path, key: str) -> None:
    np.testing.assert_array_equal(read_hdf5(file, key), IMAGES)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("key", ["images", "train/chunked"])
def test_a_dataset_is_read_whole_in_small_blocks(file: Path, key: str) -> None:
    np.testing.assert_array_equal(read_hdf5(file, key), IMAGES)


@pytest.mark.usefixtures("small_blocks")
def test_each_chunk_is_read_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, int]] = []
    original = hdf5._read_block

    def counted(dataset: h5py.Dataset, start: int, stop: int, where: str) -> np.ndarray:
        read.append((start, stop))
        return original(dataset, start, stop, where)

    monkeypatch.setattr(hdf5, "_read_block", counted)
    read_hdf5(file, "train/chunked")
    assert read == [(0, 8), (8, 16), (16, 24), (24, 25)]
    read.clear()
    read_hdf5(file, "train/chunked", np.array([24, 1, 3, 2]))
    assert read == [(0, 8), (24, 25)]


@given(st.lists(st.integers(0, 24), max_size=40), st.sampled_from(["images", "train/chunked"]))
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("small_blocks")
def test_rows_come_in_the_order_asked_for(file: Path, rows: list[int], key: str) -> None:
    numbers = np.array(rows, dtype=np.int64)
    np.testing.assert_array_equal(read_hdf5(file, key, numbers), IMAGES[numbers])


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (np.array([0, 25]), ("row number 25, expected 0..24",)),
        (np.array([-1]), ("row number -1, expected 0..24",)),
        (np.array([0.5]), ("dtype float64", "expected a list of numbers")),
        (np.array([[0]]), ("shape (1, 1)", "expected a list of numbers")),
    ],
)
def test_bad_rows_are_refused(file: Path, rows: np.ndarray, parts: tuple[str, ...]) -> None:
    with refused("a.h5[images]: found", *parts):
        read_hdf5(file, "images", rows)


def test_keys_are_listed_with_their_groups(file: Path) -> None:
    assert hdf5_keys(file) == ("images", "names", "nothing", "one", "ragged", "text", "train/chunked")


@pytest.mark.parametrize("key", ["image", "train", "", "train/nothing"])
def test_a_missing_key_lists_those_there_are(file: Path, key: str) -> None:
    with refused(f'a.h5: found no key "{key}"', "expected one of: images", "train/chunked"):
        read_hdf5(file, key)


@pytest.mark.parametrize("key", ["text", "ragged"])
def test_objects_are_refused(file: Path, key: str) -> None:
    with refused(f"a.h5[{key}]: found objects or variable-length values, expected numbers"):
        read_hdf5(file, key)


@pytest.mark.parametrize(("key", "found"), [("one", "a single value"), ("nothing", "no values")])
def test_a_dataset_without_rows_is_refused(file: Path, key: str, found: str) -> None:
    with refused(f"a.h5[{key}]: found {found}, expected an array with rows"):
        read_hdf5(file, key)


def test_strings_are_left_for_as_images_to_refuse(file: Path) -> None:
    with refused("a.h5[names]: found dtype |S1, expected uint8"):
        as_images(read_hdf5(file, "names").reshape(2, 1, 1, 1), "a.h5[names]", layout="NHWC")


def test_a_file_that_is_not_hdf5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"<!DOCTYPE html>" * 100)
    for read in (hdf5_keys, lambda path: read_hdf5(path, "images")):
        with refused("a.h5: found no HDF5 file", "expected HDF5"):
            read(tmp_path / "a.h5")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with refused("a.h5: found no such file"):
        read_hdf5(tmp_path / "a.h5", "images")


def test_a_truncated_file_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])
    with refused("a.h5: found an HDF5 file cut short or damaged", "expected HDF5"):
        read_hdf5(file, "images")


def test_a_damaged_chunk_is_refused(file: Path) -> None:
    with h5py.File(file) as opened:
        chunk = opened["train/chunked"].id.get_chunk_info(3)
    content = bytearray(file.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + 40] = b"\0" * 40
    file.write_bytes(bytes(content))
    with refused("a.h5[train/chunked]: found rows 0 to 24 that cannot be read", "expected whole chunks"):
        read_hdf5(file, "train/chunked")


@pytest.mark.parametrize("read", [hdf5_keys, lambda path: read_hdf5(path, "images")], ids=["keys", "read"])
def test_damaged_structures_are_refused(file: Path, read: Callable[[Path], object]) -> None:
    content = file.read_bytes()
    # The nodes that list the datasets of each group.
    file.write_bytes(content.replace(b"SNOD", b"SNOW").replace(b"TREE", b"TREK"))
    assert file.read_bytes() != content
    with refused("a.h5: found", "expected"):
        read(file)


def test_3d_shapes(real_data: Path) -> None:
    path = real_data / "shapes3d" / "3dshapes_subset.h5"
    assert hdf5_keys(path) == ("images", "labels")
    images, notes = as_images(read_hdf5(path, "images"), f"{path}[images]")
    assert images.shape == (25, 64, 64, 3)
    assert images.max() > 1
    assert notes == []
    rows = np.array([20, 3, 4])
    np.testing.assert_array_equal(read_hdf5(path, "images", rows), images[rows])
    names = ["floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"]
    factors, notes = FactorTable.from_columns(read_hdf5(path, "labels"), names, f"{path}[labels]", n_rows=25)
    assert factors.known() == ("floor_hue", "wall_hue", "object_hue", "shape")
    assert factors.sizes[3] == factors.sizes[5] == 0
    assert [note.split("'")[1] for note in notes] == ["scale", "orientation"]
