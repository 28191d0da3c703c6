"""`rooms` as a data set: its grid, and images mixed by torch as numpy mixes them."""

import numpy as np
import pytest
import torch

from aerepr.data import rooms
from tests.builtin.datasets.building import build, source

SIZE = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rooms")


@pytest.fixture(scope="module")
def dataset(folder):
    return build("rooms", folder, size=SIZE)


@pytest.fixture(scope="module")
def resident(dataset):
    return dataset.resident(torch.device("cpu"))


def test_it_is_the_grid_of_3d_shapes(dataset):
    assert (len(dataset), str(dataset.shape)) == (480_000, "image 3x16x16")
    assert dataset.factors.names == ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
    assert dataset.factors.sizes == (10, 10, 10, 8, 4, 15)
    # The last factor runs fastest.
    for row in (0, 1, 15, 59, 60, 480, 4800, 479_999):
        assert tuple(dataset.factors.classes[row]) == np.unravel_index(row, (10, 10, 10, 8, 4, 15))
    assert len(dataset.factors.values[5]) == 15


def test_torch_mixes_what_numpy_mixes(dataset, resident):
    generator = np.random.Generator(np.random.PCG64(0))
    rows = np.concatenate([[0, 479_999], generator.integers(0, 480_000, 300)])
    found = dataset.take(resident, torch.from_numpy(rows)).numpy()
    expected = rooms.mix(resident.numpy(), rows)
    assert found.dtype == np.uint8
    assert found.shape == (302, SIZE, SIZE, 3)
    # Sums in another order may fall on the other side of a rounding.
    difference = np.abs(found.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize(("factor", "step"), [("floor_hue", 48_000), ("wall_hue", 4800), ("object_hue", 480)])
def test_a_hue_changes_the_picture_and_the_table_alike(dataset, resident, factor, step):
    column = dataset.factors.names.index(factor)
    rows = torch.tensor([1234, 1234 + step])
    first, second = dataset.factors.classes[rows]
    assert second[column] == first[column] + 1
    assert np.array_equal(np.delete(first, column), np.delete(second, column))
    a, b = dataset.take(resident, rows)
    assert (a != b).any()


def test_geometry_is_drawn_once_and_kept(dataset, resident, folder):
    assert [path.suffix for path in (folder / "cache").iterdir()] == [".npz"]
    torch.testing.assert_close(
        build("rooms", folder, size=SIZE).resident(torch.device("cpu")), resident, rtol=0, atol=0
    )


def test_subset_and_batches(folder):
    data = source("rooms", folder, size=SIZE, subset={"shape": [0, 1, 3], "scale": [7]})
    rows = data.rows("train")
    assert len(rows) == pytest.approx(0.7 * 480_000 * 3 / 4 / 8, rel=0.02)
    batch = next(data.batches(rows, 32))
    assert batch.x.shape == (32, 3, SIZE, SIZE)
    assert batch.x.min() >= 0
    assert batch.x.max() <= 1
    assert set(batch.factors[:, 3].tolist()) == {7}
    assert 2 not in batch.factors[:, 4]


def test_the_maps_and_the_colours_are_on_the_device_asked_for(folder):
    # Moved together, or mixing on a GPU would meet two devices.
    dataset = build("rooms", folder, size=SIZE)
    resident = dataset.resident(torch.device("meta"))
    assert resident.device.type == "meta"
    taken = dataset.take(resident, torch.zeros(5, dtype=torch.int64, device="meta"))
    assert (taken.device.type, taken.dtype, tuple(taken.shape)) == ("meta", torch.uint8, (5, SIZE, SIZE, 3))
