"""npz files as a data set, and what the keys of `npz` and `hdf5` mean."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from aerepr.builtin.datasets.npz import NPZDataset, NPZSpec
from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext
from tests.builtin.datasets.building import build, pixels, source

IMAGES = pixels(20, 8, 6, 3)
CLASSES = np.stack([np.arange(20) % 2, np.arange(20) % 5], axis=1)


@pytest.fixture
def folder(tmp_path):
    np.savez(
        tmp_path / "a.npz",
        images=IMAGES,
        channels_first=IMAGES.transpose(0, 3, 1, 2),
        masks=IMAGES[..., 0] > 127,
        zeros_and_ones=(IMAGES[..., 0] > 127).astype(np.uint8),
        floats=IMAGES[..., :1] / 255,
        vectors=CLASSES * 0.5,
        classes=CLASSES,
        names=np.array([{"pickled": True}], dtype=object),
    )
    return tmp_path


def values(folder, **fields):
    dataset = build("npz", folder, path="a.npz", **fields)
    return dataset, dataset.resident(torch.device("cpu")).numpy()


def test_images_and_factors_are_those_written(folder):
    dataset, found = values(folder, images="images", factors="classes", factor_names=["side", "hue"])
    np.testing.assert_array_equal(found, IMAGES)
    assert str(dataset.shape) == "image 3x8x6"
    assert (dataset.factors.names, dataset.factors.sizes) == (("side", "hue"), (2, 5))
    np.testing.assert_array_equal(dataset.factors.classes, CLASSES)


def test_pickled_arrays_nobody_asked_for_are_left_alone_and_named_once(folder):
    dataset, _ = values(folder, images="images")
    (note,) = dataset.notes
    assert "a.npz[names]: pickled object array, not read" in note


def test_layouts_masks_and_floats(folder):
    np.testing.assert_array_equal(values(folder, images="channels_first", layout="NCHW")[1], IMAGES)
    white = np.where(IMAGES[..., :1] > 127, 255, 0)
    np.testing.assert_array_equal(values(folder, images="masks")[1], white)
    np.testing.assert_array_equal(values(folder, images="floats")[1], IMAGES[..., :1])
    told, found = values(folder, images="zeros_and_ones", binary=True)
    np.testing.assert_array_equal(found, white)
    guessed, found = values(folder, images="zeros_and_ones")
    np.testing.assert_array_equal(found, white)
    assert len(guessed.notes) == len(told.notes) + 1
    assert "read as masks" in " ".join(guessed.notes)
    np.testing.assert_array_equal(values(folder, images="zeros_and_ones", binary=False)[1] * 255, white)


def test_vectors(folder):
    dataset, found = values(folder, values="vectors")
    assert str(dataset.shape) == "vector 2"
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, CLASSES * 0.5)
    batch = next(source("npz", folder, path="a.npz", values="vectors").batches(np.array([3, 1])))
    np.testing.assert_array_equal(batch.x.numpy(), CLASSES[[3, 1]] * 0.5)


def test_sizes_keep_the_numbers_of_absent_classes(folder):
    dataset, _ = values(folder, images="images", factors="classes", factor_sizes=[2, 9])
    assert dataset.factors.sizes == (2, 9)
    assert dataset.factors.names == ("factor_0", "factor_1")


@pytest.mark.parametrize("fields", [{}, {"images": "images", "values": "vectors"}])
def test_one_sort_of_data(folder, fields):
    with pytest.raises(ValidationError, match="give the key of either images or values"):
        build("npz", folder, path="a.npz", **fields)


def test_a_key_that_is_not_there_is_met_with_those_that_are(folder):
    with pytest.raises(DataError, match=r'a\.npz: found no key "image" \(did you mean "images"\?\), expected one of: '):
        build("npz", folder, path="a.npz", images="image")


def test_subset_and_batches(folder):
    fields = {"path": "a.npz", "images": "images", "factors": "classes", "factor_names": ["side", "hue"]}
    data = source("npz", folder, **fields, subset={"side": [1], "hue": [0, 1, 2]})
    rows = np.concatenate([data.rows(split) for split in ("train", "valid", "test")])
    assert sorted(rows) == [row for row in range(20) if row % 2 == 1 and row % 5 < 3]
    batch = next(data.batches(data.rows("train")))
    np.testing.assert_array_equal(batch.factors.numpy(), CLASSES[data.rows("train")])
    assert batch.factors.dtype == torch.int64


def test_the_resident_rows_are_on_the_device_asked_for(folder):
    assert build("npz", folder, path="a.npz", images="images").resident(torch.device("meta")).device.type == "meta"


def test_a_full_grid_is_declared_by_its_sizes(tmp_path):
    images = np.arange(12 * 16 * 16, dtype=np.int64).reshape(12, 16, 16) % 256
    np.savez(tmp_path / "grid.npz", images=images.astype(np.uint8))
    tables = {"name": "npz", "path": "grid.npz", "images": "images", "factor_names": ["a", "b"]}
    dataset = NPZDataset(NPZSpec.model_validate(tables | {"factor_sizes": [3, 4]}), DataContext(tmp_path, tmp_path))
    assert dataset.factors is not None
    assert dataset.factors.sizes == (3, 4)
    assert dataset.factors.classes[:5].tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0]]
    with pytest.raises(DataError, match="found 12 rows, expected 15"):
        NPZDataset(NPZSpec.model_validate(tables | {"factor_sizes": [3, 5]}), DataContext(tmp_path, tmp_path))
