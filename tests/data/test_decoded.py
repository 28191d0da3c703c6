"""Large images: decoded once, mapped, and never half written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from aerepr.data.arrays import as_images
from aerepr.data.decoded import open_images
from aerepr.data.hdf5 import find_hdf5
from aerepr.data.mapped import MappedRows
from aerepr.data.npz import find_npz
from aerepr.data.stored import StoredArray
from aerepr.errors import AereprError, DataError

IMAGES = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (37, 6, 5, 3), dtype=np.uint8)


def chunked(path: Path, array: np.ndarray = IMAGES) -> StoredArray:
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=array, chunks=(4, *array.shape[1:]), compression="gzip")
    return find_hdf5(path, "images")


def plain_hdf5(path: Path, array: np.ndarray = IMAGES) -> StoredArray:
    with h5py.File(path, "w") as file:
        file["labels"], file["images"] = np.arange(len(array)), array
    return find_hdf5(path, "images")


def compressed(path: Path, array: np.ndarray = IMAGES) -> StoredArray:
    with open(path, "wb") as file:
        np.savez_compressed(file, labels=np.arange(len(array)), images=array)
    return find_npz(path, "images")[0]


def plain_npz(path: Path, array: np.ndarray = IMAGES) -> StoredArray:
    with open(path, "wb") as file:
        np.savez(file, labels=np.arange(len(array)), images=array)
    return find_npz(path, "images")[0]


def decoded(cache: Path) -> list[str]:
    """Files of decoded images, whole or not; locks are empty and stay."""
    return sorted(path.name for path in (cache / "decoded").glob("*") if path.suffix != ".lock")


def never() -> Iterator[np.ndarray]:
    raise AssertionError("was read again")
    yield


WRITERS = [chunked, plain_hdf5, compressed, plain_npz]
Writer = Callable[..., StoredArray]


@pytest.mark.parametrize("write", WRITERS)
def test_small_arrays_are_read_into_memory(tmp_path: Path, write: Writer) -> None:
    images, notes = open_images(write(tmp_path / "a"), tmp_path / "cache")
    assert isinstance(images, np.ndarray)
    np.testing.assert_array_equal(images, IMAGES)
    assert notes == []
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("write", WRITERS)
def test_mapped_rows_are_those_written(tmp_path: Path, write: Writer) -> None:
    images, _ = open_images(write(tmp_path / "a"), tmp_path / "cache", memory="mapped")
    assert isinstance(images, MappedRows)
    assert (images.shape, images.dtype, images.nbytes) == (IMAGES.shape, np.uint8, IMAGES.nbytes)
    rows = np.array([36, 0, 17, 17, 1])
    np.testing.assert_array_equal(images.take(rows), IMAGES[rows])
    np.testing.assert_array_equal(np.concatenate(list(images.blocks())), IMAGES)
    # What is plain in its file is mapped there.
    assert len(decoded(tmp_path / "cache")) == (write in (chunked, compressed))


@pytest.mark.parametrize("write", [chunked, compressed])
def test_a_file_is_decoded_once(tmp_path: Path, write: Writer) -> None:
    array = write(tmp_path / "a")
    told: list[tuple[str, int, int]] = []
    open_images(array, tmp_path, memory="mapped", layout="NHWC", binary=False, progress=lambda *what: told.append(what))
    assert told[0] == ("decoding a[images]", 0, 37)
    assert told[-1] == ("decoding a[images]", 37, 37)
    images, _ = open_images(replace(array, blocks=never), tmp_path, memory="mapped", layout="NHWC", binary=False)
    np.testing.assert_array_equal(images.take(np.arange(37)), IMAGES)


def test_a_changed_file_is_decoded_again_and_the_old_images_removed(tmp_path: Path) -> None:
    open_images(chunked(tmp_path / "a.h5"), tmp_path, memory="mapped")
    (first,) = decoded(tmp_path)
    array = chunked(tmp_path / "a.h5", IMAGES[::-1].copy())
    os.utime(tmp_path / "a.h5", ns=(0, 1))
    images, _ = open_images(array, tmp_path, memory="mapped")
    np.testing.assert_array_equal(images.take(np.arange(37)), IMAGES[::-1])
    (second,) = decoded(tmp_path)
    assert first != second
    # Another file's stay.
    open_images(chunked(tmp_path / "b.h5"), tmp_path, memory="mapped")
    assert second in decoded(tmp_path)


def test_conversions_are_kept_apart(tmp_path: Path) -> None:
    masks = (IMAGES[..., 0] > 127).astype(np.uint8)
    array = compressed(tmp_path / "a", masks)
    guessed, notes = open_images(array, tmp_path, memory="mapped")
    assert sum("read as masks" in note for note in notes) == len(notes) == 1
    told, notes = open_images(array, tmp_path, memory="mapped", layout="NHW", binary=True)
    assert notes == []
    kept, _ = open_images(array, tmp_path, memory="mapped", layout="NHW", binary=False)
    everything = np.arange(37)
    np.testing.assert_array_equal(guessed.take(everything)[..., 0], masks * 255)
    np.testing.assert_array_equal(told.take(everything)[..., 0], masks * 255)
    np.testing.assert_array_equal(kept.take(everything)[..., 0], masks)


@pytest.mark.parametrize(
    ("array", "layout"), [(IMAGES.transpose(0, 3, 1, 2), "NCHW"), (IMAGES / 255, None), (IMAGES.astype(np.int32), None)]
)
def test_what_is_converted_is_what_small_arrays_become(tmp_path: Path, array: np.ndarray, layout: str | None) -> None:
    for write in WRITERS:
        images, _ = open_images(write(tmp_path / "a", array), tmp_path, layout=layout, memory="mapped")
        np.testing.assert_array_equal(images.take(np.arange(37)), as_images(array, "a", layout)[0])


def test_an_array_whose_columns_come_first_is_decoded(tmp_path: Path) -> None:
    images, _ = open_images(plain_npz(tmp_path / "a", np.asfortranarray(IMAGES)), tmp_path, memory="mapped")
    np.testing.assert_array_equal(images.take(np.arange(37)), IMAGES)
    assert len(decoded(tmp_path)) == 1


def blocks_of(array: np.ndarray, count: int) -> Callable[[], Iterator[np.ndarray]]:
    return lambda: iter([array[start : start + count] for start in range(0, len(array), count)])


@pytest.mark.parametrize(
    ("later", "binary", "message"),
    [
        (7, None, r"a\[images\] from row 10: found values up to 7, expected masks of 0 and 1 because binary = true"),
        (
            np.nan,
            None,
            r"a\[images\] from row 10: found 1 pixels that are NaN or infinite, the first at index \[3, 1, 0, 0\]",
        ),
    ],
)
def test_values_are_checked_while_decoding(tmp_path: Path, later: float, binary: bool | None, message: str) -> None:
    array = (IMAGES > 127).astype(np.float32 if later != later else np.uint8)
    array[13, 1, 0, 0] = later
    stored = replace(compressed(tmp_path / "a", array), blocks=blocks_of(array, 10))
    with pytest.raises(DataError, match=message):
        open_images(stored, tmp_path, memory="mapped", binary=binary)
    assert decoded(tmp_path) == []


def failing(cause: BaseException) -> Callable[[], Iterator[np.ndarray]]:
    def blocks() -> Iterator[np.ndarray]:
        yield IMAGES[:20]
        raise cause

    return blocks


@pytest.mark.parametrize(
    ("cause", "seen", "message"),
    [
        (KeyboardInterrupt("Ctrl-C"), KeyboardInterrupt, "Ctrl-C"),
        (OSError(errno.ENOSPC, "No space left on device"), AereprError, "the disk is full; nothing was replaced"),
        (DataError("damaged"), DataError, "damaged"),
    ],
)
def test_a_decode_that_fails_leaves_nothing(
    tmp_path: Path, cause: BaseException, seen: type[BaseException], message: str
) -> None:
    array = chunked(tmp_path / "a.h5")
    with pytest.raises(seen, match=message):
        open_images(replace(array, blocks=failing(cause)), tmp_path, memory="mapped")
    assert decoded(tmp_path) == []
    images, _ = open_images(array, tmp_path, memory="mapped")
    np.testing.assert_array_equal(images.take(np.arange(37)), IMAGES)


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from dataclasses import replace\n"
        "from aerepr.data.hdf5 import find_hdf5; from aerepr.data.decoded import open_images\n"
        "array = find_hdf5(sys.argv[1], 'images'); read = list(array.blocks())\n"
        "def blocks():\n    yield read[0]\n    os.kill(os.getpid(), 9)\n"
        "open_images(replace(array, blocks=blocks), Path(sys.argv[2]), memory='mapped', layout='NHWC', binary=False)\n"
    )
    array = chunked(tmp_path / "a.h5")
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.h5"), str(tmp_path)], check=False)
    assert done.returncode == -9
    (left,) = decoded(tmp_path)
    assert ".part." in left
    open_images(array, tmp_path, memory="mapped", layout="NHWC", binary=False)
    (whole,) = decoded(tmp_path)
    assert left.endswith(whole)
    assert left != whole


def test_decoded_images_that_were_cut_are_made_again(tmp_path: Path) -> None:
    array = chunked(tmp_path / "a.h5")
    open_images(array, tmp_path, memory="mapped")
    (name,) = decoded(tmp_path)
    os.truncate(tmp_path / "decoded" / name, 400)
    images, _ = open_images(array, tmp_path, memory="mapped")
    np.testing.assert_array_equal(images.take(np.arange(37)), IMAGES)


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path) -> None:
    array = replace(chunked(tmp_path / "a.h5"), shape=(10**14, 6, 5, 3))
    with pytest.raises(DataError, match=r"found [\d.]+ GB free, expected 9000000\.0 GB for .*a\.h5\[images\]"):
        open_images(array, tmp_path, memory="mapped")
    assert decoded(tmp_path) == []


def test_of_two_at_once_one_decodes_and_the_other_waits(tmp_path: Path) -> None:
    array = chunked(tmp_path / "a.h5")
    count, told = [], []

    def slow() -> Iterator[np.ndarray]:
        count.append(1)
        for block in array.blocks():
            time.sleep(0.3)
            yield block

    def work() -> None:
        stored = replace(array, blocks=slow)
        images, _ = open_images(
            stored, tmp_path, memory="mapped", layout="NHWC", binary=False, progress=lambda what, *_: told.append(what)
        )
        np.testing.assert_array_equal(images.take(np.arange(37)), IMAGES)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(count) == 1
    assert "waiting for another process that decodes the same file" in told


def test_rows_of_several_maps(tmp_path: Path) -> None:
    parts = [IMAGES[:5], IMAGES[5:6], IMAGES[6:]]
    maps = []
    for number, part in enumerate(parts):
        images, _ = open_images(plain_npz(tmp_path / str(number), part), tmp_path, memory="mapped")
        maps += images.parts
    joined = MappedRows(maps)
    assert joined.shape == IMAGES.shape
    rows = np.array([36, 5, 4, 0, 6, 5, 20])
    np.testing.assert_array_equal(joined.take(rows), IMAGES[rows])
    np.testing.assert_array_equal(np.concatenate(list(joined.blocks())), IMAGES)


def test_damage_inside_compressed_values_is_found_while_decoding(tmp_path: Path) -> None:
    def damaged(array: StoredArray, place: int) -> StoredArray:
        content = bytearray(array.path.read_bytes())
        content[place : place + 64] = bytes(64)
        array.path.write_bytes(content)
        return array

    array = chunked(tmp_path / "a.h5")
    with h5py.File(array.path) as file:
        place = file["images"].id.get_chunk_info(3).byte_offset + 100
    for broken in (damaged(array, place), damaged(compressed(tmp_path / "a.npz"), 2000)):
        with pytest.raises(DataError, match="damaged"):
            open_images(broken, tmp_path, memory="mapped", layout="NHWC", binary=False)
        assert decoded(tmp_path) == []
