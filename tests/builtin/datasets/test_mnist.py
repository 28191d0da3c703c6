"""MNIST and Fashion-MNIST from their four files, at the published size and cut down, and the real test images."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from aerepr.errors import DataError
from tests.builtin.datasets.building import build, source, write_idx
from tests.builtin.datasets.official_files import four_idx_files

NAMES = ["mnist", "fashion_mnist"]


@pytest.mark.parametrize("name", NAMES)
def test_the_published_sizes_and_splits(tmp_path: Path, name: str) -> None:
    arrays = four_idx_files(tmp_path, 60_000, 10_000)
    data = source(name, tmp_path, root=".")
    assert {split: len(data.rows(split)) for split in ("train", "valid", "test")} == {
        "train": 52_500,
        "valid": 7_500,
        "test": 10_000,
    }
    test = data.rows("test")
    np.testing.assert_array_equal(data.dataset.values[test][..., 0], arrays["t10k-images-idx3-ubyte"])
    labels = np.concatenate([arrays["train-labels-idx1-ubyte"], arrays["t10k-labels-idx1-ubyte"]])
    np.testing.assert_array_equal(data.dataset.factors.classes[:, 0], labels)
    assert [(factor.name, factor.size) for factor in data.info.factors] == [("label", 10)]
    together = np.concatenate([data.rows("train"), data.rows("valid"), test])
    np.testing.assert_array_equal(np.sort(together), np.arange(70_000))


def test_validation_rows_are_drawn_by_the_seed(tmp_path: Path) -> None:
    four_idx_files(tmp_path)
    rows = [
        source("mnist", tmp_path, root=".", subset_file=True, split_seed=seed, split=(0.6, 0.2, 0.2))
        .rows("valid")
        .tolist()
        for seed in (0, 0, 1)
    ]
    assert rows[0] == rows[1] != rows[2]
    assert len(rows[0]) == 5  # a quarter of the 20 training images


def test_files_may_be_unpacked(tmp_path: Path) -> None:
    arrays = four_idx_files(tmp_path, suffix="")
    dataset = build("mnist", tmp_path, root=".", subset_file=True)
    np.testing.assert_array_equal(dataset.values[:20, ..., 0], arrays["train-images-idx3-ubyte"])


def test_the_names_of_the_garments(tmp_path: Path) -> None:
    four_idx_files(tmp_path)
    (names,) = build("fashion_mnist", tmp_path, root=".", subset_file=True).factors.values
    assert (len(names), names[0], names[9]) == (10, "T-shirt/top", "Ankle boot")


def test_a_part_is_refused_unless_it_is_meant(tmp_path: Path) -> None:
    four_idx_files(tmp_path)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: found 20 images, expected 60,000;.*subset_file"):
        build("mnist", tmp_path, root=".")


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_said_with_the_way_to_get_it(tmp_path: Path, name: str) -> None:
    four_idx_files(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=rf"t10k-labels-idx1-ubyte\.gz.*aerepr data fetch {name}"):
        build(name, tmp_path, root=".", subset_file=True)


def test_files_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    four_idx_files(tmp_path)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", np.zeros((20, 32, 32), np.uint8))
    with pytest.raises(DataError, match=r"shape \(20, 32, 32\), expected uint8 \(N, 28, 28\)"):
        build("mnist", tmp_path, root=".", subset_file=True)
    four_idx_files(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.zeros(19, np.uint8))
    with pytest.raises(DataError, match="a label of 0 to 9 for each of the 20 images"):
        build("mnist", tmp_path, root=".", subset_file=True)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.full(20, 10, np.uint8))
    with pytest.raises(DataError, match="up to 10, expected a label of 0 to 9"):
        build("mnist", tmp_path, root=".", subset_file=True)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    four_idx_files(tmp_path)
    whole = (tmp_path / "train-images-idx3-ubyte.gz").read_bytes()
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cut short"):
        build("mnist", tmp_path, root=".", subset_file=True)


def test_the_real_test_images(real_data: Path, tmp_path: Path) -> None:
    four_idx_files(tmp_path)
    for file in (real_data / "mnist").glob("t10k-*.gz"):
        shutil.copy(file, tmp_path / file.name)
    data = source("mnist", tmp_path, root=".", subset_file=True)
    test = data.rows("test")
    assert len(test) == 10_000
    # The first ten test labels, as anyone who has seen the data set knows them.
    assert data.dataset.factors.classes[test[:10], 0].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    raw = gzip.decompress((real_data / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes())
    assert data.dataset.values[test].tobytes() == raw[16:]
