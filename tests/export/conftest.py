"""Runs to export, and one export of each that all tests of this folder read."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from aerepr.export.write import export_run
from aerepr.model.view import View
from aerepr.registry.registry import Registry

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
