"""A page that explores the decoder in a browser: sliders over the latent dimensions, traversals, samples of a seed.

With it the export folder is a whole site: page, ONNX files, `card.json` and the runtime, onnxruntime-web. Any static server
shows it, offline too; nothing is fetched from anywhere else. The runtime is far too large to ship with aerepr, so npm fetches
it once, into the cache; its hash is pinned.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime

from aerepr import atomic
from aerepr.data.cache import cache_directory
from aerepr.errors import AereprError, ExportError, MissingExtra
from aerepr.kinds.exporter import Exported, Exporter
from aerepr.kinds.run import RunView
from aerepr.spec.base import ComponentSpec

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
ARCHIVE = f"{PACKAGE}-{VERSION}.tgz"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="

# File of the site -> file of the npm package. Scripts end in .js, for some servers do not know .mjs for a script.
RUNTIME = {
    "ort.wasm.js": "ort.wasm.bundle.min.mjs",
    "ort.webgpu.js": "ort.webgpu.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
    "ort-wasm-simd-threaded.asyncify.wasm": "ort-wasm-simd-threaded.asyncify.wasm",
}

# The npm package leaves these out; the Python package of the same project has them. File of the site -> file of that package.
LICENSES = {"LICENSE.txt": "LICENSE", "ThirdPartyNotices.txt": "ThirdPartyNotices.txt"}

# Of 33 MB over a slow line.
_FETCH_S = 900


class WebSpec(ComponentSpec):
    """Table of the exporter `web`; it has no settings."""


class MissingRuntime(MissingExtra):
    """onnxruntime-web is not in the cache, and npm did not bring it."""

    def __init__(self, archive: Path, reason: str) -> None:
        AereprError.__init__(
            self,
            f"the page needs {PACKAGE} {VERSION}, which is not in the cache, and {reason}: install Node.js, or put what "
            f"`npm pack {PACKAGE}@{VERSION}` writes on another machine at {archive}",
        )


class WebExporter(Exporter):
    """The page and its runtime; the exporter `onnx` writes what it runs."""

    Spec = WebSpec
    requires = ("onnx",)

    def __init__(self, spec: ComponentSpec) -> None:
        self.spec = spec

    def write(self, run: RunView, folder: Path) -> list[Exported]:
        """`index.html`, a service worker, and the folders `page` and `runtime`.

        Raises:
            MissingRuntime: there is no onnxruntime-web. ExportError: what npm brought, or the cache holds, is another file.
        """
        archive = runtime_archive()
        _copy_tree(files("aerepr.builtin.exporters") / "site", folder)
        (folder / "runtime").mkdir()
        with tarfile.open(archive) as package:
            for name, inside in RUNTIME.items():
                member = package.extractfile(f"package/dist/{inside}")
                assert member is not None, f"the pinned archive holds {inside}"
                with member, (folder / "runtime" / name).open("wb") as target:
                    shutil.copyfileobj(member, target)
        for name, inside in LICENSES.items():
            shutil.copyfile(Path(onnxruntime.__file__).parent / inside, folder / "runtime" / name)
        written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        return [Exported(name, _purpose(name), None, USE if name == "index.html" else "") for name in written]


# By default it prints the address 0.0.0.0, at which browsers allow neither threads nor WebGPU nor hashes.
USE = "python -m http.server --bind 127.0.0.1 in this folder, then open the address it prints"


def runtime_archive() -> Path:
    """The npm package in the cache, fetched if it is not there yet.

    Raises:
        MissingRuntime: npm is not installed, or did not give it. ExportError: it is not the file whose hash is pinned.
    """
    archive = cache_directory() / ARCHIVE
    if not archive.is_file():
        _fetch(archive)
    if _sha512(archive) != SHA512:
        raise ExportError(f"{archive} is not {PACKAGE} {VERSION}, for its SHA-512 differs: remove it and export again")
    return archive


def _fetch(archive: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise MissingRuntime(archive, "npm is not installed to fetch it")
    with TemporaryDirectory() as folder:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--pack-destination", folder]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_FETCH_S, cwd=folder
            )
        except (OSError, subprocess.TimeoutExpired) as cause:
            raise MissingRuntime(archive, f"npm failed ({cause})") from cause
        brought = Path(folder) / ARCHIVE
        if done.returncode or not brought.is_file():
            raise MissingRuntime(archive, f"npm failed ({_reason(done.stderr)})")
        if _sha512(brought) != SHA512:
            raise ExportError(
                f"npm brought another file than {PACKAGE} {VERSION}: its SHA-512 differs from the pinned one"
            )
        with atomic.write_aside(archive) as aside:
            shutil.copyfile(brought, aside)


def _reason(stderr: str) -> str:
    """The first error npm reports, without its codes."""
    errors = [line.removeprefix("npm error").strip() for line in stderr.splitlines() if line.startswith("npm error")]
    return next((line for line in errors if not line.startswith("code")), "it gave no reason")


def _sha512(path: Path) -> str:
    with path.open("rb") as stream:
        return base64.b64encode(hashlib.file_digest(stream, "sha512").digest()).decode()


def _copy_tree(source: Traversable, target: Path) -> None:
    for item in source.iterdir():
        if item.is_dir():
            (target / item.name).mkdir()
            _copy_tree(item, target / item.name)
        else:
            (target / item.name).write_bytes(item.read_bytes())


def _purpose(name: str) -> str:
    if name == "index.html":
        return "a page with sliders, traversals and samples, for a browser"
    if Path(name).name in LICENSES:
        return f"licence of {PACKAGE} and of what it contains"
    return f"{PACKAGE} {VERSION}, which the page runs" if name.startswith("runtime/") else "part of the page"
