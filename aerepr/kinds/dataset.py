"""Contract of a data set: rows, factors, splits, and a view of raw rows as a batch.

`resident` is what stays on the training device: uint8 images (N, H, W, C), float32 vectors (N, F), or whatever a data set
that draws its rows needs to draw them, in which case it overrides `take`. Batches are made on the device and never leave it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from aerepr.errors import UsageError
from aerepr.kinds.batch import Batch
from aerepr.kinds.shape import DataShape
from aerepr.spec.data import DatasetSpec

if TYPE_CHECKING:
    from aerepr.kinds.step import Noise


# Told what is being done, how much of it is done, and how much there is; for work a user waits for.
Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def _no_components(kind: str, name: str) -> Any:
    raise UsageError(f'{kind} "{name}": this data context finds no components: give it `load = Registry().load`')


@dataclass(frozen=True)
class DataContext:
    """Where a data set finds its files and may keep what it computed, and whom it tells of work that takes long.

    Attributes:
        folder: where relative paths of a spec start. cache: for what may be computed again.
        load: finds a component by kind and name, for a data set that nests another.
    """

    folder: Path
    cache: Path
    progress: Progress = silent
    load: Callable[[str, str], Any] = field(default=_no_components, repr=False)

    def build(self, spec: DatasetSpec) -> Dataset:
        """A data set that another is made of, with the same context."""
        dataset: Dataset = self.load("dataset", spec.name)(spec, self)
        return dataset


@dataclass(frozen=True)
class FactorInfo:
    """One ground-truth factor: its name and number of classes (0 when its labels are unknown)."""

    name: str
    size: int


@dataclass(frozen=True)
class DataInfo:
    """What a component may know of the data when it is built."""

    shape: DataShape
    train_size: int
    factors: tuple[FactorInfo, ...] = ()
    labels: tuple[str, ...] = ()
    frames: int = 1


class TrainingData(Protocol):
    """The training split as `setup` sees it."""

    @property
    def info(self) -> DataInfo: ...

    def examples(self, count: int) -> Tensor:
        """The first `count` rows (all, if fewer) of a seeded permutation of the training split, (n, *shape).

        As the encoder sees them: standardised where the spec says so, the first frame of sequences.
        """

    def batches(self, size: int) -> Iterator[Batch]:
        """The whole training split once, in row order."""


class Factors(Protocol):
    """A factor table: `aerepr.data.factors.FactorTable` is one."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def sizes(self) -> tuple[int, ...]: ...

    def select(self, subset: Mapping[str, Sequence[int]]) -> np.ndarray:
        """Row numbers whose class indices are among those listed, for every factor named."""

    @property
    def classes(self) -> np.ndarray:
        """Class indices (N, factors), an integer type; -1 where unknown."""


class Dataset(ABC):
    """Rows of one shape. Components derive from this and set `shape` and, where known, `factors`.

    Attributes:
        shape: of one example, or of one frame of a sequence.
        factors: the ground-truth factor table. notes: what was decided while reading, told to the user once.
        labels: names of the values of `Batch.label`, where `view` sets it. frames: T, where `view` makes sequences.
    """

    Spec: ClassVar[type[DatasetSpec]] = DatasetSpec

    shape: DataShape
    factors: Factors | None = None
    notes: Sequence[str] = ()
    labels: tuple[str, ...] = ()
    frames: int = 1

    @abstractmethod
    def __init__(self, spec: DatasetSpec, ctx: DataContext) -> None:
        """Read or prepare what is needed to know shape, length and factors.

        Raises:
            DataError: a file is missing, damaged or not what the spec says.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def resident(self, device: torch.device) -> Tensor:
        """What must be on the device for `take` to work there, on that device; called once."""

    def take(self, resident: Tensor, rows: Tensor) -> Tensor:
        """Raw rows from the resident tensor: uint8 (B, H, W, C) or float32 (B, F), on its device."""
        return resident[rows]

    def view(self, raw: Tensor, rows: Tensor, factors: Tensor | None, noise: Noise | None) -> Batch:
        """A batch from raw rows, on their device.

        Args:
            raw: what `take` gave. rows: their numbers. factors: their class indices, where known.
            noise: what random views are made from; None in validation and evaluation, where a view is deterministic.

        Returns:
            A batch. Its factors may differ from those given in training, where a random view shows something else than the
            factor table says; left out, they are those given.
        """
        x = raw.permute(0, 3, 1, 2).to(torch.float32) / 255 if self.shape.is_image else raw
        return Batch(x=x, rows=rows, factors=factors)

    def published_splits(self) -> Mapping[str, np.ndarray] | None:
        """Splits the data set was published with, by name, as row numbers; None: drawn by seed."""
        return None
