"""Arrays in an HDF5 file: 3D-Shapes and anything written by h5py. The whole array is read once, in file order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aerepr.data.hdf5 import read_hdf5
from aerepr.data.held import HeldDataset
from aerepr.data.keyed import KeyedSpec, read_keyed
from aerepr.kinds.dataset import DataContext


class HDF5Spec(KeyedSpec):
    """Table `[data]` with `name = "hdf5"`; keys may have slashes for groups."""


class HDF5Dataset(HeldDataset):
    """Images or vectors of an HDF5 file, with factor columns from another data set of it."""

    Spec = HDF5Spec

    def __init__(self, spec: HDF5Spec, ctx: DataContext) -> None:
        super().__init__(**read_keyed(spec, ctx.folder, _read))


def _read(path: Path, keys: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    return {key: read_hdf5(path, key) for key in keys}, []
