"""Images in the idx files of MNIST and its relatives.

Source: LeCun, Cortes, Burges, "The MNIST database" (the format); the labels become the one factor `label`.
"""

from __future__ import annotations

from pydantic import Field, PositiveInt

from aerepr.data.arrays import as_images
from aerepr.data.factors import FactorTable
from aerepr.data.held import HeldDataset
from aerepr.data.idx import read_idx
from aerepr.data.images import resized
from aerepr.kinds.dataset import DataContext
from aerepr.spec.base import DataPath
from aerepr.spec.data import DatasetSpec


class IDXSpec(DatasetSpec):
    """Table `[data]` with `name = "idx"`."""

    images: DataPath = Field(description="idx3 file, gzipped or not")
    labels: DataPath | None = Field(None, description="idx1 file of the same length; becomes the factor `label`")
    classes: PositiveInt | None = Field(None, description="number of labels; those that occur, when left out")
    size: PositiveInt | None = Field(
        None, description="side, in pixels, of the squares to resize to with a bilinear filter; left out: as they are"
    )


class IDXDataset(HeldDataset):
    """Images (N, H, W) of an idx3 file, with labels of an idx1 file."""

    Spec = IDXSpec

    def __init__(self, spec: IDXSpec, ctx: DataContext) -> None:
        path = ctx.folder / spec.images
        images, notes = as_images(read_idx(path), str(path), binary=False)
        factors = None
        if spec.labels is not None:
            labels = ctx.folder / spec.labels
            sizes = None if spec.classes is None else [spec.classes]
            factors, more = FactorTable.from_columns(
                read_idx(labels), ["label"], str(labels), sizes=sizes, n_rows=len(images)
            )
            notes += more
        super().__init__(images if spec.size is None else resized(images, spec.size), factors, notes)
