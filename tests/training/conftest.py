"""A problem small enough to train in a second, and what it takes to compare two runs of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aerepr.rundir import tensors
from aerepr.workflows.train import train

SPEC = """
name = "small"
[model]
latent_dim = 4
[model.encoder]
name = "mlp"
width = 16
[model.decoder]
name = "structural_mlp"
variables = 2
depth = 2
width = 16
[model.posterior]
name = "gaussian"
[model.likelihood]
name = "gaussian"
[[model.regularizers]]
name = "kl"
weight = 0.5
[data]
name = "array"
path = "x.npy"
factors = "y.npy"
factor_names = ["group"]
[train]
steps = 24
batch_size = 16
device = "cpu"
log_every = 4
validate_every = 8
checkpoint_every = 5
[train.optimizer]
lr = 3e-3
[sampler]
name = "hybrid"
size = 32
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec over 200 vectors of 6 features in 4 groups."""
    return small(tmp_path)


def small(folder: Path) -> Path:
    """The small problem, with its data, in a folder."""
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 4, 200)
    x = np.eye(6)[groups] + 0.1 * generator.normal(size=(200, 6)) @ generator.normal(size=(6, 6))
    np.save(folder / "x.npy", x.astype(np.float32))
    np.save(folder / "y.npy", groups)
    path = folder / "small.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def run(spec: Path) -> Callable[..., Path]:
    """Train the small problem into a folder of the test's own."""

    def go(name: str = "run", *sets: str, **more: Any) -> Path:
        return train(spec, sets=sets, runs=spec.parent / "runs", run=spec.parent / "runs" / name, **more)

    return go


def weights(run: Path, part: str = "model") -> dict[str, torch.Tensor]:
    """What a finished run's bundle holds of a part."""
    return tensors.load(run / "model" / f"{part}.safetensors")


def metrics(run: Path) -> list[dict[str, Any]]:
    """Every record of a run but for its timings."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if not k.startswith("perf/")} for line in lines]


def same(first: Path, second: Path) -> bool:
    """Whether two runs ended with the same bits and told the same story."""
    for part in ("model", "objective", "sampler", "codes"):
        a, b = weights(first, part), weights(second, part)
        if a.keys() != b.keys() or not all(torch.equal(a[key], b[key]) for key in a):
            return False
    return metrics(first) == metrics(second)
