"""The runs of `tests/export/toy.py`, and what each exporter makes of them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from aerepr.builtin.exporters.onnx import ONNXExporter, ONNXSpec
from aerepr.builtin.exporters.pt2 import PT2Exporter, PT2Spec
from aerepr.builtin.exporters.torchscript import TorchScriptExporter, TorchScriptSpec
from aerepr.kinds.exporter import Exported
from aerepr.model.view import View


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    name = "aerepr_export_toy"
    if name not in sys.modules:
        path = Path(__file__).parents[2] / "export" / "toy.py"
        location = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(location)
        sys.modules[name] = module
        location.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def image_run(toy: ModuleType) -> View:
    return toy.image_run()


@pytest.fixture(scope="session")
def vector_run(toy: ModuleType) -> View:
    return toy.vector_run()


@pytest.fixture(scope="session")
def onnx_files(image_run: View, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Exported]]:
    folder = tmp_path_factory.mktemp("onnx")
    return folder, ONNXExporter(ONNXSpec(name="onnx")).write(image_run, folder)


@pytest.fixture(scope="session")
def pt2_files(image_run: View, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Exported]]:
    folder = tmp_path_factory.mktemp("pt2")
    return folder, PT2Exporter(PT2Spec(name="pt2")).write(image_run, folder)


@pytest.fixture(scope="session")
def torchscript_files(image_run: View, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Exported]]:
    folder = tmp_path_factory.mktemp("torchscript")
    return folder, TorchScriptExporter(TorchScriptSpec(name="torchscript")).write(image_run, folder)
