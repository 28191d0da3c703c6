"""The page's files: all there, of the pinned runtime, with its licences; what is missing or wrong is said in one line."""

from __future__ import annotations

import os
import re
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from aerepr.builtin.exporters import web
from aerepr.builtin.exporters.web import MissingRuntime, WebExporter, WebSpec, runtime_archive
from aerepr.errors import ExportError
from aerepr.export.card import read_card
from aerepr.export.load import load_decoder
from aerepr.export.write import OURS, export_run
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from tests.environments import absent

PAGE = {
    "index.html",
    "isolate.js",
    *(
        f"page/{name}"
        for name in ("app.js", "decoder.js", "engine.js", "noise.js", "paint.js", "style.css", "worker.js")
    ),
}
RUNTIME = {f"runtime/{name}" for name in (*web.RUNTIME, *web.LICENSES)}


@pytest.fixture(scope="module")
def archive() -> Path:
    try:
        return runtime_archive()
    except MissingRuntime as cause:
        absent(str(cause))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with nothing in it."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("AEREPR_CACHE", str(folder))
    return folder


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `npm`, to be written, and no other: nothing is fetched from anywhere."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin{os.pathsep}/usr/bin")
    monkeypatch.setattr(web.shutil, "which", lambda name: shutil_which(name, folder))
    return folder / "npm"


def shutil_which(name: str, folder: Path) -> str | None:
    return str(folder / name) if (folder / name).is_file() else None


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_files(archive: Path, image_run: View, tmp_path: Path):
    exported = WebExporter(WebSpec(name="web")).write(image_run, tmp_path)
    assert {item.file for item in exported} == PAGE | RUNTIME
    assert all(OURS.fullmatch(item.file) for item in exported)
    assert {item.max_abs_diff for item in exported} == {None}
    assert all(item.purpose for item in exported)
    assert [item.file for item in exported if item.use] == ["index.html"]
    assert "Microsoft" in (tmp_path / "runtime" / "LICENSE.txt").read_text()
    assert (tmp_path / "runtime" / "ThirdPartyNotices.txt").stat().st_size > 100_000
    assert (tmp_path / "runtime" / "ort-wasm-simd-threaded.wasm").read_bytes()[:4] == b"\0asm"


def test_with_its_model(archive: Path, image_run: View, tmp_path: Path):
    """The formats the page runs come with it, and Python reads the same folder."""
    answer = export_run(image_run, tmp_path / "exports", ["web"], Registry())
    models = {"decoder.onnx", "sampler.onnx"}
    assert PAGE | RUNTIME | models <= set(answer["files"])
    assert models <= set(answer["max_abs_diff"])
    assert not (PAGE | RUNTIME) & set(answer["max_abs_diff"])
    assert read_card(tmp_path / "exports").files["index.html"].exporter == "web"
    assert load_decoder(tmp_path / "exports").sample(1).shape == (1, 3, 8, 8)


def test_parts_are_refused(image_run: View, tmp_path: Path):
    with pytest.raises(ExportError, match="web: is of decoder and sampler together: leave the parts out"):
        export_run(image_run, tmp_path / "exports", ["web"], Registry(), parts=["decoder"])


def test_the_page_names_no_other_host():
    for path in (files("aerepr.builtin.exporters") / "site").iterdir():
        for file in path.iterdir() if path.is_dir() else [path]:
            assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", file.read_text(encoding="utf-8")), file.name


def test_without_npm(cache: Path, npm: Path):
    with pytest.raises(MissingRuntime) as caught:
        runtime_archive()
    assert "npm is not installed to fetch it: install Node.js, or put what `npm pack onnxruntime-web@" in str(
        caught.value
    )
    assert str(cache / web.ARCHIVE) in str(caught.value)


def test_npm_fails(cache: Path, npm: Path):
    program(
        npm,
        "echo 'npm warn something' >&2; echo 'npm error code ENOTFOUND' >&2; echo 'npm error no network' >&2; exit 1",
    )
    with pytest.raises(MissingRuntime, match=r"npm failed \(no network\)"):
        runtime_archive()
    assert not cache.exists()


def test_npm_brings_something_else(cache: Path, npm: Path):
    program(npm, f'for last; do :; done; echo other > "$last/{web.ARCHIVE}"')
    with pytest.raises(ExportError, match="npm brought another file than onnxruntime-web"):
        runtime_archive()
    assert not cache.exists()


def test_npm_is_asked_once(archive: Path, cache: Path, npm: Path, tmp_path: Path):
    program(npm, f'for last; do :; done; echo asked >> "{tmp_path}/asked"; cp "{archive}" "$last/{web.ARCHIVE}"')
    for _ in range(2):
        assert runtime_archive() == cache / web.ARCHIVE
    assert (tmp_path / "asked").read_text() == "asked\n"
    assert [path.name for path in cache.iterdir()] == [web.ARCHIVE]


def test_a_damaged_archive_is_refused(archive: Path, cache: Path):
    cache.mkdir()
    shutil.copy(archive, cache)
    with (cache / web.ARCHIVE).open("r+b") as file:
        file.write(b"x")
    with pytest.raises(ExportError, match="its SHA-512 differs: remove it and export again"):
        runtime_archive()


def test_all_formats_without_npm_are_the_others(cache: Path, npm: Path, image_run: View, tmp_path: Path):
    answer = export_run(image_run, tmp_path / "exports", ["web"], Registry(), skip_unavailable=True)
    assert set(answer["skipped"]) == {"web"}
    assert answer["skipped"]["web"].startswith("the page needs onnxruntime-web")
    assert {"decoder.onnx", "sampler.onnx", "card.json"} <= set(answer["files"])
    assert "index.html" not in answer["files"]
