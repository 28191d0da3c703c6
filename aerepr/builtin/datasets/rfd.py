"""`rfd`: the Robot Finger Dataset, a million simulated images, from the HDF5 files the code of Structure by Architecture makes.

`RFD_train_{0..7}.h5` and `RFD_test_{0,1}.h5` of 100,000 rows each hold `images` and `labels`, class indices of nine factors;
the rows are a random choice of combinations, not a grid. `RFD_HC_0.h5` has cubes of colours that no training image shows.
Source: Dittadi et al. 2021, "On the Transfer of Disentangled Representations in Realistic Settings", whose archive holds
pictures in a tar; Leeb et al. 2023 for the files.
Shape letters: N rows, F factors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from aerepr.data.arrays import as_factors
from aerepr.data.decoded import SMALL, open_images
from aerepr.data.factors import FactorTable, Values
from aerepr.data.hdf5 import find_hdf5, read_hdf5
from aerepr.data.held import HeldDataset
from aerepr.data.mapped import MappedRows
from aerepr.data.published import SubsetFileSpec, published_file, published_folder, require_images
from aerepr.data.stored import StoredArray
from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext

TRAIN = tuple(f"RFD_train_{number}.h5" for number in range(8))
TEST = tuple(f"RFD_test_{number}.h5" for number in range(2))
HELD_OUT_COLORS = ("RFD_HC_0.h5",)
FILE_ROWS = 100_000

FACTOR_NAMES = ("shape", "color", "size", "joint0", "joint1", "joint2", "x", "y", "angle")
FACTOR_SIZES = (1, 8, 1, 30, 30, 30, 30, 30, 10)
VALUES: tuple[Values, ...] = (
    np.array(["cube"]),
    # Red, green, blue.
    np.array(
        [
            (1.0, 0.0, 0.0),
            (1.0, 0.0, 0.5),
            (1.0, 0.0, 1.0),
            (0.5, 0.0, 1.0),
            (0.0, 0.5, 1.0),
            (0.0, 1.0, 1.0),
            (0.0, 1.0, 0.5),
            (0.0, 1.0, 0.0),
        ]
    ),
    np.array([0.065]),
    *(np.linspace(-end, end, 30) for end in (0.65, 0.5, 0.8, 0.11, 0.11)),
    np.arange(10) * math.pi / 20,
)
_COLOR = FACTOR_NAMES.index("color")

# Of the training files, for validation.
_VALID = 0.1


class RFDSpec(SubsetFileSpec):
    """Table `[data]` with `name = "rfd"`. The files say which rows are for testing; `split` has no say."""

    rule: Literal["released"] = Field(
        "released",
        description="the test files are for testing, and a tenth of the training files, drawn by `split_seed`, is for "
        "validation",
    )
    subset_file: bool = Field(False, description="accept files of fewer rows, and fewer of the numbered files")
    test: Literal["test", "held_out_colors"] = Field(
        "test",
        description="which files are the test split: RFD_test_*.h5, or RFD_HC_0.h5, whose colours are classes 8 and up of "
        "the factor `color`",
    )


class RFDDataset(HeldDataset):
    """Rows of the training files, then of the test files, in their order."""

    Spec = RFDSpec

    def __init__(self, spec: RFDSpec, ctx: DataContext) -> None:
        test_files = TEST if spec.test == "test" else HELD_OUT_COLORS
        train, test = ([_find(spec, ctx, name) for name in _names(spec, ctx, files)] for files in (TRAIN, test_files))
        found = [*train, *test]
        n_train, n = sum(array.shape[0] for array in train), sum(array.shape[0] for array in found)
        classes_NF = np.concatenate([_labels(array) for array in found])
        sizes = list(FACTOR_SIZES)
        values = list(VALUES)
        if spec.test == "held_out_colors":
            # Those colours are numbered from 0 in their own file, and none of them is a training colour.
            classes_NF[n_train:, _COLOR] += FACTOR_SIZES[_COLOR]
            sizes[_COLOR] = int(classes_NF[:, _COLOR].max()) + 1
            values[_COLOR] = None
        where = f"{found[0].path.parent}[labels]"
        table, notes = FactorTable.from_columns(classes_NF, FACTOR_NAMES, where, sizes=sizes)
        # One sort of rows for all files: those of a small one are mapped too where all together are many.
        memory = "mapped" if sum(array.nbytes for array in found) >= SMALL else spec.memory
        opened = [
            open_images(array, ctx.cache, layout="NHWC", binary=False, memory=memory, progress=ctx.progress)[0]
            for array in found
        ]
        super().__init__(
            _joined(opened), table.with_values(values), notes, _splits(n_train, n, spec.split_seed), spec.memory
        )


def _names(spec: RFDSpec, ctx: DataContext, files: Sequence[str]) -> Sequence[str]:
    if not spec.subset_file:
        return files
    folder = published_folder(spec, ctx)
    # Without any, the first is asked for and missed.
    return [name for name in files if (folder / name).exists()] or files[:1]


def _find(spec: RFDSpec, ctx: DataContext, name: str) -> StoredArray:
    images = find_hdf5(published_file(spec, ctx, name), "images")
    require_images(images, spec, (128, 128, 3))
    # How many images of held-out colours there are is not published.
    if not spec.subset_file and name not in HELD_OUT_COLORS and images.shape[0] != FILE_ROWS:
        raise DataError(
            f"{images.where}: found {images.shape[0]:,} images, expected {FILE_ROWS:,}; copy the file again, or, if it is "
            "to be a part, set subset_file = true"
        )
    return images


def _labels(images: StoredArray) -> np.ndarray:
    where = f"{images.path}[labels]"
    labels = as_factors(read_hdf5(images.path, "labels"), images.shape[0], where)
    if labels.shape[1] != len(FACTOR_NAMES) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{where}: found {labels.shape[1]} columns of {labels.dtype}, expected {len(FACTOR_NAMES)} of class indices; "
            "check that it is the right file"
        )
    return labels.astype(np.int64)


def _joined(opened: Sequence[np.ndarray | MappedRows]) -> np.ndarray | MappedRows:
    maps = [part for rows in opened if isinstance(rows, MappedRows) for part in rows.parts]
    return MappedRows(maps) if maps else np.concatenate([rows for rows in opened if isinstance(rows, np.ndarray)])


def _splits(n_train: int, n: int, split_seed: int) -> Mapping[str, np.ndarray]:
    drawn = np.random.Generator(np.random.PCG64(split_seed)).permutation(n_train)
    valid = round(n_train * _VALID)
    return {"train": np.sort(drawn[valid:]), "valid": np.sort(drawn[:valid]), "test": np.arange(n_train, n)}
