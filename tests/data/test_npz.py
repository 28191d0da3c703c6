"""Tests of aerepr/data/npz.py."""

from __future__ import annotations

import contextlib
import io
import random
import re
import zipfile
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from aerepr.data.arrays import as_images
from aerepr.data.factors import FactorTable
from aerepr.data.npz import npz_headers, npz_keys, read_npy, read_npz
from aerepr.errors import DataError


class Bomb:
    """Raises when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return _explode, ()


def _explode() -> NoReturn:
    raise AssertionError("unpickled")


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8)).astype(np.uint8)


def refused(*parts: str) -> object:
    return pytest.raises(DataError, match="(?s)" + ".*".join(map(re.escape, parts)))


@pytest.fixture(params=[np.savez, np.savez_compressed], ids=["stored", "deflated"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An npz of two arrays and one pickled object, stored or compressed."""
    request.param(tmp_path / "a.npz", imgs=IMAGES, classes=np.arange(5), metadata=np.array(Bomb(), dtype=object))
    return tmp_path / "a.npz"


def test_only_the_keys_asked_for_are_read(archive: Path) -> None:
    arrays, notes = read_npz(archive, ["classes", "imgs"])
    assert list(arrays) == ["classes", "imgs"]
    np.testing.assert_array_equal(arrays["imgs"], IMAGES)
    assert notes == [f"{archive}[metadata]: pickled object array, not read"]


def test_a_pickled_array_is_refused_and_never_unpickled(archive: Path) -> None:
    with refused("a.npz[metadata]: found a pickled object array, expected numbers", "can run code"):
        read_npz(archive, ["imgs", "metadata"])


def test_keys_and_headers_are_listed_without_loading(archive: Path) -> None:
    assert npz_keys(archive) == ("imgs", "classes", "metadata")
    headers = npz_headers(archive)
    assert headers["imgs"].shape == (5, 8, 8)
    assert headers["imgs"].dtype == np.uint8
    assert [header.pickled for header in headers.values()] == [False, False, True]


def test_a_missing_key_lists_those_there_are(archive: Path) -> None:
    with refused('a.npz: found no key "img"', 'did you mean "imgs"?', "classes, imgs, metadata"):
        read_npz(archive, ["img"])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for read in (npz_keys, npz_headers, read_npy, lambda path: read_npz(path, [])):
        with refused("b.npz: found no such file"):
            read(tmp_path / "b.npz")


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.99])
def test_a_truncated_archive_is_refused(archive: Path, kept: float) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * kept)])
    with refused("a.npz: found damaged or cut-short data", "expected numpy's npz"):
        read_npz(archive, ["imgs"])


def test_changed_bytes_are_noticed(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        member = opened.getinfo("imgs.npy")
    position = member.header_offset + 30 + len("imgs.npy") + member.compress_size - 20
    content[position] ^= 0xFF
    archive.write_bytes(bytes(content))
    with refused("a.npz[imgs]: found damaged or cut-short data", "expected"):
        read_npz(archive, ["imgs"])


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"<!DOCTYPE html>" * 10)
    with refused("a.npz: found damaged or cut-short data (File is not a zip file)", "expected numpy's npz"):
        npz_keys(tmp_path / "a.npz")


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    content = npy_bytes(IMAGES).replace(b"(5, 8, 8), }            ", b"(5, 8, 8000000000000), }")
    assert b"8000000000000" in content
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as opened:
        opened.writestr("imgs.npy", content)
    with refused("a.npz[imgs]: found 320 bytes of values, expected 320000000000000 for shape (5, 8, 8000000000000)"):
        read_npz(tmp_path / "a.npz", ["imgs"])


def test_damaged_files_never_escape_as_other_errors(archive: Path, tmp_path: Path) -> None:
    source = random.Random(0)
    for content, read in (
        (archive.read_bytes(), lambda path: read_npz(path, ["imgs", "classes"])),
        (archive.read_bytes(), npz_headers),
        (npy_bytes(IMAGES), read_npy),
    ):
        for _ in range(150):
            changed = bytearray(content)
            for _ in range(source.randint(1, 4)):
                changed[source.randrange(len(changed))] = source.randrange(256)
            (tmp_path / "damaged").write_bytes(bytes(changed[: source.randint(len(changed) // 2, 2 * len(changed))]))
            # What is left may still be readable; anything but an array or a DataError fails the test.
            with contextlib.suppress(DataError):
                read(tmp_path / "damaged")


@pytest.mark.parametrize("n_extra", [-7, 5])
def test_a_member_of_another_length_is_refused(tmp_path: Path, n_extra: int) -> None:
    content = npy_bytes(IMAGES)
    content = content[:n_extra] if n_extra < 0 else content + b"x" * n_extra
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as opened:
        opened.writestr("imgs.npy", content)
    with refused(f"a.npz[imgs]: found {320 + n_extra} bytes of values, expected 320 for shape (5, 8, 8) of uint8"):
        read_npz(tmp_path / "a.npz", ["imgs"])


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_round_trip(tmp_path: Path, order: str) -> None:
    array = np.asarray(np.random.default_rng(0).random((4, 3)), order=order)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (npy_bytes(IMAGES)[:-1], ("found 319 bytes of values, expected 320",)),
        (npy_bytes(IMAGES)[:20], ("found damaged or cut-short data", "expected")),
        (b"1,2,3\n4,5,6\n", ("found damaged or cut-short data", "magic string", "expected")),
    ],
    ids=["values", "header", "csv"],
)
def test_a_damaged_npy_is_refused(tmp_path: Path, content: bytes, parts: tuple[str, ...]) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with refused("a.npy: ", *parts):
        read_npy(tmp_path / "a.npy")


def test_a_pickled_npy_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(Bomb(), dtype=object))
    with refused("a.npy: found a pickled object array, expected numbers"):
        read_npy(tmp_path / "a.npy")


def test_records_are_read_whatever_the_header_version(tmp_path: Path) -> None:
    # A field name outside Latin-1 makes numpy write header version 3; numpy warns so that old readers are known of.
    with pytest.warns(UserWarning, match="format 3.0"):
        np.save(tmp_path / "a.npy", np.zeros(3, [("\u5f62", "u1")]))
    assert read_npy(tmp_path / "a.npy").shape == (3,)


def test_dsprites(real_data: Path) -> None:
    path = real_data / "dsprites" / "dsprites_subset.npz"
    arrays, notes = read_npz(path, ["imgs", "latents_classes", "latents_values"])
    assert notes == [f"{path}[metadata]: pickled object array, not read"]
    images, image_notes = as_images(arrays["imgs"], f"{path}[imgs]")
    assert images.shape == (258, 64, 64, 1)
    assert np.unique(images).tolist() == [0, 255]
    assert len(image_notes) == 1
    names = ["color", "shape", "scale", "orientation", "posX", "posY"]
    factors, _ = FactorTable.from_columns(
        arrays["latents_classes"], names, "classes", sizes=[1, 3, 6, 40, 32, 32], n_rows=len(images)
    )
    assert factors.known() == tuple(names)
    # posX goes from 0 to 1 in 32 steps, so the class is what the published value says.
    np.testing.assert_allclose(arrays["latents_values"][:, 4] * 31, factors.classes[:, 4], atol=1e-6)
    assert len(factors.select({"shape": [2]})) == 168


@pytest.mark.parametrize("kind", ["real", "realistic", "toy"])
def test_mpi3d(real_data: Path, kind: str) -> None:
    path = real_data / "mpi3d" / f"mpi3d_{kind}_subset.npz"
    arrays, notes = read_npz(path, ["images", "factors", "factor_names", "factor_sizes"])
    images, image_notes = as_images(arrays["images"], f"{path}[images]")
    assert images.shape == (54, 64, 64, 3)
    assert notes == image_notes == []
    names = arrays["factor_names"].tolist()
    factors, _ = FactorTable.from_columns(
        arrays["factors"], names, "factors", sizes=arrays["factor_sizes"].tolist(), n_rows=54
    )
    assert factors.sizes == (6, 6, 2, 3, 3, 40, 40)
    assert factors.known() == tuple(names)
