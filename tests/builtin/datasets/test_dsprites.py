"""dSprites: real images of a cut-down file, and a file of the full published length."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from aerepr.builtin.datasets.dsprites import FACTOR_SIZES, FILE
from aerepr.data.decoded import decoded_file
from aerepr.data.npz import find_npz
from aerepr.errors import DataError
from tests.builtin.datasets.building import build, pixels, source
from tests.builtin.datasets.published_files import marked, sparse_npy, sparse_npz

FULL = 737_280
ROWS = [0, 1, 31, 32, 1023, 1024, 40_959, 40_960, 245_760, 368_639, 368_640, 500_001, 737_278, 737_279]


def classes(rows: np.ndarray) -> np.ndarray:
    return np.stack(np.unravel_index(rows, FACTOR_SIZES), axis=1)


def test_rows_of_the_full_file_are_those_of_the_grid(tmp_path: Path) -> None:
    classes_NF = classes(np.arange(FULL))
    sparse_npz(tmp_path / FILE, "imgs", (FULL, 64, 64), {}, latents_classes=classes_NF)
    array, _ = find_npz(tmp_path / FILE, "imgs")
    # What decoding would make of it, 3 GB, is there already: mostly holes, too.
    sparse_npy(decoded_file(array, tmp_path / "cache", "NHW", True), (FULL, 64, 64, 1), marked(ROWS))
    data = source("dsprites", tmp_path, root=".")
    assert (len(data.dataset), data.dataset.factors.sizes) == (FULL, (1, 3, 6, 40, 32, 32))
    batch = data.batch(torch.tensor(ROWS))
    expected = [[0, row // 245_760, row // 40_960 % 6, row // 1024 % 40, row // 32 % 32, row % 32] for row in ROWS]
    assert batch.factors.tolist() == expected
    assert (batch.x[:, 0, 0, 0] * 255).round().int().tolist() == list(marked(ROWS).values())
    assert batch.x[:, :, 1:].sum() == 0
    classes_NF[[5, 6]] = classes_NF[[6, 5]]
    sparse_npz(tmp_path / FILE, "imgs", (FULL, 64, 64), {}, latents_classes=classes_NF)
    with pytest.raises(
        DataError, match=r"found classes \[0, 0, 0, 0, 0, 6\] in row 5, which is not the published order"
    ):
        build("dsprites", tmp_path, root=".")


def test_real_images_of_a_cut_down_file(real_data: Path, tmp_path: Path) -> None:
    shutil.copy(real_data / "dsprites" / "dsprites_subset.npz", tmp_path / FILE)
    with pytest.raises(DataError, match=r"found 258 images, expected 737,280, .* set subset_file = true"):
        build("dsprites", tmp_path, root=".")
    dataset = build("dsprites", tmp_path, root=".", subset_file=True)
    with np.load(tmp_path / FILE) as stored:
        np.testing.assert_array_equal(dataset.resident(torch.device("cpu")).numpy()[..., 0], stored["imgs"] * 255)
        np.testing.assert_array_equal(dataset.factors.classes, stored["latents_classes"])
        for column in range(6):
            values = dataset.factors.values[column][stored["latents_classes"][:, column]]
            np.testing.assert_allclose(values, stored["latents_values"][:, column], atol=1e-9)
    assert sum("metadata" in note for note in dataset.notes) == 1
    assert not any("read as masks" in note for note in dataset.notes)


def test_grey_images_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / FILE, imgs=pixels(4, 64, 64), latents_classes=classes(np.arange(4)))
    with pytest.raises(DataError, match=r"found values up to 25\d, expected masks of 0 and 1"):
        build("dsprites", tmp_path, root=".", subset_file=True)


def test_as_many_classes_as_images(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / FILE, imgs=pixels(4, 64, 64) // 128, latents_classes=classes(np.arange(5)))
    with pytest.raises(DataError, match="found 5 rows of factors, expected 4"):
        build("dsprites", tmp_path, root=".", subset_file=True)
