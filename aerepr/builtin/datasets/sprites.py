"""`sprites`: white shapes on black, drawn by aerepr with the factors and the geometry of dSprites.

737,280 rows in the order of dSprites (Matthey, Higgins, Hassabis, Lerchner 2017) without its colour factor, which has one
value: shape 3, scale 6, orientation 40, pos_x 32, pos_y 32.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from aerepr.data import sprites
from aerepr.data.factors import FactorTable
from aerepr.kinds.dataset import DataContext, Dataset
from aerepr.kinds.shape import DataShape
from aerepr.spec.data import DatasetSpec

# Rows drawn at a time when all are drawn.
_CHUNK = 8192


class SpritesSpec(DatasetSpec):
    """Table `[data]` with `name = "sprites"`."""

    size: int = Field(
        64, ge=sprites.SMALLEST_SIZE, le=sprites.LARGEST_SIZE, multiple_of=8, description="height and width in pixels"
    )


class SpritesDataset(Dataset):
    """Rows drawn when asked for on the CPU, which is as fast as reading them; elsewhere drawn once and kept as bits."""

    Spec = SpritesSpec

    def __init__(self, spec: SpritesSpec, ctx: DataContext) -> None:
        self.size = spec.size
        self.shape = DataShape.image(1, spec.size, spec.size)
        values = [np.asarray(values) for values in sprites.FACTOR_VALUES]
        self.factors = FactorTable.from_grid(sprites.FACTOR_NAMES, sprites.FACTOR_SIZES, values)

    def __len__(self) -> int:
        return math.prod(sprites.FACTOR_SIZES)

    def resident(self, device: torch.device) -> Tensor:
        return torch.empty(0) if device.type == "cpu" else packed_rows(len(self), self.size).to(device)

    def take(self, resident: Tensor, rows: Tensor) -> Tensor:
        if resident.numel() == 0:
            return torch.from_numpy(sprites.render(rows.numpy(), self.size))
        bits = torch.arange(7, -1, -1, device=rows.device, dtype=torch.uint8)
        image = (resident[rows].unsqueeze(-1) >> bits) & 1
        return (image * 255).view(len(rows), self.size, self.size, 1)


def packed_rows(count: int, size: int) -> Tensor:
    """The first rows as bits, eight pixels a byte.

    Args:
        count: how many. size: height and width in pixels, a multiple of 8.

    Returns:
        uint8 (count, size, size / 8), the leftmost pixel in the highest bit.
    """
    packed = torch.empty(count, size, size // 8, dtype=torch.uint8)
    for start in range(0, count, _CHUNK):
        images = sprites.render(np.arange(start, min(start + _CHUNK, count)), size)
        packed[start : start + len(images)] = torch.from_numpy(np.packbits(images[..., 0] > 0, axis=-1))
    return packed
