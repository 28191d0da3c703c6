"""`sprites` as a data set: its grid, and rows kept as bits against rows drawn when asked for."""

import numpy as np
import pytest
import torch

from aerepr.builtin.datasets import sprites as component
from aerepr.data import sprites
from tests.builtin.datasets.building import build, source


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sprites")


def test_it_is_the_grid_of_dsprites(folder):
    dataset = build("sprites", folder)
    assert (len(dataset), str(dataset.shape)) == (737_280, "image 1x64x64")
    assert dataset.factors.names == ("shape", "scale", "orientation", "pos_x", "pos_y")
    assert dataset.factors.sizes == (3, 6, 40, 32, 32)
    for row in (0, 1, 32, 1024, 40_960, 245_760, 737_279):
        assert tuple(dataset.factors.classes[row]) == np.unravel_index(row, (3, 6, 40, 32, 32))


def test_rows_are_drawn_as_asked_for(folder):
    dataset = build("sprites", folder, size=32)
    rows = torch.tensor([737_279, 0, 400_000])
    found = dataset.take(dataset.resident(torch.device("cpu")), rows)
    np.testing.assert_array_equal(found.numpy(), sprites.render(rows.numpy(), 32))


@pytest.mark.parametrize("size", [16, 40, 64])
def test_bits_hold_the_same_pictures(folder, size, monkeypatch):
    monkeypatch.setattr(component, "_CHUNK", 32)  # so that the last chunk is an incomplete one
    dataset = build("sprites", folder, size=size)
    packed = component.packed_rows(100, size)
    assert packed.dtype == torch.uint8
    assert packed.nbytes * 8 == 100 * size * size
    rows = torch.tensor([0, 99, 31, 32, 7, 7])
    drawn = dataset.take(torch.empty(0), rows)
    kept = dataset.take(packed, rows)
    assert (kept.dtype, kept.shape) == (drawn.dtype, drawn.shape)
    assert torch.equal(kept, drawn)
    assert set(kept.unique().tolist()) == {0, 255}


def test_only_a_device_keeps_rows(folder, monkeypatch):
    counts = []
    few = lambda count, size: counts.append(count) or torch.zeros(4, size, size // 8, dtype=torch.uint8)  # noqa: E731
    monkeypatch.setattr(component, "packed_rows", few)
    dataset = build("sprites", folder, size=16)
    assert dataset.resident(torch.device("cpu")).numel() == 0
    assert counts == []
    resident = dataset.resident(torch.device("meta"))
    assert counts == [737_280]
    taken = dataset.take(resident, torch.zeros(5, dtype=torch.int64, device="meta"))
    assert (taken.device.type, taken.dtype, tuple(taken.shape)) == ("meta", torch.uint8, (5, 16, 16, 1))


def test_subset_and_batches(folder):
    data = source("sprites", folder, size=16, subset={"shape": [2], "pos_x": [0], "pos_y": [31]})
    rows = data.rows("train")
    assert len(rows) == pytest.approx(0.7 * 240, rel=0.2)
    batch = next(data.batches(rows, 16))
    assert batch.x.shape == (16, 1, 16, 16)
    assert batch.factors[:, 0].tolist() == [2] * 16
    # At the left and at the bottom.
    down, right = torch.nonzero(batch.x.mean(dim=(0, 1)), as_tuple=True)
    assert right.max() < 8 <= down.min()
