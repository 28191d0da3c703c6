from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from aerepr.errors import DataError, UsageError
from aerepr.kinds.shape import DataShape
from aerepr.sampling.store import check_target, read_codes, stored_examples, write, write_arrays

ARRAYS = {
    "images": np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1),
    "z": np.array([[0.5, -1.0], [2.0, 3.0]], np.float32),
    "labels": np.array(["z1", "größer"]),
}


def read_back(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    with h5py.File(path) as archive:
        return {key: item.asstr()[:] if item.dtype == object else item[:] for key, item in archive.items()}


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_arrays_come_back(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_arrays(path, ARRAYS)
    found = read_back(path)
    assert found.keys() == ARRAYS.keys()
    for key, value in ARRAYS.items():
        np.testing.assert_array_equal(found[key], value)
        if key != "labels":
            assert found[key].dtype == value.dtype


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_the_same_arrays_make_the_same_file(tmp_path, suffix):
    for name in "ab":
        write_arrays(tmp_path / f"{name}{suffix}", ARRAYS)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".npz", ".h5"])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"a{suffix}"
    pixels = np.zeros((2, 2, 3), np.uint8)
    write(path, ARRAYS, lambda: pixels)
    before = path.read_bytes()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    # Interrupted when everything is written and nothing renamed yet.
    monkeypatch.setattr("aerepr.atomic.os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write(path, {"z": np.ones(3)}, lambda: pixels + np.uint8(9))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_picture_is_made_only_for_a_picture(tmp_path):
    def never() -> np.ndarray:
        raise AssertionError("not asked for")

    write(tmp_path / "a.NPZ", ARRAYS, never)
    assert (tmp_path / "a.NPZ").is_file()


@pytest.mark.parametrize(("name", "found"), [("a.jpg", '".jpg"'), ("a", "none"), ("a.npz.gz", '".gz"')])
def test_an_unknown_suffix_names_the_three(tmp_path, name, found):
    with pytest.raises(UsageError, match=rf"ends in \.png, \.npz or \.h5, found {found}"):
        check_target(tmp_path / name)


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match="a folder is in the way"):
        check_target(tmp_path / "folder.png")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file, so nothing can be written below it"):
        check_target(tmp_path / "file" / "deep" / "a.png")
    check_target(tmp_path / "not" / "there" / "yet.png")


def test_images_are_stored_as_bytes_channels_last():
    values = torch.tensor([-1.0, 0.0, 0.5, 2.0]).reshape(1, 1, 2, 2).expand(3, 2, 2, 2).clone()
    values[:, 1] = 0.2
    images = stored_examples(values, DataShape.image(2, 2, 2))["images"]
    assert (images.dtype, images.shape) == (np.uint8, (3, 2, 2, 2))
    assert images[0, ..., 0].tolist() == [[0, 0], [128, 255]]
    assert (images[..., 1] == 51).all()


def test_vectors_are_stored_as_they_are():
    stored = stored_examples(torch.tensor([[1.5, -2.0, 300.0]]), DataShape.vector(3))
    np.testing.assert_array_equal(stored["values"], np.array([[1.5, -2.0, 300.0]], np.float32))


@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a.npy"])
def test_codes_are_read(tmp_path, name):
    path, z = tmp_path / name, np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    np.save(path, z) if name == "a.npy" else write_arrays(path, {"other": z[:1], "z": z})
    found = read_codes(path, 2)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, z)


def test_codes_of_encode_are_read_where_there_is_no_z(tmp_path):
    np.savez(tmp_path / "a.npz", codes=np.ones((2, 3)), rows=np.arange(2))
    assert read_codes(tmp_path / "a.npz", 3).tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (np.zeros((3, 5)), "found codes of 5 numbers, expected 2"),
        (np.zeros(3), r"found shape \(3,\)"),
        (np.zeros((0, 2)), "empty array"),
        (np.array([[0.0, np.nan]]), "NaN or infinite"),
        (np.array([[0.0, 1e300]]), "beyond the range of float32"),
        (np.array([["a", "b"]]), "expected numbers"),
        (np.array([[object(), 1.0]], dtype=object), "pickle"),
    ],
)
def test_codes_of_nothing_we_know_are_refused(tmp_path, z, message):
    np.savez(tmp_path / "a.npz", z=z)
    with pytest.raises(DataError, match=message):
        read_codes(tmp_path / "a.npz", 2)


def test_a_pickle_in_codes_is_never_run(tmp_path):
    trap = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (trap,))

    for name, save in (("a.npz", lambda path, z: np.savez(path, z=z)), ("a.npy", np.save)):
        save(tmp_path / name, np.array([[Trap(), 1]], dtype=object))
        with pytest.raises(DataError):
            read_codes(tmp_path / name, 2)
    assert not trap.exists()


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_codes(tmp_path / "gone.npz", 2)
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match="damaged"):
        read_codes(tmp_path / "cut.npz", 2)
    np.savez(tmp_path / "other.npz", images=np.zeros((2, 2)), y=np.zeros(2))
    with pytest.raises(DataError, match=r'keys images, y, expected codes as "z" or "codes"'):
        read_codes(tmp_path / "other.npz", 2)
    with pytest.raises(UsageError, match=r"\.npz, \.npy or \.h5"):
        read_codes(tmp_path / "z.txt", 2)
