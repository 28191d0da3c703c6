from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from aerepr.errors import DataError, RunDirectoryError, ShapeError, SpecError, UnknownComponent, UsageError
from aerepr.spec.write import to_toml
from aerepr.workflows import products
from aerepr.workflows.load import load
from aerepr.workflows.train import train
from tests.conftest import tiny_tables


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may write products into."""
    return Path(shutil.copytree(tiny_run, tmp_path / "runs" / "tiny" / tiny_run.name))


@pytest.fixture
def vectors(tiny_vector_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_vector_run, tmp_path / "runs" / "tiny-vectors" / tiny_vector_run.name))


def picture(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def test_a_sample_is_a_grid_in_the_run(run):
    done = products.sample(run, n=9)
    assert done == {
        "run": str(run),
        "out": str(run / "samples" / "hybrid-seed0.png"),
        "sampler": "hybrid",
        "n": 9,
        "seed": 0,
    }
    json.dumps(done)
    pixels = picture(done["out"])
    assert pixels.shape == (3 * 98 + 2, 3 * 98 + 2, 3)
    first = pixels[2:98:6, 2:98:6, 0]
    assert_array_equal(first, np.rint(load(run).sample(9)[0, ..., 0] * 255))


def test_a_run_is_found_by_name_and_as_the_newest(run):
    runs = run.parents[1]
    assert products.sample("tiny", runs=runs, n=1)["run"] == str(run)
    assert products.sample(runs=runs, n=1, seed=5)["out"] == str(run / "samples" / "hybrid-seed5.png")


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_samples_as_numbers(run, tmp_path, suffix):
    out = tmp_path / f"a{suffix}"
    products.sample(run, n=3, seed=1, out=out)
    if suffix == ".npz":
        found = dict(np.load(out, allow_pickle=False))
    else:
        with h5py.File(out) as archive:
            found = {key: value[:] for key, value in archive.items()}
    assert {key: (value.dtype.name, value.shape) for key, value in found.items()} == {
        "images": ("uint8", (3, 16, 16, 1)),
        "z": ("float32", (3, 4)),
        "noise": ("float32", (3, 2)),
    }
    opened = load(run)
    assert_array_equal(found["images"], np.rint(opened.decode(found["z"]) * 255))
    assert_allclose(opened.sample(3, 1), opened.decode(found["z"]), atol=1e-6)


def test_a_product_replaces_the_older_one_and_nothing_else(run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    products.sample(run, n=4)
    first = (run / "samples" / "hybrid-seed0.png").read_bytes()
    products.sample(run, n=4, sets=["unit=dimension"])
    assert (run / "samples" / "hybrid-seed0.png").read_bytes() != first
    assert [path.name for path in (run / "samples").iterdir()] == ["hybrid-seed0.png"]
    assert all(path.read_bytes() == content for path, content in before.items())


def test_another_sampler_with_settings(run, tmp_path):
    done = products.sample(run, sampler="gaussian", n=50, out=tmp_path / "a.npz", sets=["diagonal=true"])
    assert done["sampler"] == "gaussian"
    codes = load(run).codes
    found = np.load(tmp_path / "a.npz")
    assert_allclose(found["z"], codes.mean(axis=0) + found["noise"] * codes.std(axis=0, ddof=1), rtol=1e-3, atol=1e-6)


def test_vectors_of_two_features_have_a_scatter_plot(vectors):
    done = products.sample(vectors, n=20)
    assert done["out"].endswith("prior-seed0.png")
    assert picture(done["out"]).shape == (720, 720, 3)
    assert picture(products.traverse(vectors, name="dimensions")["out"]).shape == (720, 720, 3)


def test_data_without_a_picture_goes_to_numbers(vectors, monkeypatch):
    monkeypatch.setattr("aerepr.sampling.pictures.can_picture", lambda shape: False)
    assert products.sample(vectors, n=2)["out"] == str(vectors / "samples" / "prior-seed0.npz")
    with pytest.raises(UsageError, match=r"no picture of data that is a vector 2.*--out FILE\.npz"):
        products.sample(vectors, n=2, out="a.png")


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"n": 0}, UsageError, "n: expected"),
        ({"seed": -1}, UsageError, "seed: expected"),
        ({"out": "a.gif"}, UsageError, r"\.png, \.npz or \.h5"),
        ({"sampler": "hibrid"}, UnknownComponent, 'did you mean "hybrid"'),
        ({"sampler": "prior"}, UsageError, 'not trained towards a prior.*use "hybrid"'),
        ({"sets": ["sise=3"]}, SpecError, "unknown setting; there are: seed, size, unit"),
        ({"sets": ["size"]}, UsageError, "expected key=value"),
        ({"run": "gone"}, RunDirectoryError, 'no run named "gone"'),
    ],
)
def test_samples_that_cannot_be_meant(tiny_run, asked, error, message):
    with pytest.raises(error, match=message):
        products.sample(**{"run": tiny_run, "runs": tiny_run.parents[1], **asked})


def test_a_traversal_is_a_row_for_each_variable(run):
    done = products.traverse(run, sets=["steps=5"])
    assert (done["traversal"], done["labels"]) == ("variables", ["z1", "z2"])
    assert done["out"] == str(run / "traversals" / "variables.png")
    pixels = picture(done["out"])
    assert pixels.shape[0] == 2 * 98 + 2
    rows = load(run).traverse("variables", steps=5)
    cells = pixels[:, -5 * 98 :]
    for number, row in enumerate(rows):
        last = cells[2 + 98 * number :: 6, 4 * 98 :: 6, 0][:16, :16]
        assert_array_equal(last, np.rint(row.values[-1, ..., 0] * 255))


def test_a_traversal_as_numbers(run, tmp_path):
    products.traverse(run, name="chunks", base=3, out=tmp_path / "a.npz", sets=["chunks=2", "steps=3"])
    found = np.load(tmp_path / "a.npz", allow_pickle=False)
    assert found["path"].tolist() == [0, 0, 0, 1, 1, 1]
    assert found["labels"].tolist() == ["z1", "z2"]
    assert found["images"].shape == (6, 16, 16, 1)
    base = load(run).encode(load(run).gallery[3:4])
    assert_allclose(found["z"][:3, 2:], np.repeat(base[:, 2:], 3, axis=0), rtol=1e-5)


def test_traversals_that_cannot_be_meant(tiny_run):
    with pytest.raises(UnknownComponent, match="no traversal"):
        products.traverse(tiny_run, name="nope")
    with pytest.raises(UsageError, match="base: expected a number from 0 to 9"):
        products.traverse(tiny_run, base=10)
    with pytest.raises(ShapeError, match="2 variables do not make 4 chunks"):
        products.traverse(tiny_run, name="chunks")


def test_a_traversal_from_data_of_ones_own(run, tmp_path):
    opened = load(run)
    x = opened.gallery[[4, 1]]
    np.save(tmp_path / "mine.npy", x)
    products.traverse(run, name="chunks", data=tmp_path / "mine.npy", base=1, out=tmp_path / "a.npz", sets=["chunks=2"])
    found = np.load(tmp_path / "a.npz", allow_pickle=False)
    expected = opened.encode(x[1:])
    assert_allclose(found["z"][:7, 2:], np.repeat(expected[:, 2:], 7, axis=0), rtol=1e-5)
    rows = opened.traverse("chunks", base=1, x=x, chunks=2)
    assert_allclose(np.concatenate([row.z for row in rows]), found["z"], rtol=1e-5)
    with pytest.raises(UsageError, match="base: expected a number from 0 to 1, got 2: the data holds 2 examples"):
        products.traverse(run, data=tmp_path / "mine.npy", base=2)
    with pytest.raises(DataError, match="no such file"):
        products.traverse(run, data=tmp_path / "absent.npy")


def test_a_traversal_that_moves(run, vectors, tmp_path):
    done = products.traverse(run, out=tmp_path / "a.gif", sets=["steps=5"])
    rows = load(run).traverse("variables", steps=5)
    with Image.open(done["out"]) as moving:
        assert (moving.format, moving.n_frames, moving.info["loop"]) == ("GIF", 5, 0)
        for number in range(5):
            moving.seek(number)
            cells = np.asarray(moving.convert("L"))[:, -98:]
            for place, row in enumerate(rows):
                shown = cells[2 + 98 * place :: 6, ::6][:16, :16]
                assert_allclose(shown, np.rint(row.values[number, ..., 0] * 255), atol=3)
    with pytest.raises(UsageError, match="a picture that moves is of images, and this run is of a vector 2"):
        products.traverse(vectors, out=tmp_path / "b.gif")
    with pytest.raises(UsageError, match=r"expected a file that ends in \.png, \.npz, \.h5 or \.gif"):
        products.traverse(run, out=tmp_path / "c.jpg")


def test_reconstructions_stand_below_their_originals(run):
    done = products.reconstruct(run)
    assert (done["out"], done["n"]) == (str(run / "reconstructions" / "gallery.png"), 10)
    cells = picture(done["out"])[:, -10 * 98 :]
    opened = load(run)
    gallery = opened.gallery
    for top, images in ((2, gallery), (100, opened.reconstruct(gallery))):
        third = cells[top::6, 2 * 98 :: 6, 0][:16, :16]
        assert_array_equal(third, np.rint(images[2, ..., 0] * 255))


def test_reconstructions_of_data(run, tiny_data, tmp_path):
    done = products.reconstruct(run, data=tiny_data, out=tmp_path / "a.npz")
    found = np.load(tmp_path / "a.npz")
    assert done["n"] == 200
    assert_array_equal(found["originals"], np.load(tiny_data)["images"])
    assert_array_equal(found["images"], np.rint(load(run).decode(found["z"]) * 255))
    Image.new("L", (40, 40), 90).save(tmp_path / "one.png")
    assert products.reconstruct(run, data=tmp_path / "one.png")["out"] == str(run / "reconstructions" / "one.png")
    with pytest.raises(DataError, match="no such file"):
        products.reconstruct(run, data=tmp_path / "two.png")


def test_without_a_gallery_data_must_be_given(vectors, tmp_path):
    with pytest.raises(UsageError, match=r"gallery = 0.*give a file"):
        products.reconstruct(vectors)
    np.save(tmp_path / "a.npy", np.array([[10.0, 5.0], [11.0, 0.0]]))
    assert products.reconstruct(vectors, data=tmp_path / "a.npy")["n"] == 2


def test_codes_of_a_split_come_with_their_factors(run, tiny_data, tmp_path):
    done = products.encode(run, out=tmp_path / "codes.npz")
    assert (done["n"], done["latent_dim"], done["factors"]) == (40, 4, ["column", "row", "width"])
    json.dumps(done)
    found, source = np.load(tmp_path / "codes.npz", allow_pickle=False), np.load(tiny_data)
    assert_array_equal(found["factors"], source["factors"][found["rows"]])
    assert_allclose(found["codes"], load(run).encode(source["images"][found["rows"]]), rtol=1e-4, atol=1e-5)
    assert products.encode(run, split="valid", out=tmp_path / "codes.npz")["n"] == 20


def test_codes_of_data(run, tiny_data, tmp_path):
    done = products.encode(run, data=tiny_data, out=tmp_path / "codes.h5")
    assert (done["n"], done["factors"]) == (200, [])
    with h5py.File(tmp_path / "codes.h5") as archive:
        assert list(archive) == ["codes"]


def test_codes_of_a_data_set_that_moved(tiny_data, tmp_path):
    (tmp_path / "here").mkdir()
    shutil.copy(tiny_data, tmp_path / "here" / "squares.npz")
    tables = tiny_tables({"name": "npz", "path": "squares.npz", "images": "images", "factors": "factors"})
    (tmp_path / "here" / "spec.toml").write_text(to_toml(tables), encoding="utf-8")
    run = train(tmp_path / "here" / "spec.toml", runs=tmp_path / "runs")
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(DataError, match="pass --folder DIR"):
        products.encode(run, out=tmp_path / "codes.npz")
    assert products.encode(run, out=tmp_path / "codes.npz", folder=tmp_path / "there")["n"] == 40


def test_codes_that_cannot_be_meant(tiny_run, tmp_path):
    with pytest.raises(UsageError, match='split: expected train, valid, test, got "tset"'):
        products.encode(tiny_run, split="tset", out=tmp_path / "a.npz")
    with pytest.raises(UsageError, match=r"ends in \.npz or \.h5"):
        products.encode(tiny_run, out=tmp_path / "a.png")
    np.save(tmp_path / "a.npy", np.zeros((2, 8, 8, 1)))
    with pytest.raises(ShapeError, match=r"expected \(n, 16, 16, 1\)"):
        products.encode(tiny_run, data=tmp_path / "a.npy", out=tmp_path / "a.npz")


def test_what_was_encoded_can_be_decoded(run, tmp_path):
    products.encode(run, out=tmp_path / "codes.npz")
    done = products.decode(tmp_path / "codes.npz", run)
    assert (done["out"], done["n"]) == (str(run / "samples" / "decoded-codes.png"), 40)
    products.decode(tmp_path / "codes.npz", run, out=tmp_path / "x.npz")
    assert_array_equal(np.load(tmp_path / "x.npz")["z"], np.load(tmp_path / "codes.npz")["codes"])
    np.save(tmp_path / "wide.npy", np.zeros((1, 5)))
    with pytest.raises(DataError, match="codes of 5 numbers, expected 4"):
        products.decode(tmp_path / "wide.npy", run)


def test_an_export_can_be_loaded(run):
    done = products.export(run, to=["torchscript"], sampler="gaussian", sets=["diagonal=true"])
    assert done["out"] == str(run / "exports")
    json.dumps(done)
    from aerepr import load_decoder

    decoder = load_decoder(run / "exports", trust=True, format="torchscript")
    assert decoder.card.sampler.name == "gaussian"
    assert_allclose(
        decoder.sample(3).transpose(0, 2, 3, 1),
        load(run).sample(3, sampler="gaussian", settings={"diagonal": True}),
        atol=1e-5,
    )


def test_exports_that_cannot_be_meant(tiny_run):
    with pytest.raises(UnknownComponent, match='no exporter named "onx"'):
        products.export(tiny_run, to=["onx"])
    with pytest.raises(UsageError, match="at least one format"):
        products.export(tiny_run, to=[])


def test_products_need_the_run_directory_alone(run, tiny_data, monkeypatch):
    monkeypatch.setattr("aerepr.workflows.assemble.open_source", None)
    products.sample(run, n=1)
    products.traverse(run)
    products.reconstruct(run)
