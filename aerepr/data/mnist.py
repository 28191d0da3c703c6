"""The four idx files of MNIST, and of data sets published in its form: 60,000 training and 10,000 test images, 28 x 28, grey.

Source: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition".
Shape letters: N rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, PositiveInt

from aerepr.data.arrays import as_images
from aerepr.data.factors import FactorTable
from aerepr.data.idx import read_idx
from aerepr.data.images import resized
from aerepr.data.published import FilesSpec, published_file, tested_splits
from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext

# The parts in row order, with the number of images published.
_PARTS = (("train", 60_000), ("t10k", 10_000))
_SIDE = 28


class FourFilesSpec(FilesSpec):
    """What the table of such a data set has. `split` divides the published training images between train and valid."""

    subset_file: bool = Field(False, description="accept files that hold fewer images than were published")
    size: PositiveInt | None = Field(
        None, description="side, in pixels, to resize to with a bilinear filter, such as 32; left out: 28, as published"
    )


def read_four_files(spec: FourFilesSpec, ctx: DataContext, classes: tuple[str, ...]) -> dict[str, Any]:
    """What `HeldDataset` is made of: the training images, then the test images, which are the test split.

    Args:
        classes: what the labels stand for; the label is the one factor.

    Raises:
        DataError: a file is missing, damaged, of another data set, or not as long as published.
    """
    parts = [_part(spec, ctx, part, count, len(classes)) for part, count in _PARTS]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    rows, first_test = np.arange(len(images), dtype=np.int64), len(parts[0][0])
    return {
        "values": images if spec.size is None else resized(images, spec.size),
        "factors": FactorTable(("label",), (len(classes),), labels[:, np.newaxis], (np.array(classes),)),
        "splits": tested_splits(rows[:first_test], rows[first_test:], spec.split, spec.split_seed),
    }


def _part(spec: FourFilesSpec, ctx: DataContext, part: str, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 28, 28, 1) uint8 and labels (N,) int16 of one part."""
    names = (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")
    images_file, labels_file = (published_file(spec, ctx, f"{name}.gz", name) for name in names)
    images, labels = read_idx(images_file), read_idx(labels_file)
    if images.shape[1:] != (_SIDE, _SIDE) or images.dtype != np.uint8:
        raise DataError(
            f"{images_file}: found {images.dtype} of shape {images.shape}, expected uint8 (N, {_SIDE}, {_SIDE}) as published "
            f"for {spec.name}; check that it is the right file"
        )
    if labels.shape != images.shape[:1] or labels.dtype != np.uint8 or labels.max() >= classes:
        raise DataError(
            f"{labels_file}: found {labels.dtype} of shape {labels.shape} up to {labels.max()}, expected a label of 0 to "
            f"{classes - 1} for each of the {len(images):,} images of {images_file.name}; check that it is the right file"
        )
    if len(images) != count and not (spec.subset_file and len(images) < count):
        raise DataError(
            f"{images_file}: found {len(images):,} images, expected {count:,}; copy or download it again, or, if it is to "
            "be a part of what was published, set subset_file = true"
        )
    return as_images(images, str(images_file), binary=False)[0], labels.astype(np.int16)
