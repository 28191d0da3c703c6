"""`rooms`: a room with floor, walls and one object, drawn by aerepr under the factors of 3D-Shapes.

480,000 rows in the order of 3D-Shapes (Burgess, Kim 2018): floor hue 10, wall hue 10, object hue 10, scale 8, shape 4,
orientation 15. Only the last three need geometry; the hues are mixed over it on the training device.
Shape letters: B batch, M mixing maps, H height, W width.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from aerepr.data import rooms
from aerepr.data.factors import FactorTable
from aerepr.kinds.dataset import DataContext, Dataset
from aerepr.kinds.shape import DataShape
from aerepr.spec.data import DatasetSpec


class RoomsSpec(DatasetSpec):
    """Table `[data]` with `name = "rooms"`."""

    size: int = Field(64, ge=rooms.MIN_SIZE, le=rooms.MAX_SIZE, description="height and width in pixels")


class RoomsDataset(Dataset):
    """Rows mixed from 480 drawn geometries, which are drawn once and kept in the cache."""

    Spec = RoomsSpec

    def __init__(self, spec: RoomsSpec, ctx: DataContext) -> None:
        self.size = spec.size
        self.cache = ctx.cache
        self.shape = DataShape.image(3, spec.size, spec.size)
        values = [np.asarray(values) for values in rooms.FACTOR_VALUES]
        self.factors = FactorTable.from_grid(rooms.FACTOR_NAMES, rooms.FACTOR_SIZES, values)
        self._colours = torch.from_numpy(rooms.hue_colours())
        self._fixed = torch.from_numpy(rooms.row_colours(np.zeros(1, dtype=np.int64))[:, 3:])

    def __len__(self) -> int:
        return math.prod(rooms.FACTOR_SIZES)

    def resident(self, device: torch.device) -> Tensor:
        self._colours, self._fixed = self._colours.to(device), self._fixed.to(device)
        return torch.from_numpy(np.ascontiguousarray(rooms.geometry_cached(self.size, self.cache))).to(device)

    def take(self, resident: Tensor, rows: Tensor) -> Tensor:
        maps_BMS = resident[rows % rooms.GEOMETRIES].flatten(2).to(torch.float32)
        hues = rows // rooms.GEOMETRIES
        indices = torch.stack([hues // 100, hues // 10 % 10, hues % 10], dim=1)
        colours_BM3 = torch.cat([self._colours[indices], self._fixed.expand(len(rows), -1, -1)], dim=1)
        pixels = torch.bmm(maps_BMS.transpose(1, 2), colours_BM3).clamp(0, 1)
        return (pixels * 255).round().to(torch.uint8).view(len(rows), self.size, self.size, 3)
