"""Tiny trained runs, made once a session, for every test that reads a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.read import spec_from_tables
from aerepr.workflows.assemble import open_run
from aerepr.workflows.train import train
from tests.warm import served

# Models this small are slower on several threads, and much slower where other processes want the same cores.
torch.set_num_threads(1)


def tiny_tables(data: dict[str, Any], **model: Any) -> dict[str, Any]:
    """A spec that trains in about a second: four latent dimensions in two variables, 16x16 images, 10 steps."""
    return {
        "name": "tiny",
        "model": {
            "latent_dim": 4,
            "encoder": {"name": "conv", "width": 8, "depth": 4},
            "decoder": {"name": "structural", "variables": 2, "width": 8, "depth": 4},
            **model,
        },
        "data": {"gallery": 10, **data},
        "train": {
            "steps": 10,
            "batch_size": 16,
            "device": "cpu",
            "log_every": 5,
            "validate_every": 10,
            "checkpoint_every": 10,
        },
        "sampler": {"name": "hybrid", "size": 32},
    }


def squares(count: int = 200, size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Bright squares on a dark ground, uint8 (N, H, W, 1), and their column, row and width as class indices (N, 3)."""
    generator = np.random.Generator(np.random.PCG64(0))
    factors = generator.integers(0, [6, 6, 3], size=(count, 3))
    images = np.zeros((count, size, size, 1), np.uint8)
    for image, (column, row, width) in zip(images, factors, strict=True):
        image[2 * row : 2 * row + 2 * width + 2, 2 * column : 2 * column + 2 * width + 2] = 220
    return images, factors


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A program that stands for `python` and has imported torch already: see `tests/warm.py`."""
    with served(tmp_path_factory.mktemp("warm")) as program:
        yield program


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An npz file with `images` and `factors`."""
    path = tmp_path_factory.mktemp("data") / "squares.npz"
    images, factors = squares()
    np.savez_compressed(path, images=images, factors=factors)
    return path


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Path:
    """A run on images with a deterministic posterior and a hybrid sampler. Read it; write products elsewhere or to a copy."""
    data = {
        "name": "npz",
        "path": str(tiny_data),
        "images": "images",
        "factors": "factors",
        "factor_names": ["column", "row", "width"],
    }
    spec = spec_from_tables(tiny_tables(data), registry=Registry())
    return train(spec, runs=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def tiny_vector_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VAE on standardised vectors of two features, without a gallery, with the prior as its sampler."""
    folder = tmp_path_factory.mktemp("vectors")
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    np.savez(folder / "ring.npz", values=np.stack([10 + np.cos(angle), 5 * np.sin(angle)], axis=1))
    tables = tiny_tables(
        {"name": "npz", "path": str(folder / "ring.npz"), "values": "values", "standardize": True, "gallery": 0},
        latent_dim=2,
        encoder={"name": "mlp", "hidden": [8]},
        decoder={"name": "mlp", "hidden": [8]},
        posterior={"name": "gaussian"},
        likelihood={"name": "gaussian"},
        regularizers=[{"name": "kl"}],
    )
    tables["name"], tables["sampler"] = "tiny-vectors", {"name": "prior"}
    return train(spec_from_tables(tables, registry=Registry()), runs=folder / "runs")


@pytest.fixture(scope="module")
def view(tiny_run: Path) -> View:
    """The run on images, opened."""
    return open_run(RunDirectory(tiny_run))


@pytest.fixture(scope="module")
def vectors(tiny_vector_run: Path) -> View:
    """The run on vectors, opened."""
    return open_run(RunDirectory(tiny_vector_run))
