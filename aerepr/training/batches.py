"""The order of the data: a function of (seed, stream, epoch), so a position is restored by counting.

Every rank draws the same permutation and takes its slice of each global batch.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor


class Order:
    """Row numbers of batch after batch; each epoch is a fresh permutation and its incomplete last batch is dropped.

    Args:
        rows: row numbers to draw from. batch_size: rows in one global batch.
        seed, stream: tell runs and uses apart.
        rank, ranks: this process's slice of each batch.
    """

    def __init__(
        self,
        rows: np.ndarray,
        batch_size: int,
        seed: int,
        stream: str,
        device: torch.device,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.per_epoch = len(rows) // batch_size
        self.seed = seed
        self.stream = stream
        self.device = device
        self.slice = slice(rank * batch_size // ranks, (rank + 1) * batch_size // ranks)
        self._epoch = -1
        self._permuted = torch.empty(0, dtype=torch.int64)

    def batch(self, position: int) -> Tensor:
        """Row numbers of the batch at a position, int64, on the device."""
        epoch, index = divmod(position, self.per_epoch)
        if epoch != self._epoch:
            self._permuted = torch.from_numpy(self.rows[self._permutation(epoch)]).to(self.device)
            self._epoch = epoch
        return self._permuted[index * self.batch_size : (index + 1) * self.batch_size][self.slice]

    def _permutation(self, epoch: int) -> np.ndarray:
        digest = hashlib.sha256(f"{self.seed}:{self.stream}:{epoch}".encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little"))).permutation(len(self.rows))
