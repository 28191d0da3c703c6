from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from aerepr.errors import DataError, ShapeError
from aerepr.kinds.shape import DataShape
from aerepr.sampling.store import write_arrays
from aerepr.workflows.inputs import as_arrays, as_examples, read_examples

GREY, COLOUR = DataShape.image(1, 4, 6), DataShape.image(3, 4, 6)


def pixels(channels: int, count: int = 2) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(0)).integers(0, 256, (count, 4, 6, channels), dtype=np.uint8)


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_bytes_become_floats_channels_first_and_back(shape):
    images = pixels(shape.channels)
    x, notes = as_examples(images, shape, "x")
    assert x.shape == (2, *shape.sizes)
    assert notes == []
    assert_array_equal(as_arrays(x, shape), images.astype(np.float32) / 255.0)


def test_floats_are_taken_as_they_came():
    images = np.linspace(0, 1, 48, dtype=np.float32).reshape(2, 4, 6, 1)
    assert_array_equal(as_arrays(as_examples(images, GREY, "x")[0], GREY), images)


def test_one_channel_may_be_left_out():
    images = pixels(1)
    assert_array_equal(as_examples(images[..., 0], GREY, "x")[0], as_examples(images, GREY, "x")[0])


def test_dark_bytes_are_not_taken_for_masks_in_python():
    dark = np.ones((1, 4, 6, 1), np.uint8)
    assert float(as_examples(dark, GREY, "x")[0].max()) == pytest.approx(1 / 255)
    x, notes = as_examples(dark, GREY, "a.npy", None)
    assert float(x.max()) == 1
    assert "read as masks" in notes[0]


def test_vectors():
    x, _ = as_examples([[1, 2, 3]], DataShape.vector(3), "x")
    assert x.tolist() == [[1.0, 2.0, 3.0]]
    assert as_arrays(x, DataShape.vector(3)).tolist() == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros((2, 3, 4, 6)), ShapeError, r"expected \(n, 4, 6, 3\).*transpose"),
        (np.zeros((4, 6, 3)), ShapeError, r"array\[None\]"),
        (np.zeros((2, 4, 6)), ShapeError, r"found shape \(2, 4, 6\)"),
        (np.zeros((2, 8, 8, 3)), ShapeError, r"found shape \(2, 8, 8, 3\)"),
        (np.zeros(()), ShapeError, r"found shape \(\)"),
        (np.zeros((0, 4, 6, 3)), DataError, "empty array"),
        (np.full((1, 4, 6, 3), 2.0), DataError, r"expected \[0, 1\]"),
        (np.full((1, 4, 6, 3), np.nan), DataError, "NaN"),
        (np.full((1, 4, 6, 3), 300), DataError, r"expected 0\.\.255"),
        (np.full((1, 4, 6, 3), "a"), DataError, "dtype"),
    ],
)
def test_what_is_not_images_of_the_model(array, error, message):
    with pytest.raises(error, match=message):
        as_examples(array, COLOUR, "x")


def test_what_is_not_vectors_of_the_model():
    with pytest.raises(ShapeError, match="found 2 features, this model takes 3"):
        as_examples(np.zeros((1, 2)), DataShape.vector(3), "x")
    with pytest.raises(DataError, match="NaN"):
        as_examples(np.full((1, 3), np.inf), DataShape.vector(3), "x")


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.h5"])
def test_arrays_of_files(tmp_path, name):
    path, images = tmp_path / name, pixels(3)
    if name == "a.npy":
        np.save(path, images)
    else:
        write_arrays(path, {"images": images, "z": np.zeros((2, 2)), "more": images[:1]})
    assert_array_equal(read_examples(path, COLOUR)[0], as_examples(images, COLOUR, "x")[0])
    if name != "a.npy":
        assert len(read_examples(path, COLOUR, "more")[0]) == 1


def test_the_only_array_needs_no_name(tmp_path):
    np.savez(tmp_path / "a.npz", whatever=pixels(3))
    assert len(read_examples(tmp_path / "a.npz", COLOUR)[0]) == 2


def test_pictures_are_brought_to_size(tmp_path):
    for number, value in enumerate((40, 200)):
        Image.new("RGB", (30, 30), (value, 0, 0)).save(tmp_path / f"{number}.png")
    x, _ = read_examples(tmp_path, COLOUR)
    assert x.shape == (2, 3, 4, 6)
    assert x[:, 0, 0, 0].tolist() == pytest.approx([40 / 255, 200 / 255])
    assert read_examples(tmp_path / "1.png", GREY)[0].shape == (1, 1, 4, 6)


def bad_files(folder: Path) -> dict[str, Path]:
    np.savez(folder / "two.npz", a=np.zeros(3), b=np.zeros(3))
    (folder / "cut.h5").write_bytes(b"\x89HDF")
    (folder / "fake.png").write_text("no picture")
    (folder / "a.csv").write_text("1,2")
    (folder / "empty").mkdir()
    return {
        'found the arrays a, b, expected one, or one named "images"': folder / "two.npz",
        "no HDF5 file": folder / "cut.h5",
        "1 of 1 pictures that cannot be used": folder / "fake.png",
        'ends in ".csv", expected a picture': folder / "a.csv",
        "found no pictures": folder / "empty",
        "no such file": folder / "gone.npz",
    }


def test_files_that_cannot_be_read(tmp_path):
    for message, path in bad_files(tmp_path).items():
        with pytest.raises(DataError, match=message):
            read_examples(path, COLOUR)
    with pytest.raises(DataError, match='no key "c"'):
        read_examples(tmp_path / "two.npz", COLOUR, "c")
    with pytest.raises(DataError, match="found pictures, this model takes a vector 3"):
        read_examples(tmp_path / "fake.png", DataShape.vector(3))
