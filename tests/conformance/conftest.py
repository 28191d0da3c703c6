"""Tiny files for the data sets that need some."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.builtin.datasets.official_files import small_official_files
from tests.builtin.datasets.published_files import small_files

N = 30


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples in the catalogue, and `EXAMPLES` of the test, name."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (N, 8, 8), dtype=np.uint8)
    labels = (np.arange(N) % 3).astype(np.uint8)
    values = random.standard_normal((N, 4)).astype(np.float32)
    (folder / "images.idx").write_bytes(struct.pack(">HBB3I", 0, 8, 3, *images.shape) + images.tobytes())
    (folder / "labels.idx").write_bytes(struct.pack(">HBBI", 0, 8, 1, N) + labels.tobytes())
    np.savez(folder / "arrays.npz", images=images, latents=labels[:, None])
    np.save(folder / "values.npy", values)
    with h5py.File(folder / "arrays.h5", "w") as file:
        file["values"], file["labels"] = values, labels[:, None]
    table = np.column_stack([values, labels])
    np.savetxt(folder / "table.csv", table, delimiter=",", header="a,b,c,d,kind", comments="")
    for i in range(N):
        place = folder / "pictures" / f"class{i % 3}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[i]).save(place / f"{i}.png")
    small_files(folder)
    small_official_files(folder)
    return folder
