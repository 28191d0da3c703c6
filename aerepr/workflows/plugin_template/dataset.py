"""Data set `plugin_name`: grey images of one bright disk of known place and radius, drawn when the data set is opened.

Shape letters: N rows, H height, W width, C channels.
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from aerepr.data.factors import FactorTable
from aerepr.kinds.dataset import DataContext, Dataset
from aerepr.kinds.shape import DataShape
from aerepr.spec.data import DatasetSpec


class PluginNameDatasetSpec(DatasetSpec):
    """Table `[data]` with `name = "plugin_name"`."""

    size: int = Field(16, ge=8, le=64, description="height and width in pixels")
    places: int = Field(12, ge=2, le=32, description="places along each side")
    radii: int = Field(4, ge=1, le=16, description="radii, from an eighth of the side to a quarter")


class PluginNameDataset(Dataset):
    """The full grid of the factors `x`, `y` and `radius`."""

    Spec = PluginNameDatasetSpec

    def __init__(self, spec: PluginNameDatasetSpec, ctx: DataContext) -> None:
        places = np.linspace(spec.size / 4, 3 * spec.size / 4, spec.places)
        radii = np.linspace(spec.size / 8, spec.size / 4, spec.radii)
        self.factors = FactorTable.from_grid(
            ("x", "y", "radius"), (spec.places, spec.places, spec.radii), (places, places, radii)
        )
        x_N11, y_N11, radius_N11 = (
            values[self.factors.classes[:, axis]][:, None, None] for axis, values in enumerate((places, places, radii))
        )
        pixel = np.arange(spec.size) + 0.5
        distance_NHW = np.hypot(pixel[None, :] - x_N11, pixel[:, None] - y_N11)
        # The edge fades over one pixel.
        bright_NHW = np.clip(radius_N11 - distance_NHW + 0.5, 0, 1)
        self.images_NHWC = np.round(255 * bright_NHW).astype(np.uint8)[..., None]
        self.shape = DataShape.image(1, spec.size, spec.size)

    def __len__(self) -> int:
        return len(self.images_NHWC)

    def resident(self, device: torch.device) -> Tensor:
        return torch.from_numpy(self.images_NHWC).to(device)
