"""`mpi3d_toy`, `mpi3d_realistic`, `mpi3d_real`, `mpi3d_real_complex`: the four MPI3D data sets from their published files.

One image for each combination of the factors, object colour slowest, vertical axis fastest; a file holds the key `images`
alone. Source: Gondal et al. 2019, github.com/rr-learning/disentanglement_dataset. The first three have one grid, so their
files can only be told apart by name; the complex one has another, and is told by its length.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from aerepr.data.decoded import open_images
from aerepr.data.factors import FactorTable, Values
from aerepr.data.held import HeldDataset
from aerepr.data.npz import find_npz, npz_keys, read_npz
from aerepr.data.published import SubsetFileSpec, drawn_or_released, is_full_grid, published_file
from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext

FACTOR_NAMES = (
    "object_color",
    "object_shape",
    "object_size",
    "camera_height",
    "background_color",
    "horizontal_axis",
    "vertical_axis",
)
SIZES = (6, 6, 2, 3, 3, 40, 40)
COMPLEX_SIZES = (4, 4, 2, 3, 3, 40, 40)

_SCENE: tuple[Values, ...] = (
    np.array(["small", "large"]),
    np.array(["top", "center", "bottom"]),
    np.array(["purple", "sea green", "salmon"]),
    np.arange(40),
    np.arange(40),
)
VALUES: tuple[Values, ...] = (
    np.array(["white", "green", "red", "blue", "brown", "olive"]),
    np.array(["cone", "cube", "cylinder", "hexagonal", "pyramid", "sphere"]),
    *_SCENE,
)
COMPLEX_VALUES: tuple[Values, ...] = (
    np.array(["yellow", "green", "olive", "red"]),
    np.array(["coffee-cup", "tennis-ball", "croissant", "beer-cup"]),
    *_SCENE,
)


class MPI3DSpec(SubsetFileSpec):
    """Table `[data]` with the name of one of the four; a cut-down file has its class indices under `factors`."""


class _MPI3D(HeldDataset):
    """Images of one file, and their factors by arithmetic."""

    Spec = MPI3DSpec
    file: ClassVar[str]
    sizes: ClassVar[tuple[int, ...]] = SIZES
    values_of: ClassVar[tuple[Values, ...]] = VALUES

    def __init__(self, spec: MPI3DSpec, ctx: DataContext) -> None:
        path = published_file(spec, ctx, self.file)
        images, notes = find_npz(path, "images")
        other = ("mpi3d_real", SIZES) if self.sizes == COMPLEX_SIZES else ("mpi3d_real_complex", COMPLEX_SIZES)
        if is_full_grid(images, spec, (64, 64, 3), {spec.name: self.sizes, other[0]: other[1]}):
            table = FactorTable.from_grid(FACTOR_NAMES, self.sizes, self.values_of)
        else:
            if "factors" not in npz_keys(path):
                raise DataError(
                    f'{path}: found no key "factors", expected class indices (N, {len(self.sizes)}) in a file that holds a '
                    "part of the grid; store them beside the images"
                )
            columns = read_npz(path, ["factors"])[0]["factors"]
            table, more = FactorTable.from_columns(
                columns, FACTOR_NAMES, f"{path}[factors]", sizes=self.sizes, n_rows=images.shape[0]
            )
            table = table.with_values(self.values_of)
            notes += more
        pixels, more = open_images(
            images, ctx.cache, layout="NHWC", binary=False, memory=spec.memory, progress=ctx.progress
        )
        super().__init__(pixels, table, notes + more, drawn_or_released(spec, len(table)), spec.memory)


class MPI3DToyDataset(_MPI3D):
    """Simple renders."""

    file = "mpi3d_toy.npz"


class MPI3DRealisticDataset(_MPI3D):
    """Realistic renders."""

    file = "mpi3d_realistic.npz"


class MPI3DRealDataset(_MPI3D):
    """Photographs."""

    file = "mpi3d_real.npz"


class MPI3DRealComplexDataset(_MPI3D):
    """Photographs of everyday objects: four colours and four shapes."""

    file = "real3d_complicated_shapes_ordered.npz"
    sizes = COMPLEX_SIZES
    values_of = COMPLEX_VALUES
