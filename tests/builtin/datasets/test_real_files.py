"""Training for five steps on real images, through the data set components, from the files as they are.

The files are those of `tests/data`; without them every test here is skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aerepr.data.source import DataSource
from aerepr.registry.registry import Registry
from aerepr.rundir import tensors
from aerepr.workflows.assemble import open_source
from aerepr.workflows.train import Quiet, train
from tests.builtin.datasets.building import small_spec


class Listener(Quiet):
    """Keeps what a user would be told."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.messages: list[str] = []

    def record(self, record: dict[str, Any]) -> None:
        self.records.append(record)

    def message(self, text: str) -> None:
        self.messages.append(text)


def train_on(data: dict[str, Any], out: Path, **model: Any) -> tuple[Path, DataSource, Listener]:
    """The run, the data it was trained on, and what was said."""
    spec = small_spec(data, **model)
    listener = Listener()
    run = train(spec, runs=out / "runs", watcher=listener)
    assert (run / "DONE").exists()
    losses = [record["loss/total"] for record in listener.records]
    assert len(losses) == 2  # training, validation
    assert np.isfinite(losses).all()
    source = open_source(spec.data, Path.cwd(), Registry())
    # What the bundle keeps are the test images as they are in the file.
    gallery = tensors.load(run / "model" / "gallery.safetensors")
    np.testing.assert_array_equal(gallery["x"].numpy(), source.examples(source.choice("test", 2)).numpy())
    return run, source, listener


def idx(folder: Path, stem: str) -> dict[str, Any]:
    return {
        "name": "idx",
        "images": str(folder / f"{stem}-images-idx3-ubyte.gz"),
        "labels": str(folder / f"{stem}-labels-idx1-ubyte.gz"),
    }


@pytest.mark.parametrize(
    ("folder", "stem", "count"),
    [("mnist", "t10k", 10_000), ("fashion_mnist", "sprite600", 600)],
    ids=["mnist", "fashion"],
)
def test_mnist_and_fashion_mnist(real_data: Path, tmp_path: Path, folder: str, stem: str, count: int) -> None:
    _, source, listener = train_on(idx(real_data / folder, stem), tmp_path)
    assert (len(source.dataset), str(source.info.shape)) == (count, "image 1x28x28")
    assert [(factor.name, factor.size) for factor in source.info.factors] == [("label", 10)]
    assert not [text for text in listener.messages if "unknown" in text or "pickled" in text]


@pytest.mark.parametrize(("folder", "classes", "count"), [("sign_digits", 10, 600), ("trashnet", 6, 1090)])
def test_photos_at_128_pixels(real_data: Path, tmp_path: Path, folder: str, classes: int, count: int) -> None:
    data = {"name": "image_folder", "path": str(real_data / folder), "size": 128}
    _, source, _ = train_on(data, tmp_path)
    assert str(source.info.shape) == "image 3x128x128"
    assert len(source.dataset) == count
    assert [(factor.name, factor.size) for factor in source.info.factors] == [("class", classes)]
    # Photographs: no channel is constant or a copy of another.
    x = source.examples(source.rows("train")[:20])
    assert x.std() > 0.05
    assert not (x[:, 0] == x[:, 1]).all()


SHAPES3D = ["floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"]


def test_3d_shapes(real_data: Path, tmp_path: Path) -> None:
    data = {
        "name": "hdf5",
        "path": str(real_data / "shapes3d" / "3dshapes_subset.h5"),
        "images": "images",
        "factors": "labels",
        "factor_names": SHAPES3D,
    }
    run, source, listener = train_on(data, tmp_path)
    assert (len(source.dataset), str(source.info.shape)) == (25, "image 3x64x64")
    sizes = {factor.name: factor.size for factor in source.info.factors}
    assert (sizes["scale"], sizes["orientation"]) == (0, 0)
    assert (sizes["shape"], sizes["floor_hue"]) == (4, 10)
    for name in ("scale", "orientation"):
        assert sum(f"factor '{name}' is unknown, 25 of 25 rows are NaN" in text for text in listener.messages) == 1
    factors = tensors.load(run / "model" / "gallery.safetensors")["factors"].numpy()
    assert set(factors[:, 3]) == set(factors[:, 5]) == {-1}


@pytest.mark.parametrize("kind", ["real", "realistic", "toy"])
def test_mpi3d(real_data: Path, tmp_path: Path, kind: str) -> None:
    data = {
        "name": "npz",
        "path": str(real_data / "mpi3d" / f"mpi3d_{kind}_subset.npz"),
        "images": "images",
        "factors": "factors",
        "factor_names": ["color", "shape", "size", "camera", "background", "axis_1", "axis_2"],
        "factor_sizes": [6, 6, 2, 3, 3, 40, 40],
    }
    _, source, _ = train_on(data, tmp_path)
    assert (len(source.dataset), str(source.info.shape)) == (54, "image 3x64x64")
    assert [factor.size for factor in source.info.factors] == [6, 6, 2, 3, 3, 40, 40]
    with np.load(data["path"]) as stored:
        np.testing.assert_array_equal(source.dataset.factors.classes, stored["factors"])


def test_dsprites(real_data: Path, tmp_path: Path) -> None:
    data = {
        "name": "npz",
        "path": str(real_data / "dsprites" / "dsprites_subset.npz"),
        "images": "imgs",
        "factors": "latents_classes",
        "factor_names": ["color", "shape", "scale", "orientation", "pos_x", "pos_y"],
        "factor_sizes": [1, 3, 6, 40, 32, 32],
    }
    _, source, listener = train_on(data, tmp_path)
    assert (len(source.dataset), str(source.info.shape)) == (258, "image 1x64x64")
    assert sum("[metadata]: pickled object array, not read" in text for text in listener.messages) == 1
    assert sum("read as masks" in text for text in listener.messages) == 1
    assert source.examples(source.rows("train")).unique().tolist() == [0.0, 1.0]
