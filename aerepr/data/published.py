"""What the data sets of published files share: where the files are, and how the papers split them.

Source of the splits: Leeb et al. 2023, "Structure by Architecture", section 4 (70 / 10 / 20), and the authors' code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from aerepr.data.cache import data_directory
from aerepr.data.decoded import Memory
from aerepr.data.lookup import existing_file
from aerepr.data.stored import StoredArray
from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext
from aerepr.spec.base import DataPath
from aerepr.spec.data import DatasetSpec

# Of the released code: a fifth is for testing, and a tenth of the rest for validation.
_TEST, _VALID = 0.2, 0.1


class FilesSpec(DatasetSpec):
    """What the `[data]` table of every published data set has."""

    root: DataPath | None = Field(
        None, description="folder of the published files; left out: the one `aerepr data where NAME` prints"
    )
    memory: Memory = Field(
        "auto",
        description="where a large file's images are during training. resident: on the device; mapped: on disk and in the "
        "system's page cache, gathered by the host for each batch; auto: resident on an accelerator if they fit into 60% "
        "of its free memory, else mapped",
    )


class PublishedSpec(FilesSpec):
    """What a data set adds that was published without a test set."""

    rule: Literal["drawn", "released"] = Field(
        "drawn",
        description="which rows are for testing. drawn: `split` and `split_seed`; released: the last fifth of NumPy's "
        "RandomState(0) permutation, as in the code of Structure by Architecture, and a tenth of the rest, drawn by "
        "`split_seed`, for validation",
    )


class SubsetFileSpec(PublishedSpec):
    """What a data set whose published file is one full grid of factors adds."""

    subset_file: bool = Field(
        False, description="accept a file that holds a part of the grid; its factors are then read from the file"
    )


def published_folder(spec: FilesSpec, ctx: DataContext) -> Path:
    """Where the published files are looked for."""
    return ctx.folder / spec.root if spec.root is not None else data_directory() / spec.name


def published_file(spec: FilesSpec, ctx: DataContext, *names: str) -> Path:
    """One published file: the first that is there of its published name and others under which it may lie.

    Raises:
        DataError: it is not there.
    """
    folder = published_folder(spec, ctx)
    found = next((name for name in names if (folder / name).exists()), names[0])
    try:
        return existing_file(folder / found)
    except DataError as cause:
        raise DataError(f"{cause}; `aerepr data fetch {spec.name}` fetches what is published, or set root") from cause


def is_full_grid(
    array: StoredArray, spec: SubsetFileSpec, row: Sequence[int], grids: Mapping[str, Sequence[int]]
) -> bool:
    """Whether images are the full grid of factors, one row for each combination, the last factor fastest.

    Args:
        array: the images. row: shape of one, as published.
        grids: sizes of the factors, by name of the data set: of this one, and of those it may be mistaken for.

    Returns:
        False for a part of the grid, which `subset_file` accepts.

    Raises:
        DataError: the images are not as published, or a part of the grid where it is not accepted.
    """
    require_images(array, spec, row)
    rows, full = array.shape[0], prod(grids[spec.name])
    if rows == full:
        return True
    found = f"{array.where}: found {rows:,} images"
    for name, sizes in grids.items():
        if rows == prod(sizes):
            raise DataError(
                f'{found}, the grid of another variant, expected {full:,}; read this file with name = "{name}"'
            )
    if rows > full or not spec.subset_file:
        raise DataError(
            f"{found}, expected {full:,}, one for each combination of {' x '.join(map(str, grids[spec.name]))}; copy or "
            "download it again, or, if it is to be a part of the grid, set subset_file = true"
        )
    return False


def require_images(array: StoredArray, spec: PublishedSpec, row: Sequence[int]) -> None:
    """Raise `DataError` unless an array is of uint8 images of the published shape."""
    if array.dtype != np.uint8 or array.shape[1:] != tuple(row):
        expected = ", ".join(str(size) for size in row)
        raise DataError(
            f"{array.where}: found {array.dtype} of shape {array.shape}, expected uint8 (N, {expected}) as published for "
            f"{spec.name}; check that it is the right file"
        )


def drawn_or_released(spec: PublishedSpec, n: int) -> Mapping[str, np.ndarray] | None:
    """Splits of n rows under `rule`; None for those that are drawn."""
    return released_splits(n, spec.split_seed) if spec.rule == "released" else None


def tested_splits(
    train: np.ndarray, test: np.ndarray, split: Sequence[float], split_seed: int
) -> Mapping[str, np.ndarray]:
    """Splits of a data set published with a test set and without a validation set.

    Args:
        train, test: row numbers as published.
        split: fractions of train, valid and test; validation gets its share of the published training rows, the last
            fraction counts for nothing. split_seed: draws them.

    Returns:
        Row numbers of each split, ascending.
    """
    drawn = np.random.Generator(np.random.PCG64(split_seed)).permutation(train)
    valid = round(len(train) * split[1] / (split[0] + split[1]))
    return {"train": np.sort(drawn[valid:]), "valid": np.sort(drawn[:valid]), "test": test}


def released_splits(n: int, split_seed: int) -> Mapping[str, np.ndarray]:
    """The rule "released" for n rows: row numbers of each split, ascending."""
    # NumPy's legacy generator, whose stream is frozen: this very permutation chose the published test rows.
    order = np.random.RandomState(0).permutation(n)  # noqa: NPY002
    test = int(n * _TEST)
    rest = np.sort(order[: n - test])
    drawn = np.random.Generator(np.random.PCG64(split_seed)).permutation(rest)
    valid = round(len(rest) * _VALID)
    return {"train": np.sort(drawn[valid:]), "valid": np.sort(drawn[:valid]), "test": np.sort(order[n - test :])}
