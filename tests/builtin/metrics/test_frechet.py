"""Fréchet distances of a run against the same computed from its samples in NumPy, and what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aerepr.builtin.metrics.frechet import Frechet, FrechetSpec
from aerepr.errors import DataError, RunDirectoryError, ShapeError
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.rundir.layout import RunDirectory
from aerepr.sampling.sample import choose_sampler, decode, draw, encode
from aerepr.spec.read import spec_from_tables
from aerepr.workflows.assemble import open_run
from aerepr.workflows.train import train
from tests.conftest import tiny_tables

linalg = pytest.importorskip("scipy.linalg")


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Path:
    """Another model of the same images, with three latent dimensions."""
    tables = tiny_tables(
        {"name": "npz", "path": str(tiny_data), "images": "images"},
        latent_dim=3,
        encoder={"name": "mlp", "hidden": [8]},
        decoder={"name": "mlp", "hidden": [8]},
    )
    return train(spec_from_tables(tables, registry=Registry()), runs=tmp_path_factory.mktemp("runs"))


def numbers(view: View, **settings: object) -> dict[str, float]:
    with torch.no_grad():
        return Frechet(FrechetSpec.model_validate({"name": "frechet", "rows": 40, **settings})).compute(view)


def images(view: View, rows: int) -> torch.Tensor:
    return torch.cat([batch.first for batch in view.evaluated()])[:rows]


def slow(a: torch.Tensor, b: torch.Tensor) -> float:
    """The distance by the textbook, which is good enough for a few features that vary."""
    a, b = (codes.double().numpy() for codes in (a, b))
    S, T = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(S @ T).real
    return float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(S + T - 2 * root))


def test_a_number_for_reconstructions_and_every_sampler(view):
    found = numbers(view, seed=7)
    x = images(view, 40)
    codes = encode(view, x)
    expected = {"reconstruction": decode(view, codes)}
    for key, name, settings in (
        ("hybrid_variable", "hybrid", {"unit": "variable"}),
        ("hybrid_dimension", "hybrid", {"unit": "dimension"}),
        ("gaussian", "gaussian", {}),
    ):
        _, sampler = choose_sampler(view, name, settings, Registry())
        expected[key] = draw(view, 40, 7, sampler).values
    for key, made in expected.items():
        assert found[f"frechet.{key}@rows=40"] == pytest.approx(slow(codes, encode(view, made)), rel=1e-4)
    assert len(set(found.values())) == len(found)
    assert not [key for key in found if "prior" in key]


def test_other_samples_of_another_seed_and_the_first_rows_of_fewer(view):
    many, other = numbers(view), numbers(view, seed=1)
    assert many["frechet.reconstruction@rows=40"] == other["frechet.reconstruction@rows=40"]
    assert many["frechet.gaussian@rows=40"] != other["frechet.gaussian@rows=40"]
    codes = encode(view, images(view, 15))
    expected = slow(codes, encode(view, decode(view, codes)))
    assert numbers(view, rows=15)["frechet.reconstruction@rows=15"] == pytest.approx(expected, rel=1e-4)


def test_a_vae_has_its_prior_and_one_number_for_both_hybrids(vectors):
    found = numbers(vectors)
    assert "frechet.prior@rows=40" in found
    assert found["frechet.hybrid_variable@rows=40"] == found["frechet.hybrid_dimension@rows=40"]


def test_a_key_without_suffix_is_of_the_default_protocol(vectors, monkeypatch):
    monkeypatch.setattr("aerepr.builtin.metrics.frechet.ROWS", 40)
    assert "frechet.prior" in numbers(vectors)


def test_the_encoder_of_another_run_judges(view, another):
    found = numbers(view, features=str(another))
    judge = open_run(RunDirectory(another))
    x = images(view, 40)
    expected = slow(encode(judge, x), encode(judge, decode(view, encode(view, x))))
    suffix = f"@features={another.name},rows=40"
    assert found[f"frechet.reconstruction{suffix}"] == pytest.approx(expected, rel=1e-4)
    assert all(key.endswith(suffix) for key in found)


def test_the_run_itself_named_as_judge_says_the_same_in_data_units(vectors, tiny_vector_run):
    # Standardised data: the judge is given data units, which it standardises by its own mean and deviation.
    own, named = numbers(vectors), numbers(vectors, features=str(tiny_vector_run))
    assert list(named.values()) == pytest.approx(list(own.values()), rel=1e-5)
    codes = torch.cat([vectors.model.represent(batch) for batch in vectors.evaluated()])[:40]
    drawn = encode(vectors, draw(vectors, 40, 0, vectors.sampler).values)
    assert own["frechet.prior@rows=40"] == pytest.approx(slow(codes, drawn), rel=1e-4)


def test_fewer_rows_than_asked_for_are_refused(view):
    with pytest.raises(DataError, match=r"found 40 rows, expected 2000: .*--set frechet.rows=40"):
        Frechet(FrechetSpec(name="frechet")).compute(view)
    with pytest.raises(DataError, match="rows = 4 are too few for the covariance of 4 features, expected at least 5"):
        numbers(view, rows=4)


def test_a_judge_must_be_a_run_on_such_data(view, tiny_vector_run, tmp_path):
    with pytest.raises(ShapeError, match="shape vector 2, expected image 1x16x16"):
        numbers(view, features=str(tiny_vector_run))
    with pytest.raises(RunDirectoryError, match="not a run directory"):
        numbers(view, features=str(tmp_path))
