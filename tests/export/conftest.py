"""Runs to export, and one export of each that all tests of this folder read."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from aerepr.export.write import export_run
from aerepr.kinds.shape import DataShape
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from tests.export.shipped import IMAGES, shipped_run

FORMATS = ["onnx", "pt2", "torchscript"]


def _toy() -> ModuleType:
    """`toy.py`, loaded once by path, for test folders are no packages."""
    name = "aerepr_export_toy"
    if name not in sys.modules:
        location = importlib.util.spec_from_file_location(name, Path(__file__).with_name("toy.py"))
        module = importlib.util.module_from_spec(location)
        sys.modules[name] = module
        location.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    return _toy()


@pytest.fixture(scope="session")
def image_run(toy: ModuleType) -> View:
    return toy.image_run()


@pytest.fixture(scope="session")
def vector_run(toy: ModuleType) -> View:
    return toy.vector_run()


@pytest.fixture(scope="session")
def image_export(image_run: View, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image") / "exports"
    export_run(image_run, folder, FORMATS, Registry())
    export_run(image_run, folder, FORMATS, Registry(), parts=["encoder"])
    return folder


@pytest.fixture(scope="session")
def vector_export(vector_run: View, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vector") / "exports"
    export_run(vector_run, folder, FORMATS, Registry())
    export_run(vector_run, folder, ["onnx"], Registry(), parts=["encoder"])
    return folder


@pytest.fixture(scope="session")
def real_run() -> View:
    """The shipped structural decoder with the shipped hybrid sampler, 64x64 RGB: three variables of two dimensions."""
    return shipped_run(IMAGES["structural"], DataShape.image(3, 64, 64), "hybrid", "bernoulli")


@pytest.fixture(scope="session")
def grey_run() -> View:
    """The shipped convolutional decoder with the shipped Gaussian sampler, which takes normal noise; 16x16, one channel."""
    return shipped_run({**IMAGES["conv"], "depth": 4}, DataShape.image(1, 16, 16), "gaussian", "bernoulli")


@pytest.fixture(scope="session")
def real_export(real_run: View, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `real_run`, for the hosts. Read it; change a copy."""
    return _hosts(real_run, tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="session")
def grey_export(grey_run: View, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `grey_run`, for the hosts. Read it; change a copy."""
    return _hosts(grey_run, tmp_path_factory.mktemp("grey"))


def _hosts(run: View, folder: Path) -> Path:
    export_run(run, folder / "exports", ["onnx", "torchscript"], Registry())
    return folder / "exports"
