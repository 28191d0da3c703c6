"""npy files as a data set of vectors."""

import numpy as np
import pytest
import torch

from tests.builtin.datasets.building import build, source

VALUES = np.random.Generator(np.random.PCG64(0)).normal(size=(30, 3))
GROUPS = np.arange(30) % 3


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "x.npy", VALUES)
    np.save(tmp_path / "y.npy", GROUPS)
    np.save(tmp_path / "half.npy", np.where(GROUPS == 0, np.nan, GROUPS))
    return tmp_path


def test_vectors_are_those_written_as_float32(folder):
    dataset = build("array", folder, path="x.npy")
    assert (len(dataset), str(dataset.shape), dataset.factors, dataset.notes) == (30, "vector 3", None, [])
    found = dataset.resident(torch.device("cpu"))
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found.numpy(), VALUES.astype(np.float32))
    assert dataset.resident(torch.device("meta")).device.type == "meta"


def test_factors_of_a_second_file(folder):
    dataset = build("array", folder, path="x.npy", factors="y.npy", factor_names=["group"])
    assert (dataset.factors.names, dataset.factors.sizes) == (("group",), (3,))
    np.testing.assert_array_equal(dataset.factors.classes[:, 0], GROUPS)


def test_an_unknown_factor_is_said(folder):
    dataset = build("array", folder, path="x.npy", factors="half.npy")
    assert dataset.factors.sizes == (0,)
    assert "half.npy: factor 'label' is unknown, 10 of 30 rows are NaN" in dataset.notes[0]


def test_subset_and_batches(folder):
    data = source("array", folder, path="x.npy", factors="y.npy", subset={"label": [1]})
    rows = data.rows("train")
    assert set(GROUPS[rows]) == {1}
    batch = next(data.batches(rows))
    np.testing.assert_array_equal(batch.x.numpy(), VALUES[rows].astype(np.float32))
    np.testing.assert_array_equal(batch.factors.numpy()[:, 0], np.ones(len(rows)))
