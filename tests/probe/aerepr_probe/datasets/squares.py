"""Bright squares of known place and size, 192 grey images of 16 x 16."""

from __future__ import annotations

import torch
from torch import Tensor

from aerepr.kinds.dataset import DataContext, Dataset
from aerepr.kinds.shape import DataShape
from aerepr.spec.data import DatasetSpec
from aerepr_probe.squares import SIZE, squares


class SquaresDataset(Dataset):
    """The full grid of squares, in memory."""

    Spec = DatasetSpec

    def __init__(self, spec: DatasetSpec, ctx: DataContext) -> None:
        self.images_NHWC, self.factors = squares()
        self.shape = DataShape.image(1, SIZE, SIZE)

    def __len__(self) -> int:
        return len(self.images_NHWC)

    def resident(self, device: torch.device) -> Tensor:
        return torch.from_numpy(self.images_NHWC).to(device)
