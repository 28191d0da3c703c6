"""examples/apps/python: the pictures of a seed without aerepr and without torch are those of the eager model."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
import venv
from importlib.metadata import requires
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from aerepr.export.write import export_run
from aerepr.layers.exportable import Decode, standalone
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View
from aerepr.registry.registry import Registry

PROGRAM = Path(__file__).parents[2] / "examples" / "apps" / "python" / "sample.py"


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "assert not {'torch', 'aerepr'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, str(PROGRAM), str(folder), *map(str, arguments)]
    return subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def normal_run(toy: ModuleType, image_run: View) -> View:
    return toy.view("toy", "gaussian", image_run.system, toy.Fitted(), image_run.info.shape, image_run.codes)


@pytest.mark.parametrize("law", ["uniform", "normal"])
def test_pictures_are_the_eager_models(law: str, image_export: Path, image_run: View, normal_run: View, tmp_path: Path):
    folder, view = image_export, image_run
    if law == "normal":
        folder, view = tmp_path / "exports", normal_run
        export_run(view, folder, ["onnx"], Registry())
    done = run(folder, 70, 2**63 - 1, tmp_path / "grid.ppm")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with torch.no_grad():
        z = view.sampler(sample_noise(70, view.sampler.noise_dim, 2**63 - 1, law))
        expected = standalone(Decode(view.model))(z).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "grid.npy"), expected, rtol=0, atol=1e-5)
    # 70 pictures in a grid of 9 columns and 8 rows, row by row.
    header, _, pixels = (tmp_path / "grid.ppm").read_bytes().partition(b"\n")
    assert header == b"P6 72 64 255"
    grid = np.frombuffer(pixels, np.uint8).reshape(64, 72, 3)
    for index in (0, 1, 9, 69):
        row, column = divmod(index, 9)
        tile = grid[8 * row : 8 * row + 8, 8 * column : 8 * column + 8].transpose(2, 0, 1) / 255
        np.testing.assert_allclose(tile, expected[index], atol=0.51 / 255)
    assert not grid[56:, 8 * 7 :].any()


@pytest.mark.parametrize("law", ["uniform", "normal"])
@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**63 - 1])
def test_its_noise_is_that_of_every_host(law: str, seed: int):
    noise = runpy.run_path(str(PROGRAM))["noise"]
    expected = sample_noise(20, 7, seed, law).numpy()
    found = noise(range(20), 7, seed, law)
    if law == "uniform":
        np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_it_checks_the_golden_pair_and_its_arguments(image_export: Path, tmp_path: Path):
    folder = shutil.copytree(image_export, tmp_path / "copy")
    card = json.loads((folder / "card.json").read_text())
    card["golden"]["output"][5] += 0.01
    (folder / "card.json").write_text(json.dumps(card))
    for arguments in ((folder, 4), (image_export, 0), (image_export, 4, -1), (image_export, 4, 2**63)):
        done = run(*arguments, *[0] * (3 - len(arguments)), tmp_path / "no.ppm")
        assert done.returncode == 1
        assert "card.json, or n or seed out of range" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "no.ppm").exists()


@pytest.fixture(params=["oldest", "newest"])
def supported(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A Python with nothing but numpy and one end of the onnxruntimes that aerepr supports."""
    (bound,) = [item for item in requires("aerepr") or [] if item.startswith("onnxruntime")]
    oldest = re.fullmatch(r"onnxruntime>=([\d.]+)", bound).group(1)
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    wanted = f"onnxruntime=={oldest}.*" if request.param == "oldest" else "onnxruntime"
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", "numpy", wanted], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"pip does not bring {wanted}: {(done.stderr.strip().splitlines() or ['it gave no reason'])[-1]}")
    return python


@pytest.mark.full
def test_the_oldest_and_the_newest_onnxruntime_run_it(
    supported: Path, image_export: Path, image_run: View, tmp_path: Path
):
    export_run(image_run, tmp_path / "half", ["onnx"], Registry(), precision="fp16")
    with torch.no_grad():
        expected = standalone(Decode(image_run.model))(image_run.sampler(sample_noise(9, 3, 5, "uniform"))).numpy()
    for folder, tolerance in ((image_export, 1e-5), (tmp_path / "half", 1e-3)):
        command = [supported, PROGRAM, folder, "9", "5", tmp_path / "grid.ppm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        np.testing.assert_allclose(np.load(tmp_path / "grid.npy"), expected, rtol=0, atol=tolerance)


def test_it_is_short():
    assert len(PROGRAM.read_text(encoding="utf-8").splitlines()) < 60
