"""Cars3D from .mat files, one a car."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aerepr.errors import DataError, MissingExtra
from tests.builtin.datasets.building import build, source
from tests.builtin.datasets.official_files import cars3d_files


def taken(dataset, rows) -> np.ndarray:
    return dataset.values.take(np.asarray(rows))


@pytest.mark.parametrize("place", ["data/cars", "cars", "."])
def test_elevation_is_slowest_and_the_car_fastest(tmp_path: Path, place: str) -> None:
    images = cars3d_files(tmp_path / place, cars=3)
    dataset = build("cars3d", tmp_path, root=".", subset_file=True, size=128)
    assert (len(dataset), dataset.shape.sizes) == (4 * 24 * 3, (3, 128, 128))
    table = dataset.factors
    assert (table.names, table.sizes) == (("elevation", "azimuth", "object_type"), (4, 24, 3))
    rows = [0, 1, 2, 3, 71, 72, 287]
    for row, picture in zip(rows, taken(dataset, rows), strict=True):
        elevation, azimuth, car = table.classes[row]
        np.testing.assert_array_equal(picture, images[car][..., azimuth, elevation])
    assert table.classes[[1, 3, 72]].tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_the_list_in_the_archive_says_the_order(tmp_path: Path) -> None:
    images = cars3d_files(tmp_path, cars=3, listed=[2, 0])
    dataset = build("cars3d", tmp_path, root=".", subset_file=True, size=128)
    assert dataset.factors.values[2].tolist() == ["car_002_mesh", "car_000_mesh"]
    np.testing.assert_array_equal(taken(dataset, [0])[0], images[2][..., 0, 0])


def test_the_size_is_halved_by_lanczos(tmp_path: Path) -> None:
    from scipy.io import savemat

    im = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (128, 128, 3, 24, 4), dtype=np.uint8)
    savemat(tmp_path / "car_000_mesh.mat", {"im": im})
    dataset = build("cars3d", tmp_path, root=".", subset_file=True)
    picture = Image.fromarray(im[..., 5, 2])
    picture.thumbnail((64, 64), Image.Resampling.LANCZOS)  # as disentanglement_lib does it
    np.testing.assert_array_equal(taken(dataset, [2 * 24 + 5])[0], np.asarray(picture))


def test_the_published_number_of_cars(tmp_path: Path) -> None:
    cars3d_files(tmp_path / "data" / "cars", cars=1)
    with pytest.raises(DataError, match="found 1 cars, expected 183;.*subset_file"):
        build("cars3d", tmp_path, root=".")


@pytest.mark.full
def test_all_cars(tmp_path: Path) -> None:
    cars3d_files(tmp_path / "data" / "cars", cars=1)
    # As many names for one car's file, so that it is quick to write; reading takes half a minute.
    first = tmp_path / "data" / "cars" / "car_000_mesh.mat"
    for car in range(1, 183):
        (first.parent / f"car_{car:03d}_mesh.mat").hardlink_to(first)
    data = source("cars3d", tmp_path, root=".", rule="released")
    assert len(data.dataset) == 17_568
    assert data.dataset.factors.sizes == (4, 24, 183)
    assert [len(data.rows(split)) for split in ("train", "valid", "test")] == [12_649, 1_406, 3_513]


def test_a_listed_car_that_is_missing(tmp_path: Path) -> None:
    cars3d_files(tmp_path, cars=1, listed=[0, 1])
    with pytest.raises(DataError, match=r"car_001_mesh\.mat: found no such file"):
        build("cars3d", tmp_path, root=".", subset_file=True)


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found no \.mat files.*aerepr data fetch cars3d"):
        build("cars3d", tmp_path, root=".")


def test_files_that_are_not_as_published(tmp_path: Path) -> None:
    from scipy.io import savemat

    cars3d_files(tmp_path, cars=2)
    file = tmp_path / "car_001_mesh.mat"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"car_001_mesh\.mat: found a damaged file"):
        build("cars3d", tmp_path, root=".", subset_file=True)
    savemat(file, {"im": np.zeros((64, 64, 3, 24, 4), np.uint8)})
    with pytest.raises(DataError, match=r"im of uint8 and shape \(64, 64, 3, 24, 4\), expected uint8 \(128, "):
        build("cars3d", tmp_path, root=".", subset_file=True)
    savemat(file, {"other": np.zeros(3)})
    with pytest.raises(DataError, match="found no variable im"):
        build("cars3d", tmp_path, root=".", subset_file=True)


def test_the_extra_is_named_where_scipy_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cars3d_files(tmp_path, cars=1)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(MissingExtra, match=r'cars3d needs scipy.*pip install "aerepr\[data\]"'):
        build("cars3d", tmp_path, root=".", subset_file=True)
