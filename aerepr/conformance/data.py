"""Checks of a data set: rows, the batches made of them, factors and splits.

A data set that needs files is checked on those its catalogue's example names, and reported as skipped without them.
Shape letters: B batch, N rows, C channels, H height, W width, F features or factors.
"""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor

from aerepr.conformance.result import Check, Skip, generators_untouched, own_generators, require
from aerepr.conformance.world import Subject
from aerepr.data.source import DataSource
from aerepr.errors import DataError, MissingExtra
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataContext, Dataset
from aerepr.kinds.shape import DataShape
from aerepr.kinds.step import Noise
from aerepr.layers.noise import StepNoise
from aerepr.spec.base import path_fields

CPU = torch.device("cpu")
B = 6


def _dataset(subject: Subject) -> Dataset:
    cache = subject.scratch / "cache"
    context = DataContext(folder=subject.folder, cache=cache, load=subject.registry.load)
    dataset: Dataset = subject.component(subject.spec(), context)
    return dataset


def builds(subject: Subject) -> None:
    """It builds from its spec, given its files."""
    spec = subject.spec()
    try:
        _dataset(subject)
    except MissingExtra as cause:
        raise Skip(str(cause)) from cause
    except DataError as cause:
        files = [str(value) for key in path_fields(type(spec)) if (value := getattr(spec, key)) is not None]
        if any(not os.path.exists(subject.folder / name) for name in files):
            raise Skip(f"needs files: {', '.join(files)}") from cause
        raise


def _rows(dataset: Dataset) -> Tensor:
    """B rows from all over the data set, out of order, one of them twice."""
    last = len(dataset) - 1
    return torch.tensor([last // 2, 0, last, last // 3, last // 2, last * 2 // 3])[:B]


def rows(subject: Subject) -> None:
    """A length, a shape, and raw rows that fit it: uint8 (B, H, W, C) or float32 (B, F)."""
    dataset = _dataset(subject)
    require(isinstance(dataset.shape, DataShape), f"shape is {dataset.shape!r}, expected a DataShape")
    require(isinstance(len(dataset), int) and len(dataset) > 0, f"has {len(dataset)} rows")
    resident = dataset.resident(CPU)
    require(isinstance(resident, Tensor), f"resident gives {type(resident).__name__}, expected a tensor")
    require(resident.device.type == "cpu", f"resident is on {resident.device}, and was asked for on the cpu")
    raw = dataset.take(resident, _rows(dataset))
    sizes = dataset.shape.sizes
    if dataset.shape.is_image:
        expected, dtype = (B, *sizes[1:], sizes[0]), torch.uint8
    else:
        expected, dtype = (B, *sizes), torch.float32
    require(tuple(raw.shape) == expected, f"take gives shape {tuple(raw.shape)}, expected {expected}")
    require(raw.dtype == dtype, f"take gives {raw.dtype}, expected {dtype}")


def take(subject: Subject) -> None:
    """A row is the same when taken twice, alone or among others."""
    dataset = _dataset(subject)
    resident, wanted = dataset.resident(CPU), _rows(dataset)
    found = []
    for _ in range(2):
        with own_generators():
            found.append(dataset.take(resident, wanted))
    require(torch.equal(*found), "take gives other rows for the same numbers when asked twice")
    for i in range(B):
        with own_generators():
            alone = dataset.take(resident, wanted[i : i + 1])
        require(torch.equal(alone[0], found[0][i]), f"row {int(wanted[i])} differs when taken alone and among others")


def _noise(chosen: Tensor) -> Noise:
    return StepNoise(0, torch.tensor(3), chosen)


def _batch(dataset: Dataset, resident: Tensor, chosen: Tensor, noise: Noise | None) -> Batch:
    factors = None
    if dataset.factors is not None:
        factors = torch.from_numpy(np.asarray(dataset.factors.classes)[chosen.numpy()].astype(np.int64))
    return dataset.view(dataset.take(resident, chosen), chosen, factors, noise)


def view(subject: Subject) -> None:
    """A batch of float32, images in [0, 1], with a time axis where it has frames and labels where it has those."""
    dataset = _dataset(subject)
    resident, wanted = dataset.resident(CPU), _rows(dataset)
    for noise in (None, _noise(wanted)):
        batch = _batch(dataset, resident, wanted, noise)
        require(isinstance(batch, Batch), f"view gives {type(batch).__name__}, expected a Batch")
        require(batch.timed == (dataset.frames > 1), f"timed is {batch.timed} with {dataset.frames} frames")
        time = (dataset.frames,) if batch.timed else ()
        expected = (B, *time, *dataset.shape.sizes)
        require(tuple(batch.x.shape) == expected, f"x has shape {tuple(batch.x.shape)}, expected {expected}")
        require(batch.x.dtype == torch.float32, f"x is {batch.x.dtype}, expected torch.float32")
        require(bool(batch.x.isfinite().all()), "x is not finite")
        low, high = batch.x.min().item(), batch.x.max().item()
        require(
            not dataset.shape.is_image or (low >= 0 and high <= 1),
            f"x goes from {low:.3g} to {high:.3g}, expected images in [0, 1]",
        )
        require(torch.equal(batch.rows, wanted), "the batch's rows are not those asked for")
        names = dataset.labels
        require((batch.label is not None) == bool(names), f"declares {len(names)} labels, label is {batch.label}")
        if batch.label is not None:
            label = batch.label
            require(
                tuple(label.shape) == (B,) and int(label.min()) >= 0 and int(label.max()) < len(names),
                f"label is {label.tolist()}, expected one of {len(names)} classes an example",
            )


def view_rows(subject: Subject) -> None:
    """A viewed example is a function of its row and its noise: the same when viewed twice, alone or among others."""
    dataset = _dataset(subject)
    resident, wanted = dataset.resident(CPU), _rows(dataset)
    for noisy in (False, True):
        found = []
        for _ in range(2):
            with own_generators():
                found.append(_batch(dataset, resident, wanted, _noise(wanted) if noisy else None))
        way = "with noise" if noisy else "without noise"
        require(torch.equal(found[0].x, found[1].x), f"a view {way} gives other values when asked twice")
        for i in range(B):
            one = wanted[i : i + 1]
            with own_generators():
                alone = _batch(dataset, resident, one, _noise(one) if noisy else None)
            require(
                torch.allclose(alone.x[0], found[0].x[i], atol=1e-6),
                f"row {int(one)} viewed {way} differs when alone and among others",
            )


def generator(subject: Subject) -> None:
    """The global generators are neither read nor changed."""
    with generators_untouched("the data set"):
        dataset = _dataset(subject)
        resident, wanted = dataset.resident(CPU), _rows(dataset)
        _batch(dataset, resident, wanted, _noise(wanted))


def factors(subject: Subject) -> None:
    """One class index a row and factor, below the factor's size; -1 and size 0 where unknown."""
    table = _dataset(subject).factors
    if table is None:
        return
    classes_NF = np.asarray(table.classes)
    count = len(_dataset(subject))
    require(np.issubdtype(classes_NF.dtype, np.integer), f"classes are {classes_NF.dtype}, expected integers")
    require(
        classes_NF.shape == (count, len(table.names)),
        f"classes have shape {classes_NF.shape}, expected {(count, len(table.names))}",
    )
    require(len(table.sizes) == len(table.names), f"{len(table.names)} names and {len(table.sizes)} sizes")
    require(len(set(table.names)) == len(table.names), f"a name occurs twice: {', '.join(table.names)}")
    for name, size, column in zip(table.names, table.sizes, classes_NF.T, strict=True):
        low, high = int(column.min()), int(column.max())
        if size == 0:
            require(
                low == high == -1, f"{name} has size 0 and classes {low} to {high}, expected -1 for an unknown factor"
            )
            continue
        require(low >= 0 and high < size, f"{name} has classes {low} to {high}, expected 0 to {size - 1}")
        first = int(column[0])
        require(
            np.array_equal(np.sort(table.select({name: [first]})), np.flatnonzero(column == first)),
            f"select({{{name!r}: [{first}]}}) does not give the rows of that class",
        )


def splits(subject: Subject) -> None:
    """Published splits are rows of the data set, none in two; and a source of batches can be made of it."""
    dataset = _dataset(subject)
    published = dataset.published_splits()
    if published is not None:
        require(
            {"train", "valid", "test"} <= set(published),
            f"has splits {', '.join(published)}, expected train, valid and test",
        )
        together = np.concatenate([np.asarray(chosen) for chosen in published.values()])
        require(len(np.unique(together)) == len(together), "a row is in two splits")
        inside = len(together) == 0 or (together.min() >= 0 and together.max() < len(dataset))
        require(bool(inside), f"a split names rows beyond the {len(dataset)} there are")
    source = DataSource(dataset, subject.spec())
    train = source.rows("train")
    require(
        len(source.batch(torch.from_numpy(train[:2]))) == len(train[:2]), "a batch has other rows than it was made of"
    )


_PURE = ("view", "generator")

DATASET = (
    Check("builds", builds, ("defaults",)),
    Check("rows", rows, ("builds",)),
    Check("take", take, ("rows",)),
    Check("view", view, ("rows",)),
    Check("generator", generator, ("view",)),
    Check("view_rows", view_rows, (*_PURE, "take")),
    Check("factors", factors, ("builds",)),
    Check("splits", splits, ("rows", "factors")),
)
