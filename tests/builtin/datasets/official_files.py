"""Files in the published layouts of data sets that come as several files; cut down, with known pixels and factors."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.builtin.datasets.building import write_idx

NORB_PARTS = ("smallnorb-5x46789x9x18x6x2x96x96-training", "smallnorb-5x01235x9x18x6x2x96x96-testing")
ATTRIBUTES = tuple(f"Attribute_{number}" for number in range(40))


def four_idx_files(folder: Path, train: int = 20, test: int = 10, suffix: str = ".gz") -> dict[str, np.ndarray]:
    """The files of MNIST; the arrays in them, by the name of the file without its suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.Generator(np.random.PCG64(0))
    arrays = {}
    for part, count in (("train", train), ("t10k", test)):
        arrays[f"{part}-images-idx3-ubyte"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    for name, array in arrays.items():
        write_idx(folder / f"{name}{suffix}", array)
    return arrays


def write_matrix(path: Path, array: np.ndarray) -> None:
    """A binary matrix of NORB, gzipped where its name says so."""
    magic = {
        "uint8": 0x1E3D4C55,
        "int32": 0x1E3D4C54,
        "float32": 0x1E3D4C51,
        "float64": 0x1E3D4C53,
        "int16": 0x1E3D4C56,
    }
    sizes = (*array.shape, *(1,) * (3 - array.ndim))
    header = struct.pack(f"<Ii{len(sizes)}i", magic[array.dtype.name], array.ndim, *sizes)
    content = header + np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def norb_files(folder: Path, pairs: int = 12, suffix: str = ".mat.gz") -> dict[str, dict[str, np.ndarray]]:
    """The six files of SmallNORB; the arrays in them, by part and by dat, cat and info."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.Generator(np.random.PCG64(0))
    found = {}
    for part, instances in zip(NORB_PARTS, ((4, 6, 7, 8, 9), (0, 1, 2, 3, 5)), strict=True):
        columns = [random.choice(instances, pairs), random.integers(0, 9, pairs), 2 * random.integers(0, 18, pairs)]
        arrays = {
            "dat": random.integers(0, 256, (pairs, 2, 96, 96), dtype=np.uint8),
            "cat": random.integers(0, 5, pairs, dtype=np.int32),
            "info": np.stack([*columns, random.integers(0, 6, pairs)], axis=1).astype(np.int32),
        }
        for what, array in arrays.items():
            write_matrix(folder / f"{part}-{what}{suffix}", array)
        found[part] = arrays
    return found


def cars3d_files(folder: Path, cars: int = 2, listed: Sequence[int] | None = None) -> list[np.ndarray]:
    """The .mat files of some cars, each filled with one number for each elevation and azimuth, and list.txt if given."""
    from scipy.io import savemat

    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for car in range(cars):
        view = np.arange(96, dtype=np.uint8).reshape(4, 24).T + np.uint8(100 * (car % 2))
        im = np.ascontiguousarray(np.broadcast_to(view, (128, 128, 3, 24, 4)))
        savemat(folder / f"car_{car:03d}_mesh.mat", {"im": im, "mask": np.zeros((2, 2))}, do_compression=True)
        images.append(im)
    if listed is not None:
        (folder / "list.txt").write_text("".join(f"car_{car:03d}_mesh\n" for car in listed))
    return images


def celeba_files(folder: Path, partitions: Sequence[int], attributes: bool = True) -> np.ndarray:
    """JPEG files 218 x 178, the partition file and the attributes; these as 0 and 1, (N, 40).

    A picture is bright inside the published crop and dark outside, and its number is its brightness.
    """
    pictures = folder / "img_align_celeba"
    pictures.mkdir(parents=True, exist_ok=True)
    names = [f"{number:06d}.jpg" for number in range(1, len(partitions) + 1)]
    for number, name in enumerate(names):
        pixels = np.zeros((218, 178, 3), np.uint8)
        pixels[45:173, 25:153] = 60 + 5 * (number % 30)
        Image.fromarray(pixels).save(pictures / name, quality=95)
    text = "".join(f"{name} {part}\n" for name, part in zip(names, partitions, strict=True))
    (folder / "list_eval_partition.txt").write_text(text)
    classes = np.random.Generator(np.random.PCG64(0)).integers(0, 2, (len(names), 40))
    if attributes:
        rows = (
            f"{name} {' '.join(f'{2 * value - 1:2d}' for value in row)}"
            for name, row in zip(names, classes, strict=True)
        )
        head = [str(len(names)), " ".join(ATTRIBUTES) + " "]
        (folder / "list_attr_celeba.txt").write_text("\n".join([*head, *rows]) + "\n")
    return classes


def small_official_files(folder: Path) -> None:
    """A folder for each of these data sets, under its name."""
    four_idx_files(folder / "mnist")
    four_idx_files(folder / "fashion_mnist")
    norb_files(folder / "smallnorb")
    cars3d_files(folder / "cars3d")
    celeba_files(folder / "celeba", [0] * 20 + [1] * 4 + [2] * 6)
