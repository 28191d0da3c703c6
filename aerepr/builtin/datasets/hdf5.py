"""Arrays in an HDF5 file: anything written by h5py. Read once, in file order; large compressed images into the cache."""

from __future__ import annotations

from pathlib import Path

from aerepr.data.hdf5 import find_hdf5
from aerepr.data.held import HeldDataset
from aerepr.data.keyed import KeyedSpec, read_keyed
from aerepr.data.stored import StoredArray
from aerepr.kinds.dataset import DataContext


class HDF5Spec(KeyedSpec):
    """Table `[data]` with `name = "hdf5"`; keys may have slashes for groups."""


class HDF5Dataset(HeldDataset):
    """Images or vectors of an HDF5 file, with factor columns from another data set of it."""

    Spec = HDF5Spec

    def __init__(self, spec: HDF5Spec, ctx: DataContext) -> None:
        super().__init__(**read_keyed(spec, ctx, _find))


def _find(path: Path, key: str) -> tuple[StoredArray, list[str]]:
    return find_hdf5(path, key), []
