"""What sequence data sets share: the data set they are made of, how many frames, and which transformation a row shows.

A sequence is x_0 .. x_T under one of K transformations. In training k is drawn, as published once for a whole batch; in
validation and evaluation it is a fixed hash of the row number, so that the same rows always show the same sequences and each k
is shown by about every K-th row, whatever batch a row is in.

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167, section 4, and the authors' code.
Shape letters: B batch, K transformations, T steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext, Dataset
from aerepr.kinds.step import Noise
from aerepr.spec.data import DatasetSpec, SourceSpec

Per = Literal["batch", "row"]


class SequenceSpec(DatasetSpec):
    """What the `[data]` table of sequences has."""

    source: SourceSpec = Field(description='the data set they are made of, such as { name = "rooms", size = 32 }')
    steps: PositiveInt = Field(8, description="T, steps of a sequence: its frames are x_0 .. x_T")
    k: Per = Field(
        "batch",
        description="whether all rows of a training batch show one transformation, as published, or each draws its own",
    )


class SequenceDataset(Dataset):
    """Sequences from the rows of another data set, in its order and with its splits."""

    def __init__(self, spec: SequenceSpec, ctx: DataContext) -> None:
        # The outer table says once how rows are split, also where the source divides published training rows.
        self.source = ctx.build(spec.source.model_copy(update={"split": spec.split, "split_seed": spec.split_seed}))
        if self.source.frames > 1 or not self.source.shape.is_image:
            found = f"sequences of {self.source.frames} frames" if self.source.frames > 1 else f"a {self.source.shape}"
            raise DataError(
                f'{spec.name}: found source "{spec.source.name}" with {found}, expected still images; name another source'
            )
        self.shape = self.source.shape
        self.notes = self.source.notes
        self.frames = spec.steps + 1
        self.per = spec.k

    def __len__(self) -> int:
        return len(self.source)

    def published_splits(self) -> Mapping[str, np.ndarray] | None:
        return self.source.published_splits()

    def shown(self, rows: Tensor, noise: Noise | None) -> Tensor:
        """Which transformation each row shows, (B,)."""
        count = len(self.labels)
        if noise is None:
            return hashed(rows, count)
        lots = noise("k", "uniform", (), per=self.per)
        return (lots * count).to(torch.int64).clamp(max=count - 1).expand(len(rows))


def hashed(rows: Tensor, count: int) -> Tensor:
    """A class 0 .. count - 1 of each row number, int64."""
    # Multiplicative: the plain remainder would be the class of a factor grid's last factor. 2^32 over the golden ratio.
    return (rows * 2654435761 >> 16) % count
