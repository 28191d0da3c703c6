"""Data set components and sources of them, files in the layouts they read, and specs that train on them in a moment."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np

from aerepr.data.source import DataSource
from aerepr.kinds.dataset import DataContext, Dataset
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables
from aerepr.spec.run import RunSpec


def build(name: str, folder: Path, **fields: Any) -> Dataset:
    """A data set, loaded by name as a spec does."""
    component = Registry().load("dataset", name)
    spec = component.Spec.model_validate({"name": name, **fields})
    return component(spec, DataContext(folder=folder, cache=folder / "cache"))


def source(name: str, folder: Path, **fields: Any) -> DataSource:
    """The same with its splits and subset."""
    component = Registry().load("dataset", name)
    spec = component.Spec.model_validate({"name": name, **fields})
    return DataSource(component(spec, DataContext(folder=folder, cache=folder / "cache")), spec)


def write_idx(path: Path, array: np.ndarray) -> None:
    """An idx file of unsigned bytes, gzipped where its name says so."""
    content = struct.pack(f">HBB{array.ndim}I", 0, 0x08, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def pixels(*shape: int) -> np.ndarray:
    """uint8 images in which no two pixels near each other agree."""
    return np.random.Generator(np.random.PCG64(0)).integers(0, 256, shape, dtype=np.uint8)


def small_tables(data: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A spec of five steps: width 8, four latent dimensions in two variables."""
    return {
        "name": "small",
        "model": {
            "latent_dim": 4,
            "encoder": {"name": "conv", "width": 8},
            "decoder": {"name": "structural", "variables": 2, "width": 8},
            **more,
        },
        "data": {"gallery": 2, **data},
        "train": {
            "steps": 5,
            "batch_size": 8,
            "device": "cpu",
            "log_every": 5,
            "validate_every": 5,
            "checkpoint_every": 5,
        },
        "sampler": {"name": "hybrid", "size": 8},
    }


def vector_tables(data: dict[str, Any]) -> dict[str, Any]:
    """The same for vectors."""
    mlp = {"hidden": [8]}
    model = {"encoder": {"name": "mlp", **mlp}, "decoder": {"name": "mlp", **mlp}, "likelihood": {"name": "gaussian"}}
    return small_tables(data, **model)


def small_spec(data: dict[str, Any], **more: Any) -> RunSpec:
    """The spec of `small_tables`."""
    return spec_from_tables(small_tables(data, **more))
