"""A data set made of another: the contract's part in it, with one that swaps two factors of its source at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import Field, ValidationError

from aerepr.data.factors import FactorTable
from aerepr.data.source import DataSource
from aerepr.errors import UsageError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataContext, Dataset
from aerepr.layers.noise import StepNoise
from aerepr.registry.registry import Registry
from aerepr.spec.base import without_folders
from aerepr.spec.data import DatasetSpec, SourceSpec


class SwappedSpec(DatasetSpec):
    source: SourceSpec = Field(description="what is swapped")


class Swapped(Dataset):
    """Vectors (a, b) with the factors a and b, in training (b, a)."""

    Spec = SwappedSpec

    def __init__(self, spec: SwappedSpec, ctx: DataContext) -> None:
        self.source = ctx.build(spec.source)
        self.shape, self.factors = self.source.shape, self.source.factors

    def __len__(self) -> int:
        return len(self.source)

    def resident(self, device: torch.device) -> torch.Tensor:
        return self.source.resident(device)

    def view(self, raw, rows, factors, noise) -> Batch:
        if noise is None:
            return Batch(x=raw, rows=rows)
        return Batch(x=raw.flip(1), rows=rows, factors=factors.flip(1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table = FactorTable.from_grid(("a", "b"), (3, 3)).classes
    np.save(tmp_path / "values.npy", table.astype(np.float32))
    np.save(tmp_path / "factors.npy", table.astype(np.int64))
    return tmp_path


def spec(**changes: object) -> SwappedSpec:
    source = {"name": "array", "path": "values.npy", "factors": "factors.npy", **changes}
    return SwappedSpec.model_validate({"name": "swapped", "source": source})


def test_a_nested_data_set_is_found_by_name_and_reads_from_the_same_folder(folder):
    found = DataSource(Swapped(spec(), DataContext(folder, folder, load=Registry().load)), spec())
    rows = torch.arange(9)
    seen = found.batch(rows)
    assert torch.equal(seen.x, seen.factors.to(torch.float32))
    drawn = found.batch(rows, StepNoise(0, torch.tensor(0), rows))
    # What the view says of its factors stands; where it says nothing, the table does.
    assert torch.equal(drawn.factors, seen.factors.flip(1))
    assert torch.equal(drawn.x, drawn.factors.to(torch.float32))


def test_a_context_without_a_registry_says_so(folder):
    with pytest.raises(UsageError, match='dataset "array": this data context finds no components'):
        Swapped(spec(), DataContext(folder, folder))


@pytest.mark.parametrize("key", ["split", "split_seed", "subset", "gallery", "standardize"])
def test_what_the_outer_table_says_is_not_said_inside(key):
    value = {"split": [0.5, 0.2, 0.3], "split_seed": 1, "subset": {"a": [0]}, "gallery": 3, "standardize": True}[key]
    with pytest.raises(ValidationError, match=rf"{key} is said once, in \[data\]"):
        spec(**{key: value})
    # Written out with every default, as a run keeps it, it is the same.
    assert SwappedSpec.model_validate(spec().model_dump()) == spec()


def test_folders_are_left_out_at_every_depth():
    away = spec(path="/some/where/values.npy")
    tables = without_folders(away, away.model_dump(exclude_none=True))
    assert tables["source"]["path"] == "values.npy"
    assert away.source.path == "/some/where/values.npy"
