"""A folder of pictures, one sub-folder a class or none."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, PositiveInt

from aerepr.data.factors import FactorTable
from aerepr.data.held import HeldDataset
from aerepr.data.images import list_images, read_images
from aerepr.kinds.dataset import DataContext
from aerepr.spec.base import DataPath
from aerepr.spec.data import DatasetSpec


class ImageFolderSpec(DatasetSpec):
    """Table `[data]` with `name = "image_folder"`."""

    path: DataPath = Field(description="the folder: <class>/*.jpg, or pictures directly")
    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="side, or height and width, to resize to; None: all pictures share one size already"
    )
    mode: Literal["RGB", "L"] = Field("RGB", description="colour (3 channels) or grey (1)")
    crop: Literal["center", "none"] = Field("center", description="cut to the aspect ratio before resizing, or stretch")


class ImageFolderDataset(HeldDataset):
    """Pictures as uint8, upright, cropped and resized; the class folders become the factor `class`."""

    Spec = ImageFolderSpec

    def __init__(self, spec: ImageFolderSpec, ctx: DataContext) -> None:
        files, names = list_images(ctx.folder / spec.path)
        size = (spec.size, spec.size) if isinstance(spec.size, int) else spec.size
        images = read_images([path for path, _ in files], size, spec.mode, spec.crop)
        factors = None
        if names:
            classes = np.array([[index] for _, index in files], dtype=np.int64)
            values = np.array(names)
            factors = FactorTable(("class",), (len(names),), classes, (values,))
        super().__init__(images, factors)
