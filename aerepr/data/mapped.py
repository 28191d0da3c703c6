"""Rows of images that stay in their files: mapped, so that the operating system reads the pages that are asked for.

What is read stays in the page cache as long as nothing else wants the memory, and all processes on a machine share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

_BLOCK_BYTES = 1 << 26


class MappedRows:
    """The rows of one mapped array, or of several of one dtype and row shape, one after the other.

    Args:
        parts: maps whose bytes are row after row.
    """

    def __init__(self, parts: Sequence[np.memmap[Any, Any]]) -> None:
        self.parts = tuple(parts)
        self.dtype = self.parts[0].dtype
        self.shape = (sum(len(part) for part in self.parts), *self.parts[0].shape[1:])
        self.nbytes = prod(self.shape) * self.dtype.itemsize
        self._ends = np.cumsum([len(part) for part in self.parts])

    def __len__(self) -> int:
        return int(self.shape[0])

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
        """Some rows, copied into memory, in the order given."""
        if len(self.parts) == 1:
            return np.asarray(self.parts[0])[rows]
        out = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        holder = np.searchsorted(self._ends, rows, side="right")
        for number in np.unique(holder):
            part, here = self.parts[number], holder == number
            out[here] = np.asarray(part)[rows[here] - (self._ends[number] - len(part))]
        return out

    def blocks(self) -> Iterator[npt.NDArray[Any]]:
        """All rows in order, read past the map: pages of a map would count as this process's memory."""
        row_bytes = self.nbytes // len(self)
        step = max(1, _BLOCK_BYTES // row_bytes)
        for part in self.parts:
            with open(part.filename, "rb") as file:  # type: ignore[arg-type]  # maps here are always of named files
                file.seek(part.offset)
                for start in range(0, len(part), step):
                    count = min(step, len(part) - start)
                    block = np.fromfile(file, dtype=self.dtype, count=count * prod(self.shape[1:]))
                    yield block.reshape(count, *self.shape[1:])
