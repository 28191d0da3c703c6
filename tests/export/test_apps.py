"""examples/apps/cpp, examples/apps/node and the programs of docs/exports.md, built and run: they give what the eager model does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

from aerepr.builtin.exporters.web import MissingRuntime, runtime_archive
from aerepr.export.card import read_card
from aerepr.export.write import export_run
from aerepr.layers.exportable import Decode, standalone
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from tests.environments import absent

ROOT = Path(__file__).parents[2]
APPS = ROOT / "examples" / "apps"

PAGE = (ROOT / "docs" / "exports.md").read_text(encoding="utf-8")
CASES = json.loads((ROOT / "docs" / "noise.json").read_text(encoding="utf-8"))["cases"]

Command = list[str]

# CMake asks the `python3` it finds for its torch.
HERE = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def block(language: str, heading: str) -> str:
    """The first block of a language under a heading of docs/exports.md."""
    section = PAGE[PAGE.index(f"\n## {heading}\n") :]
    return section.split(f"```{language}\n", 1)[1].split("```", 1)[0]


@pytest.fixture(scope="session")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The C++ program, built against the torch that runs these tests; with what `hosts.cpp` adds."""
    needs_compiler()
    folder = shutil.copytree(APPS / "cpp", tmp_path_factory.mktemp("cpp"), dirs_exist_ok=True)
    program = folder / "sample.cpp"
    parts = [
        program.read_text(encoding="utf-8").replace("int main(", "int app("),
        block("cpp", "C++").replace("int main(", "void document("),
        Path(__file__).with_name("hosts.cpp").read_text(encoding="utf-8"),
    ]
    program.write_text("\n".join(parts), encoding="utf-8")
    for command in ("cmake -B build", "cmake --build build"):
        shell(command, folder)
    return [str(folder / "build" / "sample")]


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The Node program beside the package it needs."""
    if shutil.which("node") is None:
        absent("needs Node")
    try:
        archive = runtime_archive()
    except MissingRuntime as cause:
        absent(str(cause))
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


def needs_compiler() -> None:
    if shutil.which("cmake") is None or not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        absent("needs cmake and a C++ compiler")


def shell(command: str, folder: Path) -> str:
    """What a command prints that succeeds."""
    done = subprocess.run(command, shell=True, cwd=folder, env=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run(app: Command, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*app, *map(str, arguments)], capture_output=True, text=True, check=False)


def numbers(command: Command) -> np.ndarray:
    """What a program writes as float32 bytes."""
    return np.frombuffer(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout, np.float32)


def of_the_node_program(node: Command, name: str, more: str) -> Command:
    """A program beside it that has its functions and does something else with them."""
    text = Path(node[1]).read_text(encoding="utf-8")
    program = Path(node[1]).with_name(name)
    program.write_text(text[: text.index("const [folder, n, seed, out] = process.argv")] + more, encoding="utf-8")
    return ["node", str(program)]


def tiles(picture: Path, n: int, size: int) -> np.ndarray:
    """The pictures (n, size, size, 3) in a grid as square as can be."""
    header, pixels = re.fullmatch(rb"P6\n(\d+ \d+)\n255\n(.*)", picture.read_bytes(), re.DOTALL).groups()
    width, height = map(int, header.split())
    columns = ceil(sqrt(n))
    assert (width, height) == (size * columns, size * ceil(n / columns))
    grid = np.frombuffer(pixels, np.uint8).reshape(height // size, size, columns, size, 3).swapaxes(1, 2)
    grid = grid.reshape(-1, size, size, 3)
    assert not grid[n:].any()
    return grid[:n]


def eager(view: View, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise, codes (n, D) and images (n, C, H, W)."""
    with torch.no_grad():
        noise = sample_noise(n, view.sampler.noise_dim, seed, view.sampler.noise)
        z = standalone(view.sampler)(noise)
        return noise.numpy(), z.numpy(), standalone(Decode(view.model))(z).numpy()


@pytest.fixture(params=["real", "grey"])
def made(request: pytest.FixtureRequest) -> tuple[Path, View]:
    """Exports of components that ship, and their runs: a bank of codes (uniform noise), and grey images of normal noise."""
    return request.getfixturevalue(f"{request.param}_export"), request.getfixturevalue(f"{request.param}_run")


def same_pictures(app: Command, export: Path, view: View, n: int, seed: int, out: Path, off: float = 1e-5) -> None:
    done = run(app, export, n, seed, out)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    images = eager(view, n, seed)[2].transpose(0, 2, 3, 1)
    # A value that differs by so little may round to the other byte, and no further; a grey picture is three times the same.
    np.testing.assert_allclose(
        tiles(out, n, images.shape[1]), np.broadcast_to(255 * images, (*images.shape[:3], 3)), atol=0.5 + 255 * off
    )


def test_pictures_are_the_eager_models(app: Command, image_export: Path, image_run: View, tmp_path: Path):
    for n, seed in [(1, 0), (11, 2**63 - 1)]:
        same_pictures(app, image_export, image_run, n, seed, tmp_path / "grid.ppm")


def test_pictures_of_what_ships(app: Command, made: tuple[Path, View], tmp_path: Path):
    same_pictures(app, *made, 3, 7, tmp_path / "grid.ppm")


@pytest.mark.full
def test_pictures_of_weights_in_half_the_bits(node: Command, real_run: View, tmp_path: Path):
    folder = tmp_path / "exports"
    export_run(real_run, folder, ["onnx"], Registry(), precision="fp16")
    decoder = read_card(folder).files["decoder.onnx"]
    assert (decoder.precision, decoder.max_abs_diff > 1e-5) == ("fp16", True)
    same_pictures(node, folder, real_run, 3, 7, tmp_path / "grid.ppm", off=2 * decoder.max_abs_diff)


def same_values(images: np.ndarray, z: np.ndarray, view: View, n: int, seed: int) -> None:
    noise, expected_z, expected_images = eager(view, n, seed)
    # A bank is looked up, so its codes are the same bits; sums round, each host in its way.
    looked_up = view.sampler.noise == "uniform"
    np.testing.assert_allclose(z.reshape(expected_z.shape), expected_z, rtol=0, atol=0 if looked_up else 1e-5)
    np.testing.assert_allclose(images.reshape(expected_images.shape), expected_images, rtol=0, atol=1e-5)


def test_values_in_cpp(cpp: Command, made: tuple[Path, View]):
    """What 8-bit pictures do not show: images within 1e-5, codes of a bank to the bit."""
    export, view = made
    found = numbers([*cpp, "values", str(export / "decoder.ts"), "7", str(2**63 - 1)])
    codes = 7 * view.layout.latent_dim
    same_values(found[:-codes], found[-codes:], view, 7, 2**63 - 1)


def test_values_in_node(node: Command, made: tuple[Path, View]):
    """The same, and the bits of the noise."""
    export, view = made
    width, law = view.sampler.noise_dim, view.sampler.noise
    program = of_the_node_program(
        node,
        "values.js",
        f"""
const [draw, decode] = [await open("{export}/sampler.onnx"), await open("{export}/decoder.onnx")];
const noise = noiseOf(7, {width}, 2n ** 63n - 1n, "{law}"), z = await draw(noise, 7), images = await decode(z, 7);
for (const values of [noise, z, images]) process.stdout.write(Buffer.from(values.buffer, values.byteOffset, values.byteLength));
""",
    )
    noise, z, images = np.split(numbers(program), np.cumsum([7 * width, 7 * view.layout.latent_dim]))
    expected = eager(view, 7, 2**63 - 1)[0].reshape(-1)
    np.testing.assert_allclose(noise, expected, rtol=0, atol=0 if law == "uniform" else 1e-6)
    same_values(images, z, view, 7, 2**63 - 1)


def test_the_cpp_program_of_the_page(cpp: Command, real_export: Path, real_run: View):
    assert real_export.name == "exports", "what the page calls it"
    found = subprocess.run(
        [*cpp, "document"], cwd=real_export.parent, capture_output=True, text=True, check=True
    ).stdout
    images = eager(real_run, 16, 7)[2]
    sizes, mean = re.fullmatch(r"\[([\d, ]+)\] (\S+)\n", found).groups()
    assert tuple(map(int, sizes.split(", "))) == images.shape
    assert float(mean) == pytest.approx(images.mean(), abs=1e-5)


def test_the_node_program_of_the_page(node: Command, real_export: Path):
    program = Path(node[1]).with_name("document.js")
    program.write_text(block("js", "Node"), encoding="utf-8")
    done = subprocess.run(["node", program], cwd=real_export.parent, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[ 1, 3, 64, 64 ] true\n", "")


@pytest.mark.full
@pytest.mark.parametrize("heading", ["C++", "Node"])
def test_the_commands_of_the_page(heading: str, real_export: Path, real_run: View, tmp_path: Path):
    """As a reader types them: CMake finds torch by itself, npm brings what package.json names."""
    if heading == "C++":
        needs_compiler()
    elif shutil.which("npm") is None:
        absent("needs npm")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copytree(real_export, tmp_path / "exports")
    for line in block("console", heading).splitlines():
        shell(line.removeprefix("$ "), tmp_path)
    images = eager(real_run, 64, 7)[2].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(tiles(tmp_path / "samples.ppm", 64, 64), 255 * images, atol=0.5 + 255e-5)


@pytest.mark.full
def test_the_cpp_program_of_the_page_stands_alone(real_export: Path, tmp_path: Path):
    """It has every header it needs."""
    needs_compiler()
    folder = shutil.copytree(APPS / "cpp", tmp_path / "cpp")
    (folder / "sample.cpp").write_text(block("cpp", "C++"), encoding="utf-8")
    shell("cmake -B build && cmake --build build", folder)
    assert shell(str(folder / "build" / "sample"), real_export.parent).startswith("[16, 3, 64, 64] ")


def test_only_images_of_1_or_3_channels(app: Command, image_export: Path, tmp_path: Path):
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
    wanted = [case for case in CASES if case["row"] < 100]
    assert len(wanted) >= 20
    program = of_the_node_program(
        node,
        "noise.js",
        f"""
for (const [seed, row] of {json.dumps([[case["seed"], case["row"]] for case in wanted])})
  for (const law of ["uniform", "normal"])
    process.stdout.write(Buffer.from(noiseOf(row + 1, 6, BigInt(seed), law).slice(-6).buffer));
""",
    )
    found = numbers(program).reshape(len(wanted), 2, 6)
    bits = [[f"{value:08x}" for value in row] for row in found[:, 0].view(np.uint32)]
    assert bits == [case["bits"] for case in wanted]
    np.testing.assert_allclose(found[:, 1], [case["normal"] for case in wanted], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "lines"), [("cpp/sample.cpp", 80), ("node/sample.js", 95)])
def test_programs_are_short(name: str, lines: int):
    assert len((APPS / name).read_text(encoding="utf-8").splitlines()) < lines


def test_the_node_program_asks_for_the_version_of_the_page():
    from aerepr.builtin.exporters.web import PACKAGE, VERSION

    described = json.loads((APPS / "node" / "package.json").read_text(encoding="utf-8"))
    assert described["dependencies"] == {PACKAGE: VERSION}


def changed(export: Path, folder: Path, card: dict[str, object]) -> Path:
    shutil.copytree(export, folder)
    (folder / "card.json").write_text(json.dumps(card))
    return folder
