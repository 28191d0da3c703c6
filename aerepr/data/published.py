"""What the data sets of published files share: where the files are, and how the papers split them.

Source of the splits: Leeb et al. 2023, "Structure by Architecture", section 4 (70 / 10 / 20), and the authors' code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from aerepr.data.cache import data_directory
from aerepr.kinds.dataset import DataContext
from aerepr.spec.base import DataPath
from aerepr.spec.data import DatasetSpec

# Of the released code: a fifth is for testing, and a tenth of the rest for validation.
_TEST, _VALID = 0.2, 0.1


class PublishedSpec(DatasetSpec):
    """What the `[data]` table of every published data set has."""

    root: DataPath | None = Field(
        None, description="folder of the published files; left out: the one `aerepr data where NAME` prints"
    )
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


def published_folder(spec: PublishedSpec, ctx: DataContext) -> Path:
    """Where the published files are looked for."""
    return ctx.folder / spec.root if spec.root is not None else data_directory() / spec.name


def released_splits(n: int, split_seed: int) -> Mapping[str, np.ndarray]:
    """The rule "released" for n rows: row numbers of each split, ascending."""
    # NumPy's legacy generator, whose stream is frozen: this very permutation chose the published test rows.
    order = np.random.RandomState(0).permutation(n)  # noqa: NPY002
    test = round(n * _TEST)
    rest = np.sort(order[: n - test])
    drawn = np.random.Generator(np.random.PCG64(split_seed)).permutation(rest)
    valid = round(len(rest) * _VALID)
    return {"train": np.sort(drawn[valid:]), "valid": np.sort(drawn[:valid]), "test": np.sort(order[n - test :])}
