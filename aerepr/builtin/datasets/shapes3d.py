"""`shapes3d`: 3D Shapes from its published file, `3dshapes.h5` with the keys `images` and `labels`.

480,000 images, one for each combination of floor hue 10, wall hue 10, object hue 10, scale 8, shape 4 and orientation 15,
the last fastest. Source: Burgess and Kim 2018, github.com/deepmind/3d-shapes. The labels are values; a label's class is
(v - min) / (max - min) * (K - 1), rounded.
Shape letters: N rows, F factors, K classes.
"""

from __future__ import annotations

import numpy as np

from aerepr.data.arrays import as_factors
from aerepr.data.decoded import open_images
from aerepr.data.factors import FactorTable
from aerepr.data.hdf5 import find_hdf5, read_hdf5
from aerepr.data.held import HeldDataset
from aerepr.data.published import SubsetFileSpec, drawn_or_released, is_full_grid, published_file
from aerepr.data.rooms import FACTOR_NAMES, FACTOR_SIZES, FACTOR_VALUES
from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext

FILE = "3dshapes.h5"

# The published values are numbers of at least 15 digits; a label this far from a class, in steps between classes, is none.
_TOLERANCE = 0.05


class Shapes3DSpec(SubsetFileSpec):
    """Table `[data]` with `name = "shapes3d"`."""


class Shapes3DDataset(HeldDataset):
    """Images and their factors; those of the full file are by arithmetic, and its labels are checked against them."""

    Spec = Shapes3DSpec

    def __init__(self, spec: Shapes3DSpec, ctx: DataContext) -> None:
        path = published_file(spec, ctx, FILE)
        images = find_hdf5(path, "images")
        full = is_full_grid(images, spec, (64, 64, 3), {spec.name: FACTOR_SIZES})
        where = f"{path}[labels]"
        classes_NF = label_classes(as_factors(read_hdf5(path, "labels"), images.shape[0], where), where)
        values = tuple(np.array(values) for values in FACTOR_VALUES)
        notes: list[str] = []
        if full:
            table = FactorTable.from_grid(FACTOR_NAMES, FACTOR_SIZES, values)
            wrong_N = (table.classes != classes_NF).any(axis=1)
            if wrong_N.any():
                row = int(wrong_N.argmax())
                raise DataError(
                    f"{where}: found classes {classes_NF[row].tolist()} in row {row}, expected "
                    f"{table.classes[row].tolist()} in the published order; copy or download it again"
                )
        else:
            table, notes = FactorTable.from_columns(classes_NF, FACTOR_NAMES, where, sizes=FACTOR_SIZES)
            table = table.with_values(values)
        pixels, more = open_images(
            images, ctx.cache, layout="NHWC", binary=False, memory=spec.memory, progress=ctx.progress
        )
        super().__init__(pixels, table, notes + more, drawn_or_released(spec, len(table)), spec.memory)


def label_classes(labels_NF: np.ndarray, where: str) -> np.ndarray:
    """Classes of the published label values, as floats; NaN where a label is NaN.

    Raises:
        DataError: another number of factors, or a label that is no value of its factor.
    """
    if labels_NF.shape[1] != len(FACTOR_SIZES):
        raise DataError(f"{where}: found {labels_NF.shape[1]} columns, expected {len(FACTOR_SIZES)}; check the file")
    low_F, high_F = (np.array([values[end] for values in FACTOR_VALUES]) for end in (0, -1))
    steps_NF = (labels_NF - low_F) / (high_F - low_F) * (np.array(FACTOR_SIZES) - 1)
    classes_NF = np.rint(steps_NF)
    wrong_NF = (np.abs(steps_NF - classes_NF) > _TOLERANCE) | (classes_NF < 0) | (classes_NF >= FACTOR_SIZES)
    if wrong_NF.any():
        row, column = (int(index) for index in np.unravel_index(int(wrong_NF.argmax()), wrong_NF.shape))
        raise DataError(
            f"{where}: found {labels_NF[row, column]:g} for {FACTOR_NAMES[column]} in row {row}, expected one of "
            f"{FACTOR_SIZES[column]} values from {low_F[column]:g} to {high_F[column]:g}; check that it is the right file"
        )
    return classes_NF
