from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import aerepr
from aerepr.errors import DataError, RunDirectoryError, SpecError, UsageError
from aerepr.registry.registry import Registry
from aerepr.workflows.assemble import open_source
from aerepr.workflows.load import Run


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return aerepr.load(tiny_run)


@pytest.fixture(scope="module")
def vectors(tiny_vector_run: Path) -> Run:
    return aerepr.load(tiny_vector_run)


def test_what_a_run_says_of_itself(run, tiny_run):
    assert run.path == tiny_run
    assert run.spec.name == "tiny"
    assert run.layout.sizes == [2, 2]
    assert (run.codes.shape, run.codes.dtype) == ((140, 4), np.float32)
    assert run.gallery.shape == (10, 16, 16, 1)
    assert "image 1x16x16, 4 latent dimensions" in repr(run)


def test_codes_represent_the_training_examples_without_noise(vectors):
    source = open_source(vectors.spec.data, Path.cwd(), Registry())
    with np.load(vectors.spec.data.path) as file:
        values = file["values"]
    rows = source.rows("train")
    assert len(rows) == len(vectors.codes) == 140
    assert_allclose(vectors.codes, vectors.encode(values[rows]), rtol=1e-4, atol=1e-5)
    assert np.abs(vectors.codes - vectors.encode(values[source.rows("test")[:1]])).max() > 0.01


def test_codes_and_gallery_are_copies(run):
    run.codes[:] = 0
    run.gallery[:] = 7
    assert np.abs(run.codes).max() > 0
    assert run.gallery.max() <= 1


def test_images_go_round(run):
    images = run.gallery
    z = run.encode(images)
    assert (z.shape, z.dtype) == ((10, 4), np.float32)
    out = run.decode(z)
    assert (out.shape, out.dtype) == ((10, 16, 16, 1), np.float32)
    assert out.min() >= 0
    assert out.max() <= 1
    assert_array_equal(run.reconstruct(images), out)
    assert_allclose(run.encode(np.rint(images * 255).astype(np.uint8)), z, rtol=1e-4, atol=1e-6)


def test_vectors_are_in_data_units(vectors):
    out = vectors.reconstruct([[10.0, 5.0], [11.0, 0.0]])
    assert out.shape == (2, 2)
    assert (np.abs(out[:, 0] - 10) < 4).all()  # standardised values would be near 0
    assert vectors.gallery.shape == (0, 2)


def test_samples(run):
    assert_array_equal(run.sample(4, 1), run.sample(4, 1))
    assert_allclose(run.sample(2, 1), run.sample(4, 1)[:2], atol=1e-6)
    assert run.sample().shape == (64, 16, 16, 1)
    assert not np.array_equal(run.sample(4, 1), run.sample(4, 1, "hybrid", {"unit": "dimension"}))
    # The seed of the bank is not that of the draw.
    banks = [run.sample(4, 1, "hybrid", {"size": 4, "seed": seed}) for seed in (0, 1)]
    assert not np.array_equal(*banks)


def test_traversals(run):
    rows = run.traverse(steps=3)
    assert [(row.label, row.z.shape, row.values.shape) for row in rows] == [
        ("z1", (3, 4), (3, 16, 16, 1)),
        ("z2", (3, 4), (3, 16, 16, 1)),
    ]
    assert_allclose(rows[0].z[0, 2:], run.encode(run.gallery[:1])[0, 2:], rtol=1e-4)
    assert_allclose(run.traverse(base=2, steps=3)[0].z[0, 2:], run.encode(run.gallery[2:3])[0, 2:], rtol=1e-4)


def test_what_is_refused(run):
    with pytest.raises(DataError, match="z: found codes of 3 numbers, expected 4"):
        run.decode(np.zeros((2, 3)))
    with pytest.raises(UsageError, match="n: expected"):
        run.sample(0)
    with pytest.raises(SpecError, match="unknown setting; there are: steps"):
        run.traverse(stops=3)
    with pytest.raises(UsageError, match="at least one format"):
        run.export(to=[])


def test_runs_that_are_not_there(tmp_path):
    with pytest.raises(RunDirectoryError, match="no runs"):
        aerepr.load(runs=tmp_path)
    with pytest.raises(RunDirectoryError, match=tmp_path.name):
        aerepr.load(tmp_path)


def test_public_names_are_lazy():
    code = (
        "import sys, aerepr; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules); "
        "assert aerepr.__version__; assert set(aerepr.__all__) <= set(dir(aerepr)); "
        "assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {name: callable(getattr(aerepr, name)) for name in ("train", "load", "load_decoder")} == {
        "train": True,
        "load": True,
        "load_decoder": True,
    }
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = aerepr.lode
    assert (Path(aerepr.__file__).parent / "py.typed").is_file()
