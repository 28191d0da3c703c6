"""Folders of rendered pictures, one for each combination of factors, numbered in row-major order.

`images/000000.png` and following, six digits, the last factor fastest, as NVIDIA publishes Falor3D and Isaac3D (at 128 pixels
in the folders Falcor3D_down128 and Isaac3D_down128), with the factors' values in [0, 1] beside them in an npy file.

The first use decodes all of them into the cache, which takes a while and its bytes: 49,152 an image at 128 pixels.
Shape letters: N rows, F factors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field, PositiveInt

from aerepr.data.arrays import as_factors
from aerepr.data.decoded import open_images
from aerepr.data.factors import FactorTable
from aerepr.data.held import HeldDataset
from aerepr.data.images import read_images
from aerepr.data.npz import read_npy
from aerepr.data.published import PublishedSpec, drawn_or_released, published_folder
from aerepr.data.stored import StoredArray, file_state
from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext

# Pictures decoded at once.
_BLOCK = 1024


class RenderedSpec(PublishedSpec):
    """What the table of such a data set has."""

    size: PositiveInt = Field(
        128, description="side in pixels; pictures of another size are resized with Pillow's Lanczos filter"
    )


class RenderedDataset(HeldDataset):
    """Pictures of a full grid of factors.

    Attributes:
        folders: names of the folder that the archive unpacks to. labels_file: names of the file of values, which may be absent.
        names, sizes: of the factors, the last fastest.
    """

    Spec = RenderedSpec
    folders: ClassVar[tuple[str, ...]]
    labels_file: ClassVar[tuple[str, ...]]
    names: ClassVar[tuple[str, ...]]
    sizes: ClassVar[tuple[int, ...]]

    def __init__(self, spec: RenderedSpec, ctx: DataContext) -> None:
        root = published_folder(spec, ctx)
        folder, files = self._pictures(root, spec)
        table = FactorTable.from_grid(self.names, self.sizes, [np.linspace(0, 1, size) for size in self.sizes])
        for name in self.labels_file:
            if (folder.parent / name).is_file():
                self._compare(folder.parent / name, table)
        images = StoredArray(
            path=folder,
            key=f"pictures {spec.size}",
            shape=(len(files), spec.size, spec.size, 3),
            dtype=np.dtype(np.uint8),
            offset=None,
            blocks=lambda: _blocks(files, spec.size),
            # The first, the last and how many: to look at each would take as long as a minute at every opening.
            state=f"{len(files)} {file_state(files[0], files[-1])}",
        )
        pixels, notes = open_images(
            images, ctx.cache, layout="NHWC", binary=False, memory="mapped", progress=ctx.progress
        )
        super().__init__(pixels, table, notes, drawn_or_released(spec, len(table)), spec.memory)

    def _pictures(self, root: Path, spec: RenderedSpec) -> tuple[Path, list[Path]]:
        """The folder of the pictures, and all of them in order."""
        places = [root / name / "images" for name in self.folders] + [root / "images", root]
        folder = next((place for place in places if (place / "000000.png").is_file()), None)
        if folder is None:
            looked = ", ".join(str(place.relative_to(root)) for place in places[:-1])
            raise DataError(
                f"{root}: found no 000000.png in it, in {looked}, expected {prod(self.sizes):,} pictures; unpack the "
                f"archive that `aerepr data where {spec.name}` names there, or set root"
            )
        names = {path.name for path in folder.glob("*.png")}
        expected = [f"{row:06d}.png" for row in range(prod(self.sizes))]
        missing = [name for name in expected if name not in names]
        if missing or len(names) != len(expected):
            what = f"no {missing[0]}" if missing else f"{len(names) - len(expected)} more"
            raise DataError(
                f"{folder}: found {len(names):,} pictures and {what}, expected {len(expected):,}, one for each combination "
                f"of {' x '.join(map(str, self.sizes))}; unpack the archive again"
            )
        return folder, [folder / name for name in expected]

    def _compare(self, path: Path, table: FactorTable) -> None:
        """Refuse values in another order than the numbers of the pictures."""
        values_NF = as_factors(read_npy(path), len(table), str(path))
        classes_NF = np.rint(values_NF * (np.array(self.sizes) - 1)) if values_NF.shape[1] == len(self.sizes) else None
        if classes_NF is None or not np.array_equal(classes_NF, table.classes):
            raise DataError(
                f"{path}: found values of {values_NF.shape[1]} factors in another order than the pictures', expected "
                f"{', '.join(self.names)} in [0, 1], the last fastest; unpack the archive again"
            )


def _blocks(files: Sequence[Path], size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(files), _BLOCK):
        yield read_images(files[start : start + _BLOCK], (size, size))
