"""3D Shapes: real images of a cut-down file, and files of the full published length."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from aerepr.builtin.datasets.shapes3d import FILE, label_classes
from aerepr.errors import DataError
from tests.builtin.datasets.building import build, pixels, source
from tests.builtin.datasets.published_files import marked, shapes3d_labels, sparse_hdf5

FULL = 480_000
# Ends, where each factor turns over, and rows in the middle.
ROWS = [0, 1, 14, 15, 59, 60, 479, 480, 4800, 48_000, 239_999, 240_000, 311_111, 479_998, 479_999]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    sparse_hdf5(folder / FILE, (FULL, 64, 64, 3), marked(ROWS), labels=shapes3d_labels(np.arange(FULL)))
    return folder


def small(folder: Path, rows: np.ndarray) -> None:
    with h5py.File(folder / FILE, "w") as file:
        file["images"], file["labels"] = pixels(len(rows), 64, 64, 3), shapes3d_labels(rows)


def test_rows_of_the_full_file_are_those_of_the_grid(full: Path) -> None:
    data = source("shapes3d", full, root=".")
    table = data.dataset.factors
    assert (len(data.dataset), table.sizes) == (FULL, (10, 10, 10, 8, 4, 15))
    assert data.dataset.notes == []
    batch = data.batch(torch.tensor(ROWS))
    # By a formula of its own: orientation turns over every 15 rows, shape every 60, and so on.
    expected = [
        [row // 48_000, row // 4800 % 10, row // 480 % 10, row // 60 % 8, row // 15 % 4, row % 15] for row in ROWS
    ]
    assert batch.factors.tolist() == expected
    assert (batch.x[:, :, 0, 0] * 255).round().int().tolist() == [[mark] * 3 for mark in marked(ROWS).values()]
    assert batch.x[:, :, 1:].abs().sum() == 0
    assert {split: len(data.rows(split)) for split in ("train", "valid", "test")} == {
        "train": 336_000,
        "valid": 48_000,
        "test": 96_000,
    }


def test_a_full_file_is_read_where_it_is(full: Path) -> None:
    build("shapes3d", full, root=".")
    assert not (full / "cache").exists()


def test_subsets_select_by_class(full: Path) -> None:
    data = source("shapes3d", full, root=".", subset={"shape": [0, 1, 3], "orientation": [7]})
    rows = np.concatenate([data.rows(split) for split in ("train", "valid", "test")])
    assert len(rows) == FULL * 3 // 4 // 15
    assert set(rows // 15 % 4) == {0, 1, 3}
    assert set(rows % 15) == {7}


def test_the_released_split(full: Path) -> None:
    data = source("shapes3d", full, root=".", rule="released")
    sizes = {split: len(data.rows(split)) for split in ("train", "valid", "test")}
    assert sizes == {"train": 345_600, "valid": 38_400, "test": 96_000}
    np.testing.assert_array_equal(
        data.rows("test"),
        np.sort(np.random.RandomState(0).permutation(FULL)[-96_000:]),  # noqa: NPY002
    )


def test_values_are_the_published_ones(full: Path) -> None:
    values = build("shapes3d", full, root=".").factors.values
    np.testing.assert_allclose(values[0], np.arange(10) / 10)
    np.testing.assert_allclose(values[3], np.linspace(0.75, 1.25, 8))
    np.testing.assert_allclose(values[5], np.linspace(-30, 30, 15))


def test_labels_in_another_order_are_refused(tmp_path: Path) -> None:
    order = np.arange(FULL)
    order[[70_000, 70_001]] = 70_001, 70_000
    sparse_hdf5(tmp_path / FILE, (FULL, 64, 64, 3), {}, labels=shapes3d_labels(order))
    with pytest.raises(DataError, match=r"in row 70000, expected \[1, 4, 5, 6, 2, 10\] in the published order"):
        build("shapes3d", tmp_path, root=".")


def test_real_images_of_a_cut_down_file(real_data: Path, tmp_path: Path) -> None:
    shutil.copy(real_data / "shapes3d" / "3dshapes_subset.h5", tmp_path / FILE)
    with pytest.raises(DataError, match=r"found 25 images, expected 480,000, .* set subset_file = true"):
        build("shapes3d", tmp_path, root=".")
    dataset = build("shapes3d", tmp_path, root=".", subset_file=True)
    with h5py.File(tmp_path / FILE) as file:
        images, labels = file["images"][:], file["labels"][:]
    np.testing.assert_array_equal(dataset.resident(torch.device("cpu")).numpy(), images)
    assert dataset.factors.sizes == (10, 10, 10, 0, 4, 0)
    assert dataset.factors.known() == ("floor_hue", "wall_hue", "object_hue", "shape")
    np.testing.assert_array_equal(dataset.factors.classes[:, 0], np.rint(labels[:, 0] * 10))
    np.testing.assert_array_equal(dataset.factors.classes[:, 4], labels[:, 4])
    assert dataset.factors.values[3] is None
    assert [note.split("'")[1] for note in dataset.notes] == ["scale", "orientation"]


def test_classes_keep_their_numbers_in_a_cut_down_file(tmp_path: Path) -> None:
    rows = np.array([479_999, 13, 250_000])
    small(tmp_path, rows)
    table = build("shapes3d", tmp_path, root=".", subset_file=True).factors
    assert table.sizes == (10, 10, 10, 8, 4, 15)
    assert table.classes.tolist() == [[9, 9, 9, 7, 3, 14], [0, 0, 0, 0, 0, 13], [5, 2, 0, 6, 2, 10]]


def test_a_label_between_two_values_is_refused() -> None:
    labels = shapes3d_labels(np.arange(3))
    labels[2, 3] += 0.25 / 7
    with pytest.raises(
        DataError, match=r"found 0\.785714 for scale in row 2, expected one of 8 values from 0\.75 to 1"
    ):
        label_classes(labels, "labels")
    labels[2, 3] = 3
    with pytest.raises(DataError, match="found 3 for scale"):
        label_classes(labels, "labels")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    small(tmp_path, np.arange(40))
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="found an HDF5 file cut short or damaged"):
        build("shapes3d", tmp_path, root=".", subset_file=True)


def test_a_file_of_another_name_is_suggested(tmp_path: Path) -> None:
    small(tmp_path, np.arange(4))
    (tmp_path / FILE).rename(tmp_path / "3dshape.h5")
    with pytest.raises(DataError, match=r'did you mean "3dshape\.h5".*aerepr data fetch shapes3d'):
        build("shapes3d", tmp_path, root=".", subset_file=True)


@pytest.mark.parametrize(
    ("images", "found"), [(pixels(4, 32, 32, 3), "uint8 of shape"), (pixels(4, 64, 64, 3) / 255, "float64 of shape")]
)
def test_images_of_another_sort_are_refused(tmp_path: Path, images: np.ndarray, found: str) -> None:
    with h5py.File(tmp_path / FILE, "w") as file:
        file["images"], file["labels"] = images, shapes3d_labels(np.arange(4))
    with pytest.raises(DataError, match=f"{found}.*expected uint8 \\(N, 64, 64, 3\\) as published for shapes3d"):
        build("shapes3d", tmp_path, root=".", subset_file=True)
