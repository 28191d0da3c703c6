"""Data sets whose rows are in one array, in memory or mapped: what those read from a file share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from aerepr.data.decoded import Memory
from aerepr.data.factors import FactorTable
from aerepr.data.mapped import MappedRows
from aerepr.kinds.dataset import Dataset
from aerepr.kinds.shape import DataShape

# Mapped rows go to an accelerator as a whole if they take up no more than this share of its free memory.
RESIDENT_SHARE = 0.6


class HeldDataset(Dataset):
    """Rows in one array.

    Args:
        values: uint8 images (N, H, W, C), or float32 vectors (N, F).
        factors: their factor table. notes: what was decided while reading, for the user to see.
        splits: row numbers by split, where they are not drawn.
        memory: where mapped values are while batches are made of them. "resident": on the device. "mapped": rows are
            gathered by the host and then moved. "auto": resident on an accelerator that has room for them; on the CPU
            mapped, because the system keeps in memory what is read of them.
    """

    def __init__(
        self,
        values: np.ndarray | MappedRows,
        factors: FactorTable | None = None,
        notes: Sequence[str] = (),
        splits: Mapping[str, np.ndarray] | None = None,
        memory: Memory = "auto",
    ) -> None:
        self.values = values
        self.factors = factors
        self.notes = list(notes)
        self.splits = splits
        self.memory = memory
        if values.dtype == np.uint8:
            _, height, width, channels = values.shape
            self.shape = DataShape.image(channels, height, width)
        else:
            self.shape = DataShape.vector(values.shape[1])

    def __len__(self) -> int:
        return len(self.values)

    def resident(self, device: torch.device) -> Tensor:
        if isinstance(self.values, np.ndarray):
            return torch.from_numpy(self.values).to(device)
        if self._stays_mapped(device):
            return torch.empty(0, dtype=torch.uint8, device=device)
        out = torch.empty(self.values.shape, dtype=torch.uint8, device=device)
        if device.type == "meta":
            return out
        start = 0
        for block in self.values.blocks():
            out[start : start + len(block)] = torch.from_numpy(block)
            start += len(block)
        return out

    def take(self, resident: Tensor, rows: Tensor) -> Tensor:
        if resident.numel() or isinstance(self.values, np.ndarray):
            return resident.index_select(0, rows)  # whole rows, which plain indexing copies value by value on the CPU
        return torch.from_numpy(self.values.take(rows.cpu().numpy())).to(resident.device)

    def published_splits(self) -> Mapping[str, np.ndarray] | None:
        return self.splits

    def _stays_mapped(self, device: torch.device) -> bool:
        if device.type == "meta" or self.memory == "resident":
            return False
        return self.memory == "mapped" or self.values.nbytes > RESIDENT_SHARE * _free_memory(device)


def _free_memory(device: torch.device) -> int:
    """Bytes an accelerator has left; 0 where it does not say, and on the CPU, where a map is as good as a copy."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return 0
