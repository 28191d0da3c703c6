"""A bright square that moves right, moves down or grows: the raw row is the first frame, the view makes the others.

Shape letters: B batch, T frames, K transformations, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataContext, Dataset
from aerepr.kinds.shape import DataShape
from aerepr.kinds.step import Noise
from aerepr.spec.data import DatasetSpec
from aerepr_probe.squares import SIZE, squares


class SequenceSpec(DatasetSpec):
    """Table `[data]` with `name = "probe_sequences"`."""

    length: int = Field(4, ge=2, description="T, frames of a sequence, the first included")


class SequenceDataset(Dataset):
    """Sequences from still squares; a training batch draws its transformations, any other has a fixed one a row."""

    Spec = SequenceSpec
    labels = ("right", "down", "grow")

    def __init__(self, spec: SequenceSpec, ctx: DataContext) -> None:
        self.images_NHWC, self.factors = squares()
        self.shape = DataShape.image(1, SIZE, SIZE)
        self.frames = spec.length

    def __len__(self) -> int:
        return len(self.images_NHWC)

    def resident(self, device: torch.device) -> Tensor:
        return torch.from_numpy(self.images_NHWC).to(device)

    def view(self, raw: Tensor, rows: Tensor, factors: Tensor | None, noise: Noise | None) -> Batch:
        if noise is None:
            # A multiplicative hash: the plain remainder is the class of the factor that runs fastest.
            label_B = (rows * 2654435761 >> 16) % len(self.labels)
        else:
            label_B = (
                (noise("probe_sequences", "uniform", ()) * len(self.labels)).long().clamp(max=len(self.labels) - 1)
            )
        frames = [super().view(raw, rows, factors, noise).x]
        for _ in range(1, self.frames):
            frames.append(_moved(frames[-1], label_B))
        return Batch(x=torch.stack(frames, dim=1), rows=rows, factors=factors, label=label_B, timed=True)


def _moved(x_BCHW: Tensor, label_B: Tensor) -> Tensor:
    right, down = x_BCHW.roll(1, dims=3), x_BCHW.roll(1, dims=2)
    grown = F.max_pool2d(x_BCHW, kernel_size=3, stride=1, padding=1)
    choices = torch.stack([right, down, grown], dim=1)
    return choices[torch.arange(len(label_B), device=label_B.device), label_B]
