"""Rows of images that stay in their files, and are read when they are asked for.

What is read stays in the system's page cache as long as nothing else wants the memory, and all processes on a machine share
it. Rows are read past the map: its pages would count as this process's memory, up to the whole file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.errors import DataError

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
        """Some rows, copied into memory, in the order given; read past the map, as `blocks` does.

        Raises:
            DataError: a file has become shorter.
        """
        out = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        bytes_NB = out.reshape(len(rows), -1).view(np.uint8)
        holder = np.searchsorted(self._ends, rows, side="right")
        for number in np.unique(holder):
            part = self.parts[number]
            first = int(self._ends[number]) - len(part)
            with open(part.filename, "rb", buffering=0) as file:
                for place in np.flatnonzero(holder == number):
                    file.seek(part.offset + (int(rows[place]) - first) * bytes_NB.shape[1])
                    if file.readinto(bytes_NB[place].data) != bytes_NB.shape[1]:
                        raise DataError(f"{part.filename}: found it cut short while it was in use; copy it again")
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
