"""Products as files, whole or not at all: pictures (.png) and numbers (.npz, .h5) by the suffix; and codes read back.

Shape letters: N examples, C channels, H height, W width, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aerepr import atomic
from aerepr.data.arrays import as_vectors
from aerepr.data.hdf5 import hdf5_keys, read_hdf5
from aerepr.data.npz import npz_keys, read_npy, read_npz
from aerepr.errors import DataError, UsageError
from aerepr.kinds.shape import DataShape
from aerepr.sampling.pictures import Pixels, save_png

SUFFIXES = (".png", ".npz", ".h5")

# Keys under which `sample` and `encode` keep codes, the first that is there being read.
CODE_KEYS = ("z", "codes")


def check_target(path: Path, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Refuse a place that cannot be written before the work is done.

    Raises:
        UsageError: an unknown suffix, a folder, or a place below a file.
    """
    if path.suffix.lower() not in suffixes:
        found = f'"{path.suffix}"' if path.suffix else "none"
        raise UsageError(f"{path}: expected a file that ends in {_or(suffixes)}, found {found}")
    if path.is_dir():
        raise UsageError(f"{path}: a folder is in the way: name a file")
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    if not existing.is_dir():
        raise UsageError(f"{path}: {existing} is a file, so nothing can be written below it")


def write(path: Path, arrays: Mapping[str, NDArray[Any]], picture: Callable[[], Pixels]) -> None:
    """Write a product in the form its suffix says: the picture, or the arrays.

    Raises:
        UsageError: an unknown suffix, or a place that cannot be written.
    """
    check_target(path)
    if path.suffix.lower() == ".png":
        save_png(path, picture())
    else:
        write_arrays(path, arrays)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to .npz or .h5; arrays of text become text there too.

    Raises:
        UsageError: another suffix, or a place that cannot be written.
    """
    check_target(path, SUFFIXES[1:])
    with atomic.write_aside(path) as aside:
        if path.suffix.lower() == ".npz":
            # An open file, because numpy appends .npz to a name that lacks it.
            with aside.open("wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its stub takes every name for a flag
        else:
            with h5py.File(aside, "w") as archive:
                for key, value in arrays.items():
                    text = value.dtype.kind == "U"
                    archive.create_dataset(
                        key, data=value.astype(object) if text else value, dtype=h5py.string_dtype() if text else None
                    )


def stored_examples(values: Tensor, shape: DataShape) -> dict[str, NDArray[Any]]:
    """Decoded values (N, *shape) as files keep them: `images` uint8 (N, H, W, C), or `values` float32 (N, F)."""
    if not shape.is_image:
        return {"values": values.numpy().astype(np.float32, copy=False)}
    pixels = np.rint(values.clamp(0.0, 1.0).numpy() * 255.0).astype(np.uint8)
    return {"images": np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))}


def read_codes(path: Path, latent_dim: int) -> NDArray[np.float32]:
    """Codes (N, D) of a file: key `z`, else `codes`, of an .npz or .h5, or a whole .npy. Nothing is ever unpickled.

    Raises:
        UsageError: another suffix.
        DataError: the file is missing or damaged, lacks the keys, or does not hold codes of this model.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return checked_codes(read_npy(path), latent_dim, str(path))
    if suffix not in (".npz", ".h5"):
        raise UsageError(f"{path}: expected codes in a file that ends in .npz, .npy or .h5")
    keys = npz_keys(path) if suffix == ".npz" else hdf5_keys(path)
    key = next((key for key in CODE_KEYS if key in keys), None)
    if key is None:
        raise DataError(f'{path}: found the keys {", ".join(keys) or "(none)"}, expected codes as "z" or "codes"')
    array = read_npz(path, [key])[0][key] if suffix == ".npz" else read_hdf5(path, key)
    return checked_codes(array, latent_dim, f"{path}[{key}]")


def checked_codes(array: NDArray[Any], latent_dim: int, where: str) -> NDArray[np.float32]:
    """Codes as float32 (N, D).

    Raises:
        DataError: no rows, another width, not numbers, or not finite.
    """
    codes = as_vectors(array, where)
    if codes.shape[1] != latent_dim:
        raise DataError(
            f"{where}: found codes of {codes.shape[1]} numbers, expected {latent_dim}, the latent dimensions of this model"
        )
    return codes


def _or(options: Sequence[str]) -> str:
    return f"{', '.join(options[:-1])} or {options[-1]}"
