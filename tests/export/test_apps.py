"""examples/apps/cpp and examples/apps/node, built and run: their pictures of a seed are those of the eager model."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

from aerepr.builtin.exporters.web import MissingRuntime, runtime_archive
from aerepr.layers.exportable import Decode, standalone
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View

ROOT = Path(__file__).parents[2]
APPS = ROOT / "examples" / "apps"

CASES = json.loads((ROOT / "docs" / "noise.json").read_text(encoding="utf-8"))["cases"]

Command = list[str]


@pytest.fixture(scope="session")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The C++ program, built against the torch that runs these tests."""
    if shutil.which("cmake") is None or not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        pytest.skip("needs cmake and a C++ compiler")
    build = tmp_path_factory.mktemp("cpp")
    prefix = f"-DCMAKE_PREFIX_PATH={torch.utils.cmake_prefix_path}"
    for command in (["cmake", "-S", APPS / "cpp", "-B", build, prefix], ["cmake", "--build", build]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return [str(build / "sample")]


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The Node program beside the package it needs."""
    if shutil.which("node") is None:
        pytest.skip("needs Node")
    try:
        archive = runtime_archive()
    except MissingRuntime as cause:
        pytest.skip(str(cause))
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(APPS / "node", folder, dirs_exist_ok=True)
    with tarfile.open(archive) as package:
        needed = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
        for name in ("package.json", *(f"dist/{file}" for file in needed)):
            package.extract(f"package/{name}", folder / "node_modules", filter="data")
    (folder / "node_modules" / "package").rename(folder / "node_modules" / "onnxruntime-web")
    return ["node", str(folder / "sample.js")]


@pytest.fixture(params=["cpp", "node"])
def app(request: pytest.FixtureRequest) -> Command:
    return request.getfixturevalue(request.param)


def run(app: Command, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*app, *map(str, arguments)], capture_output=True, text=True, check=False)


def tiles(picture: Path, n: int) -> np.ndarray:
    """The pictures (n, 8, 8, 3) in a grid as square as can be."""
    header, pixels = re.fullmatch(rb"P6\n(\d+ \d+)\n255\n(.*)", picture.read_bytes(), re.DOTALL).groups()
    width, height = map(int, header.split())
    columns = ceil(sqrt(n))
    assert (width, height) == (8 * columns, 8 * ceil(n / columns))
    grid = np.frombuffer(pixels, np.uint8).reshape(height // 8, 8, columns, 8, 3).swapaxes(1, 2).reshape(-1, 8, 8, 3)
    assert not grid[n:].any()
    return grid[:n]


def expected(view: View, n: int, seed: int) -> np.ndarray:
    with torch.no_grad():
        z = view.sampler(sample_noise(n, view.sampler.noise_dim, seed, "uniform"))
        return standalone(Decode(view.model))(z).permute(0, 2, 3, 1).numpy()


def test_pictures_are_the_eager_models(app: Command, image_export: Path, image_run: View, tmp_path: Path):
    for n, seed in [(1, 0), (11, 2**63 - 1)]:
        done = run(app, image_export, n, seed, tmp_path / "grid.ppm")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        # A value that differs by 1e-5 may round to the other byte, and no further.
        np.testing.assert_allclose(
            tiles(tmp_path / "grid.ppm", n), 255 * expected(image_run, n, seed), atol=0.5 + 255e-5
        )


def test_grey_images_are_grey(app: Command, image_export: Path, tmp_path: Path):
    """The sizes of the card decide; the file is refused where they are of something else."""
    card = json.loads((image_export / "card.json").read_text())
    for sizes in ([2, 8, 8], [6]):
        folder = changed(image_export, tmp_path / str(len(sizes)), card | {"data": card["data"] | {"sizes": sizes}})
        done = run(app, folder, 1, 0, tmp_path / "no.ppm")
        assert (done.returncode, "1 or 3 channels" in done.stderr) == (1, True)


@pytest.mark.parametrize("shift", [0.01, None])
def test_the_golden_pair_is_checked(app: Command, image_export: Path, tmp_path: Path, shift: float | None):
    card = json.loads((image_export / "card.json").read_text())
    card["golden"]["output"][5] = shift if shift is None else card["golden"]["output"][5] + shift
    done = run(app, changed(image_export, tmp_path / "copy", card), 1, 0, tmp_path / "no.ppm")
    assert done.returncode == 1
    assert "golden output: this machine does not reproduce the exported model" in done.stderr
    assert not (tmp_path / "no.ppm").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, 0), "usage: "),
        ((0, 0, "out.ppm"), "N must be 1 or more"),
        ((4, 2**63, "out.ppm"), r"SEED from 0 to 2\^63 - 1"),
        ((4, 0, "no/such/folder/out.ppm"), "out.ppm"),
    ],
)
def test_bad_arguments(app: Command, image_export: Path, tmp_path: Path, arguments: tuple[object, ...], message: str):
    if len(arguments) == 3:
        arguments = (*arguments[:2], tmp_path / str(arguments[2]))
    done = run(app, image_export, *arguments)
    assert done.returncode == (1 if len(arguments) == 3 else 2)
    assert re.search(message, done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_no_export_there(app: Command, tmp_path: Path):
    done = run(app, tmp_path, 1, 0, tmp_path / "out.ppm")
    assert done.returncode == 1
    assert "card.json" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_truncated_file(app: Command, image_export: Path, tmp_path: Path):
    folder = shutil.copytree(image_export, tmp_path / "copy")
    for name in ("decoder.ts", "decoder.onnx"):
        (folder / name).write_bytes((folder / name).read_bytes()[:1000])
    done = run(app, folder, 1, 0, tmp_path / "out.ppm")
    assert done.returncode == 1
    assert done.stderr.startswith("sample: ")
    assert not (tmp_path / "out.ppm").exists()


def test_the_noise_of_the_node_program(node: Command):
    """The very function of the program, against the vectors of docs/noise.md."""
    text = Path(node[1]).read_text(encoding="utf-8")
    functions = text[text.index("const high") : text.index("async function open")]
    wanted = [case for case in CASES if case["row"] < 100]
    assert len(wanted) >= 20
    program = (
        functions
        + f"""
for (const [seed, row] of {json.dumps([[case["seed"], case["row"]] for case in wanted])}) {{
  const noise = uniforms(row + 1, 6, BigInt(seed)).slice(-6);
  console.log(Array.from(new Uint32Array(noise.buffer), (bits) => bits.toString(16).padStart(8, "0")).join(" "));
}}"""
    )
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True)
    assert [line.split() for line in done.stdout.splitlines()] == [case["bits"] for case in wanted]


@pytest.mark.parametrize("name", ["cpp/sample.cpp", "node/sample.js"])
def test_programs_are_short(name: str):
    assert len((APPS / name).read_text(encoding="utf-8").splitlines()) < 80


def test_the_node_program_asks_for_the_version_of_the_page():
    from aerepr.builtin.exporters.web import PACKAGE, VERSION

    described = json.loads((APPS / "node" / "package.json").read_text(encoding="utf-8"))
    assert described["dependencies"] == {PACKAGE: VERSION}


def changed(export: Path, folder: Path, card: dict[str, object]) -> Path:
    shutil.copytree(export, folder)
    (folder / "card.json").write_text(json.dumps(card))
    return folder
