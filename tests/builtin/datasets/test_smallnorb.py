"""SmallNORB from files in its binary-matrix format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aerepr.data.mapped import MappedRows
from aerepr.errors import DataError
from tests.builtin.datasets.building import build, source
from tests.builtin.datasets.official_files import NORB_PARTS, norb_files, write_matrix

TRAINING, TESTING = NORB_PARTS


def rows_of(dataset) -> np.ndarray:
    values = dataset.values
    return values.take(np.arange(len(values))) if isinstance(values, MappedRows) else values


@pytest.mark.parametrize("suffix", [".mat.gz", ".mat"])
@pytest.mark.parametrize(("camera", "number"), [("left", 0), ("right", 1)])
def test_pictures_of_one_camera_in_published_order(tmp_path: Path, suffix: str, camera: str, number: int) -> None:
    arrays = norb_files(tmp_path, suffix=suffix)
    dataset = build("smallnorb", tmp_path, root=".", subset_file=True, size=96, camera=camera)
    expected = np.concatenate([arrays[part]["dat"][:, number] for part in NORB_PARTS])
    np.testing.assert_array_equal(rows_of(dataset)[..., 0], expected)


def test_the_size_is_halved_by_lanczos(tmp_path: Path) -> None:
    arrays = norb_files(tmp_path)
    dataset = build("smallnorb", tmp_path, root=".", subset_file=True)
    assert dataset.shape.sizes == (1, 64, 64)
    picture = Image.fromarray(arrays[TESTING]["dat"][3, 0]).resize((64, 64), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(rows_of(dataset)[12 + 3, ..., 0], np.asarray(picture))


def test_factors_and_splits(tmp_path: Path) -> None:
    arrays = norb_files(tmp_path)
    data = source("smallnorb", tmp_path, root=".", subset_file=True)
    table = data.dataset.factors
    assert table.names == ("category", "instance", "elevation", "azimuth", "lighting")
    assert table.sizes == (5, 10, 9, 18, 6)
    info = np.concatenate([arrays[part]["info"] for part in NORB_PARTS])
    np.testing.assert_array_equal(table.classes[:, 0], np.concatenate([arrays[part]["cat"] for part in NORB_PARTS]))
    np.testing.assert_array_equal(table.values[3][table.classes[:, 3]], info[:, 2] * 10)  # degrees
    np.testing.assert_array_equal(table.values[2][table.classes[:, 2]], 30 + 5 * info[:, 1])
    np.testing.assert_array_equal(table.classes[:, [1, 4]], info[:, [0, 3]])
    assert data.rows("test").tolist() == list(range(12, 24))
    assert sorted([*data.rows("train"), *data.rows("valid")]) == list(range(12))
    # The test toys are others than those of the training rows.
    instances = [set(table.classes[rows, 1].tolist()) for rows in (np.arange(12), np.arange(12, 24))]
    assert not instances[0] & instances[1]


def test_the_published_number_of_pairs_is_asked_for(tmp_path: Path) -> None:
    norb_files(tmp_path)
    with pytest.raises(DataError, match=rf"{TRAINING}-dat.*found 12 pairs, expected 24,300;.*subset_file"):
        build("smallnorb", tmp_path, root=".")


def test_images_are_decoded_once(tmp_path: Path) -> None:
    norb_files(tmp_path)
    build("smallnorb", tmp_path, root=".", subset_file=True)
    (decoded,) = (tmp_path / "cache" / "decoded").glob("*.npy")
    written = decoded.stat().st_mtime_ns
    build("smallnorb", tmp_path, root=".", subset_file=True)
    assert decoded.stat().st_mtime_ns == written
    # Other pictures in the second of the two files: decoded anew, and what was made of the old is gone.
    write_matrix(tmp_path / f"{TESTING}-dat.mat.gz", np.full((12, 2, 96, 96), 7, np.uint8))
    assert rows_of(build("smallnorb", tmp_path, root=".", subset_file=True))[12:].max() == 7
    assert len(list((tmp_path / "cache" / "decoded").glob("*.npy"))) == 1


@pytest.mark.parametrize(
    ("what", "array", "message"),
    [
        ("dat", np.zeros((12, 1, 96, 96), np.uint8), r"shape \(12, 1, 96, 96\), expected uint8 \(N, 2, 96, 96\)"),
        ("cat", np.zeros(11, np.int32), r"shape \(11,\), expected int32 \(12,\)"),
        ("info", np.zeros((12, 4), np.float32), r"float32 of shape \(12, 4\), expected int32"),
        ("cat", np.full(12, 5, np.int32), "value for category in row 0"),
        ("info", np.tile(np.array([4, 0, 3, 0], np.int32), (12, 1)), "value for azimuth in row 0"),
    ],
)
def test_files_that_are_not_as_published(tmp_path: Path, what: str, array: np.ndarray, message: str) -> None:
    norb_files(tmp_path)
    write_matrix(tmp_path / f"{TRAINING}-{what}.mat.gz", array)
    with pytest.raises(DataError, match=message):
        build("smallnorb", tmp_path, root=".", subset_file=True)


def test_a_file_cut_short_leaves_nothing_decoded(tmp_path: Path) -> None:
    norb_files(tmp_path, suffix=".mat")
    file = tmp_path / f"{TESTING}-dat.mat"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="found values for 11 rows, expected 12"):
        build("smallnorb", tmp_path, root=".", subset_file=True)
    assert not list((tmp_path / "cache" / "decoded").glob("*.npy"))
