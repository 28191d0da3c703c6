"""The pinwheel's law, its three draws, and a run on it that every metric of the package is asked about.

Shape letters: N rows.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import aerepr
from aerepr.conformance.run import check_component
from aerepr.data.source import DataSource
from aerepr.errors import DataError, UsageError
from aerepr.kinds.dataset import DataContext
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables
from aerepr.workflows.load import Run
from aerepr.workflows.train import train

METRICS = [entry.name for entry in Registry().entries("metric") if entry.package == "aerepr-decomposition"]


def source(tmp_path: Path, **fields: Any) -> DataSource:
    component = Registry().load("dataset", "pinwheel")
    spec = component.Spec(name="pinwheel", **fields)
    return DataSource(component(spec, DataContext(folder=tmp_path, cache=tmp_path)), spec)


@pytest.mark.parametrize(("kind", "name"), [("dataset", "pinwheel"), *(("metric", name) for name in METRICS)])
def test_conforms(kind: str, name: str) -> None:
    results = check_component(kind, name, Registry())
    assert [f"{result.check}: {result.message}" for result in results if not result.passed] == []


def test_it_is_four_arms_of_a_hundred_points_for_each_split(tmp_path: Path) -> None:
    data = source(tmp_path)
    rows = {split: data.rows(split) for split in ("train", "valid", "test")}
    assert {split: len(found) for split, found in rows.items()} == {"train": 400, "valid": 400, "test": 400}
    assert sorted(np.concatenate(list(rows.values()))) == list(range(1200))
    assert data.dataset.factors.names == ("arm",)
    for found in rows.values():
        assert (np.bincount(data.dataset.factors.classes[found, 0]) == 100).all()
    points = {split: data.examples(found).numpy() for split, found in rows.items()}
    assert str(data.info.shape) == "vector 2"
    assert not np.array_equal(points["train"], points["test"])
    assert np.array_equal(points["train"], source(tmp_path, split_seed=1).examples(rows["train"]).numpy())
    assert not np.array_equal(points["train"], source(tmp_path, points_seed=1).examples(rows["train"]).numpy())


def test_points_follow_the_law(tmp_path: Path) -> None:
    data = source(tmp_path, points=4000)
    rows = data.rows("train")
    x_N, y_N = data.examples(rows).numpy().astype(np.float64).T
    arm_N = data.dataset.factors.classes[rows, 0]
    # Turned back by its own angle, a point is (r, w); the angle follows from r, which is close to the distance at first.
    r_N, before_N, w_N = np.hypot(x_N, y_N), x_N, y_N
    for _ in range(200):
        theta_N = math.pi / 2 * arm_N + 0.25 * np.exp(r_N)
        before_N, w_N = r_N, x_N * np.sin(theta_N) + y_N * np.cos(theta_N)
        r_N = x_N * np.cos(theta_N) - y_N * np.sin(theta_N)
    # Far out, where the angle runs fast, r does not come to rest: of few points.
    settled_N = np.abs(r_N - before_N) < 1e-6
    assert settled_N.mean() > 0.98
    assert stats.kstest((r_N[settled_N] - 1) / 0.3, "norm").statistic < 0.02
    assert stats.kstest(w_N[settled_N] / 0.1, "norm").statistic < 0.02


def test_arms_are_a_quarter_turn_apart(tmp_path: Path) -> None:
    data = source(tmp_path, points=2000)
    rows = data.rows("train")
    points_N2, arm_N = data.examples(rows).numpy(), data.dataset.factors.classes[rows, 0]
    centres = np.stack([points_N2[arm_N == arm].mean(axis=0) for arm in range(4)])
    # theta turns a point clockwise.
    turned = centres @ np.array([[0.0, -1.0], [1.0, 0.0]])
    np.testing.assert_allclose(centres[[1, 2, 3, 0]], turned, atol=0.03)


# A run.


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A VAE with the mixture prior, trained for a moment."""
    tables = {
        "name": "pinwheel",
        "model": {
            "latent_dim": 2,
            "encoder": {"name": "mlp", "hidden": [16]},
            "decoder": {"name": "mlp", "hidden": [16]},
            "posterior": {"name": "gaussian"},
            "prior": {"name": "gaussian_mixture"},
            "likelihood": {"name": "gaussian", "learned": "per_value"},
            "regularizers": [{"name": "kl"}, {"name": "aggregate_inclusive_kl", "weight": 2.0}],
        },
        "data": {"name": "pinwheel"},
        "train": {
            "steps": 5,
            "batch_size": 400,
            "device": "cpu",
            "log_every": 5,
            "validate_every": 5,
            "checkpoint_every": 5,
        },
        "sampler": {"name": "prior"},
    }
    return aerepr.load(train(spec_from_tables(tables), run=tmp_path_factory.mktemp("pinwheel") / "run"))


def test_a_run_answers_every_metric_of_structure(run: Run) -> None:
    asked = [name for name in METRICS if name != "kim_mnih_2018"]
    found = run.evaluate(asked, rows=None)
    assert np.isfinite(list(found.values())).all()
    assert {key.partition(".")[0] for key in found} == set(asked)
    assert found["iwae_log_likelihood.score"] >= found["iwae_log_likelihood.elbo"]
    # The codes of one seed are the same whoever asks.
    parts = found["mutual_information.score"] + found["mutual_information.aggregate_kl"]
    assert parts == pytest.approx(run.evaluate(["rate"], rows=None)["rate.total@mc"], abs=1e-3)


def test_one_factor_is_too_few_to_compare(run: Run) -> None:
    with pytest.raises(DataError, match="compares factors: found 1 that is known and varies"):
        run.evaluate(["kim_mnih_2018"], rows=None)


def test_a_model_without_density_says_so_and_answers_the_rest(tmp_path: Path) -> None:
    tables = {
        "name": "plain",
        "model": {
            "latent_dim": 2,
            "encoder": {"name": "mlp", "hidden": [8]},
            "decoder": {"name": "mlp", "hidden": [8]},
            "likelihood": {"name": "gaussian"},
        },
        "data": {"name": "pinwheel", "points": 20},
        "train": {
            "steps": 2,
            "batch_size": 8,
            "device": "cpu",
            "log_every": 2,
            "validate_every": 2,
            "checkpoint_every": 2,
        },
    }
    plain = aerepr.load(train(spec_from_tables(tables), run=tmp_path / "plain"))
    for name in ("encoder_entropy", "mutual_information", "iwae_log_likelihood", "clusters_used"):
        with pytest.raises(UsageError, match=f'metric "{name}" needs a') as refusal:
            plain.evaluate([name])
        assert "\n" not in str(refusal.value)
    assert "prior_match_mmd.score" in plain.evaluate(["prior_match_mmd"])
