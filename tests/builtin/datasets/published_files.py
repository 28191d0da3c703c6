"""Files in the published layouts at their full length, almost all of them holes: gigabytes that take no space on disk.

Row n of such a file is black, except for a few marked rows, whose first pixel holds the mark.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import h5py
import numpy as np
from numpy.lib import format as npy

Marks = Mapping[int, int]


def sparse_hdf5(path: Path, shape: Sequence[int], marks: Marks, **more: np.ndarray) -> None:
    """`images` uint8 of that shape, plain bytes in the file, and other arrays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", shape, np.uint8)
        for row, mark in marks.items():
            images[row, 0, 0] = mark
        for key, array in more.items():
            file[key] = array


def sparse_npz(path: Path, key: str, shape: Sequence[int], marks: Marks, **more: np.ndarray) -> None:
    """One array uint8 of that shape, stored without compression, and other arrays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row_bytes = prod(shape[1:])
    with open(path, "w+b") as file, zipfile.ZipFile(file, "w") as archive:
        # The member is written past the archive, which would fill the holes; then the archive is told of it.
        info = zipfile.ZipInfo(f"{key}.npy")
        info.CRC = 0  # not that of the bytes, which only reading all of them would tell
        header_at = file.tell()
        file.write(info.FileHeader(zip64=True))
        first = file.tell()
        npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)})
        values = file.tell()
        for row, mark in marks.items():
            file.seek(values + row * row_bytes)
            file.write(bytes([mark]) * (shape[-1] if len(shape) == 4 else 1))
        info.file_size = info.compress_size = values - first + shape[0] * row_bytes
        info.header_offset = header_at
        file.seek(header_at)
        file.write(info.FileHeader(zip64=True))
        archive.filelist.append(info)
        archive.NameToInfo[info.filename] = info
        archive.start_dir = first + info.file_size
        for other, array in more.items():
            with archive.open(f"{other}.npy", "w") as member:
                npy.write_array(member, array)
        if not more:
            archive.writestr("note.txt", "so that the archive closes with a directory")


def sparse_npy(path: Path, shape: Sequence[int], marks: Marks) -> None:
    """A npy file uint8 of that shape."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = npy.open_memmap(path, mode="w+", dtype=np.uint8, shape=tuple(shape))
    for row, mark in marks.items():
        images[row, 0, 0] = mark


def marked(rows: Sequence[int]) -> dict[int, int]:
    """A mark for each row, no two alike."""
    return {row: 10 + number for number, row in enumerate(rows)}


def shapes3d_labels(rows: np.ndarray) -> np.ndarray:
    """Labels of rows of the full grid of 3D Shapes, as published: values."""
    classes = np.stack(np.unravel_index(rows, (10, 10, 10, 8, 4, 15)), axis=1)
    return classes * [0.1, 0.1, 0.1, 0.5 / 7, 1.0, 60 / 14] + [0, 0, 0, 0.75, 0, -30]


def small_files(folder: Path, rows: int = 30) -> None:
    """A folder for each data set that is one grid, with a cut-down file in its published layout; and small files of RFD."""
    random = np.random.Generator(np.random.PCG64(0))
    images = random.integers(0, 256, (rows, 64, 64, 3), dtype=np.uint8)
    shapes, dsprites, rfd = folder / "shapes3d", folder / "dsprites", folder / "rfd"
    for place in (shapes, dsprites, rfd):
        place.mkdir(parents=True, exist_ok=True)
    with h5py.File(shapes / "3dshapes.h5", "w") as file:
        file.create_dataset("images", data=images, chunks=(10, 64, 64, 3), compression="gzip")
        file["labels"] = shapes3d_labels(spread(rows, 480_000))
    for name, file_name in MPI3D.items():
        sizes = (4, 4, 2, 3, 3, 40, 40) if name == "mpi3d_real_complex" else (6, 6, 2, 3, 3, 40, 40)
        classes = np.stack(np.unravel_index(spread(rows, prod(sizes)), sizes), axis=1)
        (folder / name).mkdir(exist_ok=True)
        np.savez_compressed(folder / name / file_name, images=images, factors=classes)
    classes = np.stack(np.unravel_index(spread(rows, 737_280), (1, 3, 6, 40, 32, 32)), axis=1)
    np.savez_compressed(
        dsprites / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
        metadata=np.array({"title": "a pickle"}, dtype=object),
        imgs=images[..., 0] // 128,
        latents_classes=classes,
    )
    large = random.integers(0, 256, (rows // 3, 128, 128, 3), dtype=np.uint8)
    for name in ("RFD_train_0.h5", "RFD_train_1.h5", "RFD_test_0.h5"):
        with h5py.File(rfd / name, "w") as file:
            file.create_dataset("images", data=large, chunks=(5, 128, 128, 3), compression="gzip")
            file["labels"] = random.integers(0, (1, 8, 1, 30, 30, 30, 30, 30, 10), (len(large), 9)).astype(np.uint8)


MPI3D = {
    "mpi3d_toy": "mpi3d_toy.npz",
    "mpi3d_realistic": "mpi3d_realistic.npz",
    "mpi3d_real": "mpi3d_real.npz",
    "mpi3d_real_complex": "real3d_complicated_shapes_ordered.npz",
}


def spread(rows: int, full: int) -> np.ndarray:
    """Row numbers from all over a grid, ascending, from the first to the last."""
    return np.linspace(0, full - 1, rows).astype(np.int64)
