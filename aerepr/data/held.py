"""Data sets whose rows are all in memory: what those read from a file share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from aerepr.data.factors import FactorTable
from aerepr.kinds.dataset import Dataset
from aerepr.kinds.shape import DataShape


class HeldDataset(Dataset):
    """Rows in one array.

    Args:
        values: uint8 images (N, H, W, C), or float32 vectors (N, F).
        factors: their factor table. notes: what was decided while reading, for the user to see.
    """

    def __init__(self, values: np.ndarray, factors: FactorTable | None = None, notes: Sequence[str] = ()) -> None:
        self.values = values
        self.factors = factors
        self.notes = list(notes)
        if values.dtype == np.uint8:
            _, height, width, channels = values.shape
            self.shape = DataShape.image(channels, height, width)
        else:
            self.shape = DataShape.vector(values.shape[1])

    def __len__(self) -> int:
        return len(self.values)

    def resident(self, device: torch.device) -> Tensor:
        return torch.from_numpy(self.values).to(device)
