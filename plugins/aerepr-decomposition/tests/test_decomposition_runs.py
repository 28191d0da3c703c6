"""The components kept to their contracts, and runs through the commands: trained, sampled, exported, on two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import aerepr
from aerepr.conformance.run import CHECKS, check_component
from aerepr.export.load import load_decoder
from aerepr.kinds.sampler import Sampler
from aerepr.layers.noise import sample_noise
from aerepr.registry.registry import Registry
from aerepr.rundir import tensors
from aerepr.spec.read import spec_from_tables
from aerepr.spec.write import to_toml
from aerepr.workflows.assemble import run_source
from aerepr.workflows.load import Run
from aerepr.workflows.train import train

MODEL_KINDS = ("encoder", "decoder", "posterior", "prior", "regularizer")
COMPONENTS = [
    (kind, entry.name)
    for kind in MODEL_KINDS
    for entry in Registry().entries(kind)
    if entry.package == "aerepr-decomposition"
]

# Spectrum "equal": what is learned then starts at nothing, so that a start from the data is not taken for learning.
PRIORS: dict[str, dict[str, Any]] = {
    "anisotropic_gaussian": {"spectrum": "equal", "learned": True},
    "gaussian_mixture": {"means": [[0, -1, 0, 1], [0, 1, 0, -1], [1, 0, 1, 0]], "learned": True},
    "sparse_mixture": {},
    "student_t": {"df": 3.0},
}
FORMATS = ("onnx", "torchscript", "pt2")


def tables(prior: str, posterior: str = "gaussian", **settings: Any) -> dict[str, Any]:
    """A spec that trains in a second, with every term; settings of the prior beside those above."""
    terms = [{"name": name} for name in ("kl", "aggregate_inclusive_kl", "mmd_dimwise")]
    model = {
        "latent_dim": 4,
        "encoder": {"name": "dcgan", "width": 4},
        "posterior": {"name": posterior, "scale": "softplus", "floor": 1e-6},
        "prior": {"name": prior, **PRIORS[prior], **settings},
        "decoder": {"name": "dcgan", "width": 4},
        "likelihood": {"name": "laplace", "scale": 0.1, "squash": False},
        "regularizers": terms,
    }
    data = {"name": "rooms", "size": 16, "gallery": 4, "subset": {"floor_hue": [0], "scale": [7], "orientation": [7]}}
    run = {"steps": 6, "batch_size": 8, "device": "cpu", "log_every": 2, "validate_every": 6, "checkpoint_every": 3}
    optimizer = {"name": "adam", "amsgrad": True}
    return {
        "name": "dd",
        "model": model,
        "data": data,
        "train": {**run, "optimizer": optimizer},
        "sampler": {"name": "prior"},
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """A small run with a prior, made when it is first asked for. Read it; write products elsewhere."""
    folder = tmp_path_factory.mktemp("decomposition")

    @cache
    def trained(prior: str, posterior: str = "gaussian", **settings: Any) -> Run:
        name = "-".join([prior, posterior, *(f"{key}={value}" for key, value in settings.items())])
        return aerepr.load(train(spec_from_tables(tables(prior, posterior, **settings)), run=folder / name))

    return trained


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_conforms(kind: str, name: str) -> None:
    results = check_component(kind, name, Registry())
    assert [f"{result.check}: {result.message}" for result in results if not result.passed] == []


def test_all_kinds_are_checked() -> None:
    assert set(MODEL_KINDS) <= set(CHECKS)
    assert len(COMPONENTS) == 12


@pytest.mark.parametrize("prior", PRIORS)
def test_priors_train_sample_and_traverse(prior: str, trained: Callable[..., Run]) -> None:
    run = trained(prior)
    records = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    values = [value for record in records for value in record.values() if isinstance(value, float)]
    assert np.isfinite(values).all()
    losses = {key for record in records for key in record if key.startswith("loss/")}
    # Normal to normal is exact; of the others the name says that it is an estimate.
    assert ("loss/kl" in losses) == (prior == "anisotropic_gaussian")
    assert ("loss/kl_mc" in losses) == (prior != "anisotropic_gaussian")
    for sampler in ("prior", "hybrid"):
        assert np.isfinite(run.sample(3, sampler=sampler)).all()
    for row in run.traverse("dimensions"):
        assert np.isfinite(row.values).all()
    for sampler in (found for name, found in run.view.samplers().items() if name.startswith("hybrid")):
        require_of_bank(sampler(sample_noise(50, sampler.noise_dim, 1, sampler.noise)).numpy(), sampler, run)


def require_of_bank(z_ND: np.ndarray, sampler: Sampler, run: Run) -> None:
    """Hybrid codes are of stored ones, piece by piece, and not all pieces of one code are of one other."""
    bank_SD, count = sampler.bank_SD.numpy(), int(sampler.count)
    assert {tuple(code) for code in bank_SD[:count].tolist()} <= {tuple(code) for code in run.codes.tolist()}
    for unit in range(sampler.noise_dim):
        piece = sampler.unit_D.numpy() == unit
        stored = {tuple(code) for code in bank_SD[:count, piece].tolist()}
        assert len(stored) > 1
        assert {tuple(code) for code in z_ND[:, piece].tolist()} <= stored
    if sampler.noise_dim > 1:
        assert not {tuple(code) for code in z_ND.tolist()} <= {tuple(code) for code in bank_SD.tolist()}


def test_what_a_prior_learns_is_learned_and_kept(trained: Callable[..., Run]) -> None:
    for prior in ("anisotropic_gaussian", "gaussian_mixture"):
        run = trained(prior)
        (w,) = run.view.model.prior.parameters()
        found = run.view.model.prior.scales().detach()
        assert w.detach().abs().max() > 0
        # The mean variance stays: that of the spectrum is 1, that of the clusters 0.03.
        assert found.square().mean().item() == pytest.approx(1.0 if prior == "anisotropic_gaussian" else 0.03, rel=1e-4)
        assert found.std() > 1e-6


def test_a_fixed_spectrum_is_that_of_the_training_images(tmp_path: Path) -> None:
    spec = tables("anisotropic_gaussian", spectrum="pca", learned=False)
    spec["train"] |= {"steps": 1, "log_every": 1, "validate_every": 1, "checkpoint_every": 1}
    run = aerepr.load(train(spec_from_tables(spec), run=tmp_path / "run"))
    source = run_source(run.directory, run.view, run.registry, run.data)
    squares = torch.linalg.svdvals(source.examples(source.rows("train")).flatten(1).double())[:4].square()
    found_D = run.view.model.prior.scales().double()
    torch.testing.assert_close(found_D.square(), 4 * squares / squares.sum(), rtol=1e-3, atol=1e-6)
    assert not list(run.view.model.prior.parameters())


def test_a_laplace_posterior_trains(trained: Callable[..., Run]) -> None:
    run = trained("student_t", "laplace")
    assert run.spec.model.posterior.name == "laplace"
    assert np.isfinite(run.sample(3)).all()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    ("prior", "settings", "formats"),
    [
        *((prior, {}, FORMATS if prior == "student_t" else FORMATS[:1]) for prior in PRIORS),
        *(pytest.param(prior, {}, FORMATS, marks=pytest.mark.full) for prior in PRIORS if prior != "student_t"),
        # gamma of 0 draws as many numbers, and reads half of them.
        pytest.param("sparse_mixture", {"gamma": 0.0}, FORMATS, marks=pytest.mark.full),
    ],
)
def test_the_prior_s_sampler_is_exported(
    prior: str, settings: dict[str, Any], formats: tuple[str, ...], trained: Callable[..., Run], tmp_path: Path
) -> None:
    # That each can be traced and exported by torch is a check of its contract; one is taken through every format.
    run = trained(prior, **settings)
    found = run.export(list(formats), out=tmp_path / "e", parts=["decoder", "sampler"], sampler="prior")
    assert max(found["max_abs_diff"].values()) <= 1e-5
    sampler = run.view.samplers()["prior"]
    noise = torch.rand(200, sampler.noise_dim, generator=torch.Generator().manual_seed(1)).clamp(2.0**-24, 1 - 2.0**-24)
    # The ends of the noise too, where a t is farthest out and a logarithm nearest to nothing.
    noise[0], noise[1] = 2.0**-24, 1 - 2.0**-24
    eager = sampler(noise).numpy()
    onnx = onnxruntime.InferenceSession(tmp_path / "e" / "sampler.onnx", providers=["CPUExecutionProvider"])
    (z_BD,) = onnx.run(None, {onnx.get_inputs()[0].name: noise.numpy()})
    np.testing.assert_allclose(z_BD, eager, rtol=2e-5, atol=2e-6)
    images = [load_decoder(tmp_path / "e", trust=True, format=form).sample(5, seed=3) for form in formats]
    for other in images[1:]:
        np.testing.assert_allclose(other, images[0], rtol=0, atol=2e-5)


@pytest.mark.parametrize("parts", [["sampler"], pytest.param(["decoder", "sampler"], marks=pytest.mark.full)])
def test_hybrid_sampling_of_a_student_t_run_is_exported(
    parts: list[str], trained: Callable[..., Run], tmp_path: Path
) -> None:
    run = trained("student_t")
    found = run.export("onnx", out=tmp_path / "e", parts=parts, sampler="hybrid")
    assert max(found["max_abs_diff"].values()) <= 1e-5
    decoder = load_decoder(tmp_path / "e", format="onnx")
    sampler = run.view.samplers()["hybrid_variable"]
    z_ND = decoder.draw(50, 1)
    require_of_bank(z_ND, sampler, run)
    np.testing.assert_array_equal(z_ND, sampler(sample_noise(50, sampler.noise_dim, 1, sampler.noise)).numpy())
    if "decoder" in parts:
        # The run's images have channels last.
        expected = np.moveaxis(run.sample(5, 1, sampler="hybrid"), -1, 1)
        np.testing.assert_allclose(decoder.sample(5, 1), expected, rtol=0, atol=2e-5)


def test_terms_of_the_batch_see_the_whole_batch_on_two_processes(tmp_path: Path) -> None:
    # Vectors and no batch normalisation, whose moments are each process's own; SGD, because Adam hides a factor.
    part = {"name": "mlp", "width": 8}
    spec = tables("gaussian_mixture")
    spec["model"] |= {"encoder": part, "decoder": part}
    spec["train"] |= {"steps": 3, "log_every": 1, "optimizer": {"name": "sgd", "lr": 1e-4, "betas": [0.0, 0.0]}}
    path, runs = tmp_path / "spec.toml", tmp_path / "runs"
    path.write_text(to_toml(spec), encoding="utf-8")
    alone = train(path, run=tmp_path / "alone")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    command += ["--rdzv-endpoint", "localhost:0", "-m", "aerepr", "train", str(path), "--runs", str(runs)]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    (together,) = (runs / "dd").iterdir()
    one, two = (tensors.load(folder / "model" / "model.safetensors") for folder in (alone, together))
    for key in one:
        torch.testing.assert_close(two[key], one[key], rtol=1e-4, atol=1e-5)
    lines = [(folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines() for folder in (alone, together)]
    for first, second in zip(*lines, strict=True):
        for key, value in json.loads(first).items():
            if key.startswith("loss/"):
                assert json.loads(second)[key] == pytest.approx(value, rel=1e-4, abs=1e-4)
