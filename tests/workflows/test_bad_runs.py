"""Runs that cannot be opened or continued: one clear message, the right exit code, and nothing changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from aerepr.cli.app import app
from aerepr.errors import RunDirectoryError
from aerepr.rundir import bundle
from aerepr.rundir.bundle import Bundle
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.read import spec_from_tables
from aerepr.workflows.train import train
from tests.conftest import squares, tiny_tables

PARTS = ["model", "objective", "sampler", "codes", "gallery"]


def aerepr(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(code: int, *texts: str, command: tuple[object, ...]) -> None:
    result = aerepr(*command)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for text in texts:
        assert text in result.stderr


def every_product(run: Path) -> list[tuple[object, ...]]:
    """Commands that open a run, with outputs where they cannot be mistaken for part of it."""
    out = run.parent / "out"
    return [
        ("sample", run, "--out", out / "x.npz"),
        ("traverse", run, "--out", out / "x.npz"),
        ("reconstruct", run, "--out", out / "x.npz"),
        ("export", run, "--out", out / "exports"),
    ]


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the tiny run, to be spoilt."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tables = json.loads(path.read_text())
    change(tables)
    path.write_text(json.dumps(tables))


def rewrite_bundle(run: Path, change: Callable[[Bundle], object]) -> None:
    """Change what a bundle says, hashes and all."""
    found = bundle.load(RunDirectory(run))
    change(found)
    bundle.save(RunDirectory(run), found)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x01
    path.write_bytes(content)


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_the_unspoilt_copy_opens(run: Path) -> None:
    for command in every_product(run)[:3]:
        result = aerepr(*command)
        assert result.exit_code == 0, result.output


def test_a_run_without_a_model_yet(run: Path) -> None:
    shutil.rmtree(run / "model")
    (run / "DONE").unlink()
    for command in every_product(run):
        refused(1, str(run), "no model in this run (state: running)", "aerepr train --resume", command=command)
    assert not (run.parent / "out").exists()
    (run / "DONE").touch()
    refused(1, "no model in this run (state: done): the folder is damaged", command=every_product(run)[0])


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("spoil", [flip, truncate, Path.unlink])
def test_a_damaged_bundle(run: Path, part: str, spoil: Callable[[Path], None]) -> None:
    path = run / "model" / f"{part}.safetensors"
    spoil(path)
    what = "missing" if spoil is Path.unlink else "SHA-256 differs"
    refused(1, str(path), what, command=every_product(run)[0])


@pytest.mark.parametrize("file", ["card.json", "spec.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "\udcff", None])
def test_a_damaged_description(run: Path, file: str, text: str | None) -> None:
    path = run / "model" / file
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text.encode(errors="surrogateescape"))
    result = aerepr(*every_product(run)[0])
    assert result.exit_code in (1, 2), result.output
    assert str(run / "model") in result.stderr
    assert result.stderr.startswith("error: ")


@pytest.mark.parametrize("file", ["card.json", "spec.json"])
def test_no_changed_byte_of_a_description_goes_unseen(run: Path, file: str) -> None:
    path = run / "model" / file
    content = path.read_bytes()
    for place in range(0, len(content), 17):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(RunDirectoryError, match="damaged"):
            bundle.load(RunDirectory(run))
    path.write_bytes(content.replace(b'"latent_dim": 4', b'"latent_dim": 5').replace(b'"step": 10', b'"step": 11'))
    assert path.read_bytes() != content
    refused(1, str(path), "SHA-256 differs", command=every_product(run)[0])
    path.write_bytes(content)
    bundle.load(RunDirectory(run))


@pytest.mark.parametrize("key", ["data", "data.kind", "data.sizes", "data.factors"])
def test_a_card_that_lacks_a_key(run: Path, key: str) -> None:
    def drop(found: Bundle) -> None:
        *path, last = key.split(".")
        card = found.card
        for part in path:
            card = card[part]
        del card[last]

    rewrite_bundle(run, drop)
    refused(1, str(run / "model"), "damaged", command=every_product(run)[0])


@pytest.mark.parametrize("file", ["env.json", "spec.resolved.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "\udcff"])
def test_an_unreadable_manifest(run: Path, file: str, text: str) -> None:
    (run / file).write_bytes(text.encode(errors="surrogateescape"))
    (run / "DONE").unlink()
    for command in [("train", "--resume", run), *([every_product(run)[0]] if file == "env.json" else [])]:
        result = aerepr(*command)
        assert result.exit_code in (1, 2), result.output
        assert str(run / file) in result.stderr
        assert result.stderr.startswith("error: ")


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "file").write_text("")
    refused(1, "not a run directory", command=("sample", tmp_path / "out"))
    refused(1, "not a run directory", command=("sample", tmp_path / "file"))
    refused(1, "no run named", command=("sample", tmp_path / "nobody", "--runs", tmp_path / "runs"))
    refused(1, "no runs here", command=("sample", "--runs", tmp_path / "runs"))
    refused(1, "not a run directory", command=("train", "--resume", tmp_path / "out"))


COMPONENTS = [
    (("model", "decoder"), "decoder"),
    (("model", "encoder"), "encoder"),
    (("model", "posterior"), "posterior"),
    (("sampler",), "sampler"),
    (("data",), "dataset"),
]


@pytest.mark.parametrize(("place", "kind"), COMPONENTS, ids=[kind for _, kind in COMPONENTS])
def test_a_run_whose_plugin_is_not_installed_here(run: Path, place: tuple[str, ...], kind: str) -> None:
    def rename(tables: dict[str, Any]) -> None:
        for key in place:
            tables = tables[key]
        tables["name"] = "from-elsewhere"

    rewrite_bundle(run, lambda found: rename(found.spec))
    rewrite(run / "spec.resolved.json", rename)
    (run / "DONE").unlink()
    before = sorted(run.rglob("*"))
    for command in [*every_product(run), ("train", "--resume", run)]:
        refused(2, f'no {kind} named "from-elsewhere"', ".".join(place), "installed: ", command=command)
    assert sorted(run.rglob("*")) == before
    # What only reads files still shows it.
    listed = aerepr("runs", "show", run)
    assert listed.exit_code == 0
    assert "from-elsewhere" in listed.stdout


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run of 10 steps with checkpoints at 2, 4, ..., 10, marked as one that did not end."""
    images, _ = squares(60)
    np.savez(tmp_path / "squares.npz", images=images)
    tables = tiny_tables({"name": "npz", "path": str(tmp_path / "squares.npz"), "images": "images"})
    tables["train"]["checkpoint_every"] = 2
    made = train(spec_from_tables(tables), run=tmp_path / "run")
    shutil.rmtree(made / "model")
    (made / "DONE").unlink()
    return made


@pytest.mark.parametrize("file", ["model.safetensors", "train.safetensors", "state.json"])
@pytest.mark.parametrize("spoil", [flip, truncate, Path.unlink])
def test_a_damaged_checkpoint_is_passed_over_and_named(stopped: Path, file: str, spoil: Callable[[Path], None]) -> None:
    newest = stopped / "checkpoints" / "step-00000010" / file
    if file == "state.json" and spoil is flip:
        newest.write_text(newest.read_text().replace('"sha256"', '"sha257"'))
    else:
        spoil(newest)
    result = aerepr("train", "--resume", stopped)
    assert result.exit_code == 0, result.output
    assert str(newest) in result.stderr
    assert "an earlier checkpoint is used" in result.stderr
    assert "step 8 of 10" in result.stderr
    assert (stopped / "DONE").exists()


def test_no_whole_checkpoint_is_left(stopped: Path) -> None:
    for path in stopped.glob("checkpoints/*/model.safetensors"):
        flip(path)
    refused(1, "no checkpoint is whole", "step-00000010", "step-00000006", command=("train", "--resume", stopped))


def test_data_that_changed_or_is_gone(stopped: Path) -> None:
    data = stopped.parent / "squares.npz"
    data.rename(data.with_suffix(".old"))
    before = sorted(stopped.rglob("*"))
    refused(1, "squares.npz", "found no such file", command=("train", "--resume", stopped))
    assert sorted(stopped.rglob("*")) == before
    np.savez(data, images=squares(50)[0])
    refused(1, "training rows are not those of the checkpoint", command=("train", "--resume", stopped))
    data.with_suffix(".old").rename(data)
    result = aerepr("train", "--resume", stopped)
    assert result.exit_code == 0, result.output


def test_a_run_that_exists(stopped: Path) -> None:
    spec = stopped / "spec.toml"
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    refused(1, str(stopped), "--resume", "--overwrite", command=("train", spec, "--run", stopped))
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before
    other = stopped.parent / "letters"
    other.mkdir()
    (other / "dear.txt").write_text("diary")
    copy = Path(shutil.copy(spec, stopped.parent))
    refused(1, "not a run directory", "leaves it alone", command=("train", copy, "--run", other, "--overwrite"))
    assert (other / "dear.txt").exists()
