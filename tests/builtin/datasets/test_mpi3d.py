"""MPI3D: real images of cut-down files, and files of the two full published lengths."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from aerepr.errors import DataError
from tests.builtin.datasets.building import build, pixels, source
from tests.builtin.datasets.published_files import marked, sparse_npz

FULL, COMPLEX = 1_036_800, 460_800
FILES = {
    "mpi3d_toy": "mpi3d_toy.npz",
    "mpi3d_realistic": "mpi3d_realistic.npz",
    "mpi3d_real": "mpi3d_real.npz",
    "mpi3d_real_complex": "real3d_complicated_shapes_ordered.npz",
}


def sparse(folder: Path, name: str, rows: list[int]) -> None:
    count = COMPLEX if name == "mpi3d_real_complex" else FULL
    sparse_npz(folder / FILES[name], "images", (count, 64, 64, 3), marked(rows))


@pytest.mark.parametrize(
    ("name", "sizes"), [("mpi3d_real", (6, 6, 2, 3, 3, 40, 40)), ("mpi3d_real_complex", (4, 4, 2, 3, 3, 40, 40))]
)
def test_rows_of_the_full_file_are_those_of_the_grid(tmp_path: Path, name: str, sizes: tuple[int, ...]) -> None:
    n = int(np.prod(sizes))
    rows = [0, 1, 39, 40, 1599, 1600, 4799, 4800, 14_400, 28_800, n // 2 - 1, n // 2, 345_678, n - 2, n - 1]
    sparse(tmp_path, name, rows)
    data = source(name, tmp_path, root=".")
    assert (len(data.dataset), data.dataset.factors.sizes) == (n, sizes)
    batch = data.batch(torch.tensor(rows))
    # By a formula of its own: horizontal axis every 40 rows, background every 1600, camera 4800, size 14,400, shape 28,800.
    expected = [
        [
            row // (28_800 * sizes[1]),
            row // 28_800 % sizes[1],
            row // 14_400 % 2,
            row // 4800 % 3,
            row // 1600 % 3,
            row // 40 % 40,
            row % 40,
        ]
        for row in rows
    ]
    assert batch.factors.tolist() == expected
    assert (batch.x[:, :, 0, 0] * 255).round().int().tolist() == [[mark] * 3 for mark in marked(rows).values()]
    assert not (tmp_path / "cache").exists()


def test_the_splits_of_the_paper_and_of_the_code(tmp_path: Path) -> None:
    sparse(tmp_path, "mpi3d_toy", [])
    for rule, expected in (("drawn", (725_760, 103_680, 207_360)), ("released", (746_496, 82_944, 207_360))):
        data = source("mpi3d_toy", tmp_path, root=".", rule=rule)
        assert tuple(len(data.rows(split)) for split in ("train", "valid", "test")) == expected


def test_the_two_grids_are_told_apart_by_length(tmp_path: Path) -> None:
    sparse(tmp_path, "mpi3d_real_complex", [])
    (tmp_path / FILES["mpi3d_real_complex"]).rename(tmp_path / FILES["mpi3d_real"])
    for subset_file in (False, True):
        with pytest.raises(
            DataError, match=r'found 460,800 images, the grid of another .* name = "mpi3d_real_complex"'
        ):
            build("mpi3d_real", tmp_path, root=".", subset_file=subset_file)
    sparse(tmp_path, "mpi3d_real", [])
    (tmp_path / FILES["mpi3d_real"]).rename(tmp_path / FILES["mpi3d_real_complex"])
    with pytest.raises(DataError, match=r'found 1,036,800 images, the grid of another .* name = "mpi3d_real"'):
        build("mpi3d_real_complex", tmp_path, root=".")


@pytest.mark.parametrize("kind", ["toy", "realistic", "real"])
def test_real_images_of_a_cut_down_file(real_data: Path, tmp_path: Path, kind: str) -> None:
    name = f"mpi3d_{kind}"
    shutil.copy(real_data / "mpi3d" / f"{name}_subset.npz", tmp_path / FILES[name])
    with pytest.raises(DataError, match=r"found 54 images, expected 1,036,800, .* set subset_file = true"):
        build(name, tmp_path, root=".")
    dataset = build(name, tmp_path, root=".", subset_file=True)
    with np.load(tmp_path / FILES[name]) as stored:
        np.testing.assert_array_equal(dataset.resident(torch.device("cpu")).numpy(), stored["images"])
        np.testing.assert_array_equal(dataset.factors.classes, stored["factors"])
        assert tuple(stored["factor_sizes"]) == dataset.factors.sizes
    assert list(dataset.factors.values[1]) == ["cone", "cube", "cylinder", "hexagonal", "pyramid", "sphere"]


def test_a_cut_down_file_needs_its_factors(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / FILES["mpi3d_toy"], images=pixels(4, 64, 64, 3))
    with pytest.raises(DataError, match=r'found no key "factors", expected class indices \(N, 7\)'):
        build("mpi3d_toy", tmp_path, root=".", subset_file=True)
    factors = np.array([[0, 0, 0, 0, 0, 0, 40]] * 4)
    np.savez_compressed(tmp_path / FILES["mpi3d_toy"], images=pixels(4, 64, 64, 3), factors=factors)
    with pytest.raises(DataError, match=r"factor 'vertical_axis': found class index 40, expected 0\.\.39"):
        build("mpi3d_toy", tmp_path, root=".", subset_file=True)


def test_a_variant_under_another_name_is_suggested(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / FILES["mpi3d_realistic"], images=pixels(4, 64, 64, 3))
    with pytest.raises(
        DataError, match=r'mpi3d_real\.npz: found no such file \(did you mean "mpi3d_realistic\.npz"\?\)'
    ):
        build("mpi3d_real", tmp_path, root=".")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    factors = np.zeros((50, 7), np.int64)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / FILES["mpi3d_toy"], images=pixels(50, 64, 64, 3), factors=factors)
        content = (tmp_path / FILES["mpi3d_toy"]).read_bytes()
        (tmp_path / FILES["mpi3d_toy"]).write_bytes(content[:-2000])
        with pytest.raises(DataError, match="damaged or cut-short data"):
            build("mpi3d_toy", tmp_path, root=".", subset_file=True)
