"""`smallnorb`: grey photographs of 50 toys under 6 lightings, 9 elevations and 18 azimuths, from the six published files.

The published test set, of other toys than the training set, is the test split. A row is one picture of a stereo pair.
Source: LeCun, Huang, Bottou 2004, "Learning methods for generic object recognition with invariance to pose and lighting".
Shape letters: N rows, H height, W width, F factors.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field

from aerepr.data.decoded import open_images
from aerepr.data.factors import FactorTable, Values
from aerepr.data.held import HeldDataset
from aerepr.data.norb import matrix_blocks, matrix_shape, read_matrix
from aerepr.data.published import FilesSpec, published_file, tested_splits
from aerepr.data.stored import StoredArray, file_state
from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext

# In row order; each with as many pairs.
PARTS = ("smallnorb-5x46789x9x18x6x2x96x96-training", "smallnorb-5x01235x9x18x6x2x96x96-testing")
PAIRS = 24_300
_SIDE = 96

FACTOR_NAMES = ("category", "instance", "elevation", "azimuth", "lighting")
FACTOR_SIZES = (5, 10, 9, 18, 6)
_VALUES: tuple[Values, ...] = (
    np.array(["animal", "human", "plane", "truck", "car"]),
    np.arange(10),
    np.arange(30, 75, 5),
    np.arange(0, 360, 20),
    np.arange(6),
)


class SmallNORBSpec(FilesSpec):
    """Table `[data]` with `name = "smallnorb"`; `split` divides the published training rows between train and valid."""

    camera: Literal["left", "right"] = Field(
        "left", description="which picture of a stereo pair: the first or the second"
    )
    size: Literal[64, 96] = Field(
        64, description="side in pixels; 96 is native, 64 resized with Pillow's Lanczos filter"
    )
    subset_file: bool = Field(False, description="accept files that hold fewer pairs than were published")


class SmallNORBDataset(HeldDataset):
    """The training pairs, then the test pairs, one picture of each; elevation and azimuth have values in degrees."""

    Spec = SmallNORBSpec

    def __init__(self, spec: SmallNORBSpec, ctx: DataContext) -> None:
        files = [published_file(spec, ctx, f"{part}-dat.mat.gz", f"{part}-dat.mat") for part in PARTS]
        counts = [_count(spec, file) for file in files]
        classes_NF = np.concatenate(
            [_classes(spec, ctx, part, count) for part, count in zip(PARTS, counts, strict=True)]
        )
        images = StoredArray(
            path=files[0],
            key=f"{spec.camera} {spec.size}",
            shape=(sum(counts), spec.size, spec.size, 1),
            dtype=np.dtype(np.uint8),
            offset=None,
            blocks=lambda: _pictures(files, ("left", "right").index(spec.camera), spec.size),
            state=file_state(*files),
        )
        pixels, notes = open_images(
            images, ctx.cache, layout="NHWC", binary=False, memory="mapped", progress=ctx.progress
        )
        rows = np.arange(sum(counts), dtype=np.int64)
        super().__init__(
            pixels,
            FactorTable(FACTOR_NAMES, FACTOR_SIZES, classes_NF, _VALUES),
            notes,
            tested_splits(rows[: counts[0]], rows[counts[0] :], spec.split, spec.split_seed),
            spec.memory,
        )


def _count(spec: SmallNORBSpec, file: Path) -> int:
    """Pairs in a file of images."""
    shape, dtype = matrix_shape(file)
    if shape[1:] != (2, _SIDE, _SIDE) or dtype != np.uint8:
        raise DataError(
            f"{file}: found {dtype} of shape {shape}, expected uint8 (N, 2, {_SIDE}, {_SIDE}) as published for {spec.name}; "
            "check that it is the right file"
        )
    if shape[0] != PAIRS and not (spec.subset_file and shape[0] < PAIRS):
        raise DataError(
            f"{file}: found {shape[0]:,} pairs, expected {PAIRS:,}; copy or download it again, or, if it is to be a part of "
            "what was published, set subset_file = true"
        )
    return shape[0]


def _classes(spec: SmallNORBSpec, ctx: DataContext, part: str, count: int) -> np.ndarray:
    """Class indices (N, F) of one part."""
    category_file, info_file = (
        published_file(spec, ctx, f"{part}-{what}.mat.gz", f"{part}-{what}.mat") for what in ("cat", "info")
    )
    category, info = read_matrix(category_file), read_matrix(info_file)
    for file, found, expected in ((category_file, category, (count,)), (info_file, info, (count, 4))):
        if found.shape != expected or found.dtype != np.int32:
            raise DataError(
                f"{file}: found {found.dtype} of shape {found.shape}, expected int32 {expected}; check that it belongs to "
                f"the images of {part}"
            )
    instance, elevation, azimuth, lighting = info.T
    # Azimuths are published as tens of degrees, of which every other was photographed.
    classes_NF = np.stack([category, instance, elevation, azimuth // 2, lighting], axis=1).astype(np.int16)
    wrong_NF = (classes_NF < 0) | (classes_NF >= FACTOR_SIZES)
    wrong_NF[:, FACTOR_NAMES.index("azimuth")] |= azimuth % 2 != 0
    if wrong_NF.any():
        row, column = (int(index) for index in np.unravel_index(int(wrong_NF.argmax()), wrong_NF.shape))
        file = category_file if column == 0 else info_file
        raise DataError(
            f"{file}: found a value for {FACTOR_NAMES[column]} in row {row} that is none of the {FACTOR_SIZES[column]} "
            "published; copy or download it again"
        )
    return classes_NF


def _pictures(files: list[Path], camera: int, size: int) -> Iterator[np.ndarray]:
    for file in files:
        for block in matrix_blocks(file):
            yield resized(block[:, camera], size)[..., np.newaxis]


def resized(images_NHW: np.ndarray, size: int) -> np.ndarray:
    """Grey images at another size, with Pillow's Lanczos filter."""
    if images_NHW.shape[1:] == (size, size):
        return images_NHW
    pictures = (Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS) for image in images_NHW)
    return np.stack([np.asarray(picture) for picture in pictures])
