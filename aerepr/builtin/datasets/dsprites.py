"""`dsprites`: dSprites from its published npz, with the keys `imgs`, `latents_classes` and `latents_values`.

737,280 white shapes on black, one for each combination of color 1, shape 3, scale 6, orientation 40, pos_x 32 and pos_y 32,
the last fastest. Source: Matthey, Higgins, Hassabis and Lerchner 2017, github.com/deepmind/dsprites-dataset. The images are
masks of 0 and 1, which become 0 and 255; `metadata` is a pickle and stays unread.
"""

from __future__ import annotations

import numpy as np

from aerepr.data import sprites
from aerepr.data.decoded import open_images
from aerepr.data.factors import FactorTable
from aerepr.data.held import HeldDataset
from aerepr.data.npz import find_npz, read_npz
from aerepr.data.published import SubsetFileSpec, drawn_or_released, is_full_grid, published_file
from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
FACTOR_NAMES = ("color", *sprites.FACTOR_NAMES)
FACTOR_SIZES = (1, *sprites.FACTOR_SIZES)
VALUES = tuple(np.array(values) for values in ((1.0,), *sprites.FACTOR_VALUES))


class DSpritesSpec(SubsetFileSpec):
    """Table `[data]` with `name = "dsprites"`."""


class DSpritesDataset(HeldDataset):
    """Images and their factors, which the file holds and arithmetic confirms where it is the full grid."""

    Spec = DSpritesSpec

    def __init__(self, spec: DSpritesSpec, ctx: DataContext) -> None:
        path = published_file(spec, ctx, FILE)
        images, notes = find_npz(path, "imgs")
        full = is_full_grid(images, spec, (64, 64), {spec.name: FACTOR_SIZES})
        where = f"{path}[latents_classes]"
        columns = read_npz(path, ["latents_classes"])[0]["latents_classes"]
        table, more = FactorTable.from_columns(columns, FACTOR_NAMES, where, sizes=FACTOR_SIZES, n_rows=images.shape[0])
        notes += more
        table = table.with_values(VALUES)
        if full:
            wrong_N = (table.classes != FactorTable.from_grid(FACTOR_NAMES, FACTOR_SIZES).classes).any(axis=1)
            if wrong_N.any():
                row = int(wrong_N.argmax())
                raise DataError(
                    f"{where}: found classes {table.classes[row].tolist()} in row {row}, which is not the published order; "
                    "copy or download it again"
                )
        pixels, more = open_images(
            images, ctx.cache, layout="NHW", binary=True, memory=spec.memory, progress=ctx.progress
        )
        super().__init__(pixels, table, notes + more, drawn_or_released(spec, len(table)), spec.memory)
