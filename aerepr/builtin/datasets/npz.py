"""Arrays in an npz file: anything saved by `numpy.savez`.

Only the keys named in the spec are read, and nothing pickled is ever loaded.
"""

from __future__ import annotations

from aerepr.data.held import HeldDataset
from aerepr.data.keyed import KeyedSpec, read_keyed
from aerepr.data.npz import find_npz
from aerepr.kinds.dataset import DataContext


class NPZSpec(KeyedSpec):
    """Table `[data]` with `name = "npz"`."""


class NPZDataset(HeldDataset):
    """Images or vectors of an npz file, with factor columns from another key."""

    Spec = NPZSpec

    def __init__(self, spec: NPZSpec, ctx: DataContext) -> None:
        super().__init__(**read_keyed(spec, ctx, find_npz))
