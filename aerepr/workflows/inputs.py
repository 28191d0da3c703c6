"""Data a user hands over, as the model of a run takes it: arrays, and files of pictures or arrays.

One convention: images are (N, H, W, C), or (N, H, W) where the model has one channel, as uint8 or as floats in [0, 1];
vectors are (N, F).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aerepr.data.arrays import Layout, as_images, as_vectors
from aerepr.data.hdf5 import hdf5_keys, read_hdf5
from aerepr.data.images import SUFFIXES, list_images, read_images
from aerepr.data.lookup import existing_file
from aerepr.data.npz import npz_keys, read_npy, read_npz
from aerepr.errors import DataError, ShapeError
from aerepr.kinds.shape import DataShape


def as_examples(array: Any, shape: DataShape, where: str, binary: bool | None = False) -> tuple[Tensor, list[str]]:
    """An array as the model takes it.

    Args:
        array: in the convention above. where: how messages call it.
        binary: whether integers are masks of 0 and 1 to be multiplied by 255; None: if no value exceeds 1.

    Returns:
        Images as float (N, C, H, W) in [0, 1], or vectors (N, F); and notes on what was decided without being asked.

    Raises:
        ShapeError: sizes other than the model's. DataError: not numbers, not finite, out of range, or no rows.
    """
    array = np.asarray(array)
    if not shape.is_image:
        vectors = as_vectors(array, where)
        if vectors.shape[1] != shape.channels:
            raise ShapeError(f"{where}: found {vectors.shape[1]} features, this model takes {shape.channels}")
        return torch.from_numpy(vectors), []
    channels, height, width = shape.sizes
    accepted = [(height, width, channels)] + ([(height, width)] if channels == 1 else [])
    if array.shape[1:] not in accepted:
        raise ShapeError(_unfitting(array, shape, where))
    layout: Layout = "NHWC" if array.ndim == 4 else "NHW"
    # Checks dtype, range and finiteness; what it makes of floats is rounded to 1/255, so they are taken as they came.
    pixels, notes = as_images(array, where, layout, binary)
    if array.dtype.kind == "f":
        images = array.reshape(len(array), height, width, channels).astype(np.float32)
    else:
        images = pixels.astype(np.float32) / 255.0
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))), notes


def as_arrays(values: Tensor, shape: DataShape) -> NDArray[np.float32]:
    """Examples (N, *shape) as the user gets them: float32, images (N, H, W, C) in [0, 1]."""
    array: NDArray[np.float32] = values.to(torch.float32).numpy()
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if shape.is_image else array


def read_examples(path: Path, shape: DataShape, key: str | None = None) -> tuple[Tensor, list[str]]:
    """Examples of a file or folder.

    Args:
        path: a picture or a folder of pictures, cropped and resized to the model's size; or an array in an .npz, .h5 or
            .npy file, of exactly that size.
        key: which array of the file; left out: the only one, else `images` (or `values`, for vectors).

    Returns:
        As `as_examples`.

    Raises:
        DataError: missing, damaged or unknown file, or no such key. ShapeError: sizes other than the model's.
    """
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in SUFFIXES:
        return as_examples(_pictures(path, shape), shape, str(path))
    existing_file(path)
    if suffix == ".npy":
        return as_examples(read_npy(path), shape, str(path), None)
    if suffix == ".npz":
        key = _key(path, key, npz_keys(path), shape)
        return as_examples(read_npz(path, [key])[0][key], shape, f"{path}[{key}]", None)
    if suffix in (".h5", ".hdf5"):
        key = _key(path, key, hdf5_keys(path), shape)
        return as_examples(read_hdf5(path, key), shape, f"{path}[{key}]", None)
    raise DataError(
        f'{path}: found a file that ends in "{path.suffix}", expected a picture ({", ".join(sorted(SUFFIXES))}), a folder '
        "of pictures, or an array in a .npz, .npy or .h5 file"
    )


def _pictures(path: Path, shape: DataShape) -> NDArray[np.uint8]:
    if not shape.is_image or shape.channels not in (1, 3):
        raise DataError(
            f"{path}: found pictures, this model takes a {shape}: give an array in a .npz, .npy or .h5 file"
        )
    files = [file for file, _ in list_images(path)[0]] if path.is_dir() else [existing_file(path)]
    _, height, width = shape.sizes
    return read_images(files, (height, width), "L" if shape.channels == 1 else "RGB")


def _key(path: Path, asked: str | None, keys: tuple[str, ...], shape: DataShape) -> str:
    usual = "images" if shape.is_image else "values"
    if asked is not None:
        return asked
    if len(keys) == 1:
        return keys[0]
    if usual not in keys:
        raise DataError(f'{path}: found the arrays {", ".join(keys) or "(none)"}, expected one, or one named "{usual}"')
    return usual


def _unfitting(array: NDArray[Any], shape: DataShape, where: str) -> str:
    channels, height, width = shape.sizes
    text = (
        f"{where}: found shape {array.shape}, expected (n, {height}, {width}, {channels}), the images this model takes"
    )
    if array.shape[1:] == shape.sizes:
        return f"{text}: move the channels to the end, array.transpose(0, 2, 3, 1)"
    if array.shape == (height, width, channels):
        return f"{text}: add an axis for the number of images, array[None]"
    return text
