"""The components that ship with the core, through every format: decoders, likelihoods and samplers that must export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aerepr.export.card import read_card
from aerepr.export.load import load_decoder
from aerepr.export.write import export_run
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.shape import DataShape
from aerepr.layers.exportable import Decode, standalone
from aerepr.layers.noise import sample_noise
from aerepr.model.build import build_sampler, build_system
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.spec.data import DatasetSpec
from aerepr.spec.run import RunSpec

IMAGES = {
    "structural": {"name": "structural", "width": 8, "variables": 3},
    "adaptive": {"name": "adaptive", "width": 8},
    "conv": {"name": "conv", "width": 8},
    "ladder": {"name": "ladder", "width": 8, "variables": 3},
    "transposed": {"name": "structural", "width": 8, "variables": 3, "upsample": "transposed", "nonlinearity": "elu"},
}
VECTORS = {"structural_mlp": {"name": "structural_mlp"}, "mlp": {"name": "mlp"}}


def run(decoder: dict[str, object], shape: DataShape, sampler: str, likelihood: str) -> View:
    """A run with random weights and codes; six latent dimensions."""
    spec = RunSpec(
        model={
            "latent_dim": 6,
            "encoder": {"name": "conv", "width": 8} if shape.is_image else {"name": "mlp"},
            "decoder": decoder,
            "likelihood": {"name": likelihood},
        },
        data=DatasetSpec(name="toy", standardize=not shape.is_image),
        train={"steps": 1},
        sampler={"name": sampler},
    )
    info = DataInfo(shape=shape, train_size=200)
    system = build_system(spec, info)
    codes = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    fitted = build_sampler(spec, system, info)
    fitted.fit(codes, system.layout, system.model.prior)
    return View(spec, system, fitted, info, codes, gallery=torch.zeros(0, *shape.sizes))


def check(view: View, folder: Path) -> None:
    """Every format that Python reads exports, agrees with the eager model and loads again."""
    forms = ["onnx", "pt2", "torchscript"]
    result = export_run(view, folder, forms, Registry(), parts=["decoder", "sampler", "encoder"])
    assert max(result["max_abs_diff"].values()) <= 1e-5
    with torch.no_grad():
        z = view.sampler(sample_noise(5, view.sampler.noise_dim, 3, view.sampler.noise))
        expected = standalone(Decode(view.model))(z)
        codes = view.model.encode(expected)
    span = (expected.max() - expected.min()).item()
    for form in forms:
        decoder = load_decoder(folder, trust=True, format=form)
        np.testing.assert_allclose(decoder.encode(expected.numpy()), codes, atol=1e-4)
        np.testing.assert_allclose(decoder.sample(5, 3), expected, atol=1e-5 * max(span, 1))


@pytest.mark.parametrize("size", [16, pytest.param(64, marks=pytest.mark.full)])
def test_structural_decoder(size: int, tmp_path: Path):
    check(run(IMAGES["structural"], DataShape.image(3, size, size), "hybrid", "bernoulli"), tmp_path / "exports")
    assert read_card(tmp_path / "exports").sampler.noise_dim == 3


@pytest.mark.full
@pytest.mark.parametrize("sampler", ["hybrid", "gaussian", "prior"])
@pytest.mark.parametrize("name", IMAGES)
def test_image_decoders(name: str, sampler: str, tmp_path: Path):
    check(run(IMAGES[name], DataShape.image(1, 32, 32), sampler, "bernoulli"), tmp_path / "exports")


@pytest.mark.full
@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
@pytest.mark.parametrize("name", VECTORS)
def test_vector_decoders(name: str, likelihood: str, tmp_path: Path):
    check(run(VECTORS[name], DataShape.vector(10), "hybrid", likelihood), tmp_path / "exports")
