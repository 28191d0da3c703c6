"""Images of idx files at another size: square, by a bilinear filter, the rest as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aerepr.data.images import resized
from tests.builtin.datasets.building import build, pixels, source, write_idx
from tests.builtin.datasets.official_files import four_idx_files


def bilinear(images_NHW: np.ndarray, side: int) -> np.ndarray:
    """The same filter by another hand, for sides that grow."""
    x = torch.from_numpy(images_NHW.astype(np.float32))[:, None]
    return torch.nn.functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)[:, 0].numpy()


def test_it_is_the_bilinear_filter() -> None:
    images = pixels(5, 28, 28)
    found = resized(images[..., None], 32)
    assert (found.shape, found.dtype) == ((5, 32, 32, 1), np.uint8)
    assert np.abs(found[..., 0] - bilinear(images, 32)).max() <= 1.5
    same = resized(images[..., None], 28)
    np.testing.assert_array_equal(same[..., 0], images)


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_keep_to_themselves(channels: int) -> None:
    images = np.zeros((2, 8, 8, channels), np.uint8)
    images[..., 1], images[..., -1] = 200, 255
    assert (resized(images, 11) == images[0, 0, 0]).all()


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_published_files_at_32(tmp_path: Path, name: str) -> None:
    arrays = four_idx_files(tmp_path)
    data = source(name, tmp_path, root=".", subset_file=True, size=32)
    assert str(data.info.shape) == "image 1x32x32"
    test = data.rows("test")
    np.testing.assert_array_equal(data.dataset.values[test], resized(arrays["t10k-images-idx3-ubyte"][..., None], 32))
    as_published = build(name, tmp_path, root=".", subset_file=True)
    assert str(as_published.shape) == "image 1x28x28"
    np.testing.assert_array_equal(as_published.factors.classes, data.dataset.factors.classes)


def test_any_idx_file(tmp_path: Path) -> None:
    write_idx(tmp_path / "images.gz", pixels(9, 6, 5))
    assert str(build("idx", tmp_path, images="images.gz", size=16).shape) == "image 1x16x16"


def test_the_real_garments(real_data: Path) -> None:
    folder = real_data / "fashion_mnist"
    files = {part: f"sprite600-{part}-idx{dims}-ubyte.gz" for part, dims in (("images", 3), ("labels", 1))}
    small, large = (build("idx", folder, **files, **size) for size in ({}, {"size": 32}))
    assert large.values.shape == (600, 32, 32, 1)
    # As bright as before, but for rounding.
    assert abs(large.values.mean() - small.values.mean()) < 1
    np.testing.assert_array_equal(large.factors.classes, small.factors.classes)
