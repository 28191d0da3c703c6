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

import numpy as np
import pytest
import torch

from aerepr.export.write import export_run
from aerepr.layers.exportable import Decode, standalone
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View
from aerepr.registry.registry import Registry

PROGRAM = Path(__file__).parents[2] / "examples" / "apps" / "python" / "sample.py"


def started(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "assert not {'torch', 'aerepr'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, str(PROGRAM), str(folder), *map(str, arguments)]
    return subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=False)


def eager(view: View, n: int, seed: int) -> np.ndarray:
    with torch.no_grad():
        z = view.sampler(sample_noise(n, view.sampler.noise_dim, seed, view.sampler.noise))
        return standalone(Decode(view.model))(z).numpy()


@pytest.mark.parametrize(("run", "law"), [("real", "uniform"), ("grey", "normal")])
def test_pictures_are_the_eager_models(run: str, law: str, request: pytest.FixtureRequest, tmp_path: Path):
    view, folder = (request.getfixturevalue(f"{run}_{what}") for what in ("run", "export"))
    assert view.sampler.noise == law
    done = started(folder, 70, 2**63 - 1, tmp_path / "grid.ppm")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    expected = eager(view, 70, 2**63 - 1)
    np.testing.assert_allclose(np.load(tmp_path / "grid.npy"), expected, rtol=0, atol=1e-5)
    # 70 pictures in a grid of 9 columns and 8 rows, row by row; a grey one has three equal channels.
    channels, height, width = expected.shape[1:]
    header, _, pixels = (tmp_path / "grid.ppm").read_bytes().partition(b"\n")
    assert header == f"P6 {9 * width} {8 * height} 255".encode()
    grid = np.frombuffer(pixels, np.uint8).reshape(8, height, 9, width, 3).transpose(0, 2, 4, 1, 3).reshape(72, 3, -1)
    shown = expected.repeat(3 // channels, axis=1).reshape(70, 3, -1)
    np.testing.assert_allclose(grid[:70] / 255, shown, rtol=0, atol=0.51 / 255)
    assert not grid[70:].any()


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
    first, *rest = card["golden"]["output"]

    def changed(**sections: dict[str, object]) -> Path:
        (folder / "card.json").write_text(json.dumps(card | {key: card[key] | sections[key] for key in sections}))
        return folder

    def refused(message: str, place: Path, n: int = 4, seed: int = 0) -> None:
        done = started(place, n, seed, tmp_path / "no.ppm")
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert message in line

    # Neither what differs nor what is no number is the same.
    for value in (first + 0.01, None):
        refused("golden output: this machine does not", changed(golden={"output": [value, *rest]}))
    for data in ({"sizes": [4, 8, 8]}, {"kind": "vector"}):
        refused("images with 1 or 3 channels", changed(data=data))
    for n, seed in ((0, 0), (4, -1), (4, 2**63)):
        refused("n must be 1 or more, and seed from 0 to 2^63 - 1", image_export, n, seed)
    assert not (tmp_path / "no.ppm").exists()


def test_a_file_it_cannot_read_is_said_in_one_line(image_export: Path, tmp_path: Path):
    folder = shutil.copytree(image_export, tmp_path / "copy")
    (folder / "decoder.onnx").write_bytes((folder / "decoder.onnx").read_bytes()[:1000])
    (folder.parent / "empty").mkdir()
    for place, named in ((folder, "decoder.onnx"), (folder.parent / "empty", "card.json")):
        done = started(place, 4, 0, tmp_path / "no.ppm")
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert named in line
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
    supported: Path, image_export: Path, image_run: View, real_export: Path, real_run: View, tmp_path: Path
):
    export_run(image_run, tmp_path / "half", ["onnx"], Registry(), precision="fp16")
    cases = ((image_export, image_run, 1e-5), (tmp_path / "half", image_run, 1e-3), (real_export, real_run, 1e-5))
    for folder, view, tolerance in cases:
        command = [supported, PROGRAM, folder, "9", "5", tmp_path / "grid.ppm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        np.testing.assert_allclose(np.load(tmp_path / "grid.npy"), eager(view, 9, 5), rtol=0, atol=tolerance)
    export_run(real_run, tmp_path / "encoder", ["onnx"], Registry(), parts=["encoder"])
    np.save(tmp_path / "x.npy", x := eager(real_run, 9, 5))
    code = (
        "import sys, numpy, onnxruntime; file, x, out = sys.argv[1:]\n"
        "numpy.save(out, onnxruntime.InferenceSession(file).run(None, {'x': numpy.load(x)})[0])"
    )
    places = (tmp_path / name for name in ("encoder/encoder.onnx", "x.npy", "codes.npy"))
    done = subprocess.run([supported, "-c", code, *places], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    with torch.no_grad():
        codes = real_run.model.encode(torch.from_numpy(x))
    np.testing.assert_allclose(np.load(tmp_path / "codes.npy"), codes, rtol=0, atol=1e-5)


def test_it_is_short():
    assert len(PROGRAM.read_text(encoding="utf-8").splitlines()) <= 63
