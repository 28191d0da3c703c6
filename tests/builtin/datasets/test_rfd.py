"""The Robot Finger Dataset: ten files of the full published length, and small ones."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from aerepr.builtin.datasets.rfd import FACTOR_SIZES, TEST, TRAIN
from aerepr.errors import DataError
from tests.builtin.datasets.building import build, pixels, source
from tests.builtin.datasets.published_files import sparse_hdf5


def labels(seed: int, count: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, FACTOR_SIZES, (count, 9)).astype(np.uint8)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each file with its number as the mark of its first and last row."""
    folder = tmp_path_factory.mktemp("full")
    for number, name in enumerate(TRAIN + TEST):
        marks = {0: 100 + number, 99_999: 200 + number}
        sparse_hdf5(folder / name, (100_000, 128, 128, 3), marks, labels=labels(number, 100_000))
    return folder


def small(folder: Path, names: tuple[str, ...], count: int = 20) -> None:
    for number, name in enumerate(names):
        with h5py.File(folder / name, "w") as file:
            images = pixels(count, 128, 128, 3)
            images[:, 0, 0] = number
            # As published: chunks of 32 rows, compressed.
            file.create_dataset("images", data=images, chunks=(min(32, count), 128, 128, 3), compression="gzip")
            file["labels"] = labels(number, count)


def test_a_million_rows_from_ten_files(full: Path) -> None:
    data = source("rfd", full, root=".")
    assert len(data.dataset) == 1_000_000
    assert data.dataset.factors.sizes == FACTOR_SIZES
    rows = np.array([99_999, 0, 100_000, 799_999, 800_000, 899_999, 900_000, 999_999, 450_000])
    batch = data.batch(torch.from_numpy(rows))
    assert (batch.x[:, 0, 0, 0] * 255).round().int().tolist() == [200, 100, 101, 207, 108, 208, 109, 209, 0]
    for row, found in zip(rows, batch.factors, strict=True):
        assert found.tolist() == labels(row // 100_000, 100_000)[row % 100_000].tolist()


def test_splits_follow_the_files(full: Path) -> None:
    data = source("rfd", full, root=".", split_seed=3)
    sizes = {split: len(data.rows(split)) for split in ("train", "valid", "test")}
    assert sizes == {"train": 720_000, "valid": 80_000, "test": 200_000}
    assert data.rows("test").min() == 800_000
    assert data.rows("valid").max() < 800_000
    other = source("rfd", full, root=".", split_seed=4)
    assert not np.array_equal(data.rows("valid"), other.rows("valid"))
    np.testing.assert_array_equal(data.rows("test"), other.rows("test"))


def test_small_files_are_a_subset(tmp_path: Path) -> None:
    small(tmp_path, (TRAIN[0], TRAIN[2], TEST[0]))
    with pytest.raises(DataError, match=r"RFD_train_0\.h5\[images\]: found 20 images, expected 100,000"):
        build("rfd", tmp_path, root=".")
    found = {}
    for memory in ("auto", "mapped", "resident"):
        data = source("rfd", tmp_path, root=".", subset_file=True, memory=memory)
        assert len(data.dataset) == 60
        assert data.rows("test").tolist() == list(range(40, 60))
        found[memory] = data.batch(torch.tensor([59, 0, 20, 39])).x
    assert (found["auto"][:, 0, 0, 0] * 255).round().tolist() == [2, 0, 1, 1]
    assert torch.equal(found["auto"], found["mapped"])
    assert torch.equal(found["auto"], found["resident"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"RFD_train_0\.h5: found no such file"):
        build("rfd", tmp_path, root=".", subset_file=True)
    small(tmp_path, TRAIN[:1])
    with pytest.raises(DataError, match=r"RFD_test_0\.h5: found no such file"):
        build("rfd", tmp_path, root=".", subset_file=True)


def test_held_out_colours_are_classes_of_their_own(tmp_path: Path) -> None:
    small(tmp_path, (*TRAIN[:1], "RFD_HC_0.h5"))
    data = source("rfd", tmp_path, root=".", subset_file=True, test="held_out_colors")
    table = data.dataset.factors
    colours = table.classes[:, table.names.index("color")]
    assert colours[:20].max() < 8
    np.testing.assert_array_equal(colours[20:], 8 + labels(1, 20)[:, 1].astype(int))
    assert table.sizes[1] == colours.max() + 1


def test_labels_beyond_their_factor_are_refused(tmp_path: Path) -> None:
    small(tmp_path, (TRAIN[0], TEST[0]))
    with h5py.File(tmp_path / TRAIN[0], "r+") as file:
        file["labels"][3, 8] = 10
    with pytest.raises(DataError, match=r"factor 'angle': found class index 10, expected 0\.\.9"):
        build("rfd", tmp_path, root=".", subset_file=True)
