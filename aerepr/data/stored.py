"""An array inside a file, found and not yet read: its shape, where its bytes are, and how to read it in row order.

`aerepr.data.hdf5.find_hdf5` and `aerepr.data.npz.find_npz` find one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class StoredArray:
    """One array of a file.

    Attributes:
        path, key: the file and the array's name in it. shape, dtype: as stored.
        offset: where its bytes begin if the file holds them plainly, row after row; None if it is compressed, in chunks
            or in another order.
        blocks: opens the file and reads the rows in order, some whole rows at a time.
        state: differs when the values may; by default what `file_state` says of the file. An array made of several files
            says it of all of them, and `path` is then their folder or the first of them.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int | None
    blocks: Callable[[], Iterator[npt.NDArray[Any]]]
    state: str = ""

    @property
    def where(self) -> str:
        """File and key, as messages show them."""
        return f"{self.path}[{self.key}]"

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return prod(self.shape) * self.dtype.itemsize

    def read(self) -> npt.NDArray[Any]:
        """The whole array, in memory."""
        out = np.empty(self.shape, dtype=self.dtype)
        start = 0
        for block in self.blocks():
            out[start : start + len(block)] = block
            start += len(block)
        return out


def file_state(*paths: Path) -> str:
    """Sizes and times of change of files, and their names where there are several: another text when one has changed."""
    states = [(path.name if len(paths) > 1 else "", path.stat()) for path in paths]
    return " ".join(f"{name} {status.st_size} {status.st_mtime_ns}" for name, status in states).strip()
