"""The components that ship with the core, through every format: decoders, likelihoods and samplers that must export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aerepr.export.card import read_card
from aerepr.export.load import load_decoder
from aerepr.export.write import export_run
from aerepr.kinds.shape import DataShape
from aerepr.layers.exportable import Decode, standalone
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from tests.export.shipped import IMAGES, VECTORS, shipped_run

FORMATS = ["onnx", "pt2", "torchscript"]
PARTS = ["decoder", "sampler", "encoder"]


def check(view: View, folder: Path, forms: list[str] = FORMATS, parts: list[str] = PARTS) -> None:
    """Every one of these formats, by default all that Python reads, exports, agrees with the eager model and loads again."""
    result = export_run(view, folder, forms, Registry(), parts=parts)
    assert max(result["max_abs_diff"].values()) <= 1e-5
    with torch.no_grad():
        z = view.sampler(sample_noise(5, view.sampler.noise_dim, 3, view.sampler.noise))
        expected = standalone(Decode(view.model))(z)
        codes = view.model.encode(expected)
    span = (expected.max() - expected.min()).item()
    for form in forms:
        decoder = load_decoder(folder, trust=True, format=form)
        if "encoder" in parts:
            np.testing.assert_allclose(decoder.encode(expected.numpy()), codes, atol=1e-4)
        np.testing.assert_allclose(decoder.sample(5, 3), expected, atol=1e-5 * max(span, 1))


# The other formats of this decoder and sampler are what the tests of the hosts and of loading read.
@pytest.mark.parametrize(
    ("size", "forms"),
    [(16, ["pt2"]), *(pytest.param(size, FORMATS, marks=pytest.mark.full) for size in (16, 64))],
)
def test_structural_decoder(size: int, forms: list[str], tmp_path: Path):
    view = shipped_run(IMAGES["structural"], DataShape.image(3, size, size), "hybrid", "bernoulli")
    check(view, tmp_path / "exports", forms)
    assert read_card(tmp_path / "exports").sampler.noise_dim == 3


@pytest.mark.full
@pytest.mark.parametrize("sampler", ["hybrid", "gaussian", "prior"])
@pytest.mark.parametrize("name", IMAGES)
def test_image_decoders(name: str, sampler: str, tmp_path: Path):
    check(shipped_run(IMAGES[name], DataShape.image(1, 32, 32), sampler, "bernoulli"), tmp_path / "exports")


@pytest.mark.parametrize("name", VECTORS)
def test_vector_decoders_to_onnx(name: str, tmp_path: Path):
    view = shipped_run(VECTORS[name], DataShape.vector(10), "hybrid", "gaussian")
    check(view, tmp_path / "exports", ["onnx"], ["decoder", "sampler"])


@pytest.mark.full
@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
@pytest.mark.parametrize("name", VECTORS)
def test_vector_decoders(name: str, likelihood: str, tmp_path: Path):
    check(shipped_run(VECTORS[name], DataShape.vector(10), "hybrid", likelihood), tmp_path / "exports")
