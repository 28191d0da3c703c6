"""Every example spec is valid, checked as it stands, and trained for a few steps at a small size.

Specs that name files get stand-ins: small files in the published layout, in a folder of the test's own.
"""

from __future__ import annotations

import importlib.util
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aerepr.registry.registry import Registry
from aerepr.spec.read import read_spec, spec_from_tables
from aerepr.spec.write import to_toml
from aerepr.workflows.assemble import check_spec, open_source
from aerepr.workflows.train import train
from tests.builtin.datasets.building import pixels, write_idx
from tests.builtin.datasets.published_files import small_files

EXAMPLES = Path(__file__).parents[1] / "examples"
SPECS = sorted(path.name for path in EXAMPLES.glob("*.toml"))

# Where the size of images is a setting; and a few of the many rows that aerepr draws, all of which would be validated on.
SMALL = {
    "rooms": ["data.size=16", "data.subset.floor_hue=[0]", "data.subset.wall_hue=[0]"],
    "sprites": ["data.size=16", "data.subset.scale=[0]", "data.subset.orientation=[0]"],
    "image_folder": ["data.size=32"],
}


def mnist(folder: Path) -> None:
    write_idx(folder / "t10k-images-idx3-ubyte.gz", pixels(500, 28, 28))
    write_idx(folder / "t10k-labels-idx1-ubyte.gz", np.arange(500) % 10)


def photos(folder: Path) -> None:
    for number, picture in enumerate(pixels(60, 96, 128, 3)):
        (folder / "photos" / f"class{number % 3}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / "photos" / f"class{number % 3}" / f"{number}.jpg")


def published(folder: Path) -> None:
    small_files(folder / "published", rows=240)


def nothing(folder: Path) -> None:
    """For specs whose data is in the repository, or drawn."""


FILES: dict[str, Callable[[Path], None]] = {
    "vae_mnist.toml": mnist,
    "sae_mnist.toml": mnist,
    "photos_128.toml": photos,
    "shapes3d.toml": published,
    "dsprites.toml": published,
    "mpi3d.toml": published,
}


# What a stand-in cannot have at full size.
STAND_IN = {name: ["data.subset_file=true"] for name, write in FILES.items() if write is published}


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """An example in a folder where the files it names are, or beside the folder of published files."""
    monkeypatch.setenv("AEREPR_DATA", str(tmp_path / "published"))

    def copy(name: str) -> Path:
        shutil.copytree(EXAMPLES / "data", tmp_path / "data")
        FILES.get(name, nothing)(tmp_path)
        return Path(shutil.copy(EXAMPLES / name, tmp_path))

    return copy


def shortened(path: Path) -> list[str]:
    """Overrides that make a spec train in a moment."""
    tables = tomllib.loads(path.read_text())
    sets = ["train.steps=3", "train.batch_size=8", "train.device=cpu", "data.gallery=4"]
    sets += ["model.encoder.width=8", "model.decoder.width=8"]
    if tables.get("sampler", {}).get("name") == "hybrid":
        sets.append("sampler.size=16")
    return sets + SMALL.get(tables["data"]["name"], [])


def test_there_are_examples() -> None:
    assert len(SPECS) >= 11
    assert set(FILES) <= set(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_it_passes_check_as_it_stands(copied: Callable[[str], Path], name: str) -> None:
    path = copied(name)
    spec = read_spec(path, STAND_IN.get(name, []))
    registry = Registry()
    assert spec_from_tables(tomllib.loads(to_toml(spec.tables()))) == spec
    report = check_spec(spec, open_source(spec.data, path.parent, registry), registry, name)
    assert report.problems == []
    assert path.read_text().startswith("# "), "an example begins by saying what it is for"


@pytest.mark.parametrize("name", SPECS)
def test_it_trains(copied: Callable[[str], Path], name: str) -> None:
    path = copied(name)
    run = train(path, sets=shortened(path) + STAND_IN.get(name, []), runs=path.parent / "runs")
    assert (run / "DONE").exists()
    assert (run / "model" / "card.json").exists()
    assert (run / "checkpoints" / "last").read_text().strip() == "step-00000003"


def test_the_table_is_the_one_its_script_computes() -> None:
    location = importlib.util.spec_from_file_location("make_torus", EXAMPLES / "data" / "make_torus.py")
    module = importlib.util.module_from_spec(location)
    location.loader.exec_module(module)
    stored = (EXAMPLES / "data" / "torus.csv").read_text()
    assert len(stored) < 50_000
    assert stored.splitlines()[0] == module.table().splitlines()[0]
    found, computed = (
        np.genfromtxt(text.splitlines(), delimiter=",", skip_header=1) for text in (stored, module.table())
    )
    # The last digit may differ where another machine's cosine does.
    np.testing.assert_allclose(found, computed, atol=2e-4)


def test_the_table_is_a_torus_with_its_normals() -> None:
    values = np.genfromtxt(EXAMPLES / "data" / "torus.csv", delimiter=",", skip_header=1)
    assert values.shape == (600, 7)
    ring = np.hypot(values[:, 0], values[:, 1])
    np.testing.assert_allclose(np.hypot(ring - 1, values[:, 2]), 0.4, atol=0.1)
    np.testing.assert_allclose(np.linalg.norm(values[:, 3:6], axis=1), 1.0, atol=0.1)
    assert set(values[:, 6]) == {0, 1, 2, 3}
