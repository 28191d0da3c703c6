"""Folders of pictures as a data set: classes, order, size, mode."""

import numpy as np
import pytest
import torch
from PIL import Image

from aerepr.errors import DataError
from tests.builtin.datasets.building import build, pixels, source

PICTURES = pixels(12, 8, 10, 3)


@pytest.fixture
def folder(tmp_path):
    """12 pictures in classes `b` (0..6) and `a10`, `a2` by turns; names number them across classes."""
    for number, picture in enumerate(PICTURES):
        name = "b" if number < 6 else ("a10", "a2")[number % 2]
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "photos" / name / f"img{number}.png")
    return tmp_path


# Classes and names in natural order: a2 (odd numbers), a10 (even numbers), b.
ORDER = [7, 9, 11, 6, 8, 10, 0, 1, 2, 3, 4, 5]


def test_pictures_and_classes_are_those_written(folder):
    dataset = build("image_folder", folder, path="photos")
    assert (len(dataset), str(dataset.shape)) == (12, "image 3x8x10")
    np.testing.assert_array_equal(dataset.resident(torch.device("cpu")).numpy(), PICTURES[ORDER])
    assert (dataset.factors.names, dataset.factors.sizes) == (("class",), (3,))
    assert list(dataset.factors.values[0]) == ["a2", "a10", "b"]
    np.testing.assert_array_equal(dataset.factors.classes[:, 0], [0] * 3 + [1] * 3 + [2] * 6)


def test_size_crop_and_mode(folder):
    assert str(build("image_folder", folder, path="photos", size=4).shape) == "image 3x4x4"
    assert str(build("image_folder", folder, path="photos", size=[4, 6], mode="L").shape) == "image 1x4x6"
    # Cut to 8 x 8, which needs no resizing; or stretched to it.
    cut = build("image_folder", folder, path="photos", size=8).resident(torch.device("cpu")).numpy()
    np.testing.assert_array_equal(cut, PICTURES[ORDER][:, :, 1:9])
    stretched = build("image_folder", folder, path="photos", size=8, crop="none").resident(torch.device("cpu")).numpy()
    assert not np.array_equal(stretched, cut)


def test_a_folder_without_classes_has_no_factors(folder):
    dataset = build("image_folder", folder, path="photos/b")
    assert (len(dataset), dataset.factors) == (6, None)
    with pytest.raises(DataError, match="needs a factor table, and this data set has none"):
        source("image_folder", folder, path="photos/b", subset={"class": [0]})


def test_subset_and_batches(folder):
    data = source("image_folder", folder, path="photos", subset={"class": [2]}, split=[0.5, 0.25, 0.25])
    rows = np.concatenate([data.rows(split) for split in ("train", "valid", "test")])
    assert sorted(rows) == [6, 7, 8, 9, 10, 11]
    batch = next(data.batches(np.array([6, 11])))
    np.testing.assert_allclose(batch.x.permute(0, 2, 3, 1).numpy() * 255, PICTURES[[0, 5]], atol=1e-4)
    assert batch.factors.tolist() == [[2], [2]]


def test_the_resident_rows_are_on_the_device_asked_for(folder):
    assert build("image_folder", folder, path="photos").resident(torch.device("meta")).device.type == "meta"
