"""HDF5 files as a data set: the layout of 3D-Shapes, groups, unknown labels."""

import h5py
import numpy as np
import pytest
import torch

from tests.builtin.datasets.building import build, pixels, source

IMAGES = pixels(24, 8, 8, 3)
LABELS = np.stack([np.arange(24) % 3 / 10, np.full(24, np.nan), np.arange(24) % 4 * 10.0 - 30], axis=1)
NAMES = ["hue", "scale", "orientation"]


@pytest.fixture
def folder(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = IMAGES
        file["labels"] = LABELS
        file["more/vectors"] = LABELS[:, [0, 2]]
    return tmp_path


def test_images_are_those_written(folder):
    dataset = build("hdf5", folder, path="a.h5", images="images")
    assert (len(dataset), str(dataset.shape), dataset.notes) == (24, "image 3x8x8", [])
    np.testing.assert_array_equal(dataset.resident(torch.device("cpu")).numpy(), IMAGES)
    assert dataset.resident(torch.device("meta")).device.type == "meta"


def test_a_column_of_nan_is_an_unknown_factor_and_is_said(folder):
    dataset = build("hdf5", folder, path="a.h5", images="images", factors="labels", factor_names=NAMES)
    assert dataset.factors.sizes == (3, 0, 4)
    assert dataset.factors.known() == ("hue", "orientation")
    np.testing.assert_array_equal(dataset.factors.classes[:, 1], np.full(24, -1))
    np.testing.assert_array_equal(dataset.factors.classes[:, 2], np.arange(24) % 4)
    np.testing.assert_allclose(dataset.factors.values[2], [-30, -20, -10, 0])
    (note,) = dataset.notes
    assert "a.h5[labels]: factor 'scale' is unknown, 24 of 24 rows are NaN" in note


def test_keys_may_be_in_groups(folder):
    dataset = build("hdf5", folder, path="a.h5", values="more/vectors")
    np.testing.assert_array_equal(dataset.resident(torch.device("cpu")).numpy(), LABELS[:, [0, 2]].astype(np.float32))


def test_subset_and_batches(folder):
    data = source(
        "hdf5", folder, path="a.h5", images="images", factors="labels", factor_names=NAMES, subset={"hue": [2]}
    )
    rows = data.rows("train")
    assert len(rows) > 0
    assert all(row % 3 == 2 for row in rows)
    batch = next(data.batches(rows))
    np.testing.assert_array_equal(batch.factors[:, 0].numpy(), np.full(len(rows), 2))
    np.testing.assert_allclose(batch.x.permute(0, 2, 3, 1).numpy() * 255, IMAGES[rows], atol=1e-4)
