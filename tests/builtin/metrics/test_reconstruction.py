"""Reconstruction error against its definition, on batches whose reconstructions are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from aerepr.builtin.likelihoods.bernoulli import SoftBernoulli
from aerepr.builtin.metrics.reconstruction import Reconstruction, ReconstructionSpec
from aerepr.kinds.batch import Batch
from aerepr.kinds.shape import DataShape
from aerepr.layers.ssim import ssim


@dataclass
class Judged:
    """A run whose codes are row numbers, and whose decoder looks up what it made of them."""

    x: Tensor
    raw: Tensor
    mean: object = torch.sigmoid

    def __post_init__(self) -> None:
        sizes = tuple(self.x.shape[1:])
        self.info = SimpleNamespace(shape=DataShape("image" if len(sizes) == 3 else "vector", sizes))
        self.model = SimpleNamespace(
            decoder=lambda rows: self.raw[rows],
            likelihood=SimpleNamespace(mean=self.mean),
        )

    def encoded(self) -> Iterator[SimpleNamespace]:
        # Batches of unlike sizes: a mean of their means would be another number.
        for rows in torch.arange(len(self.x)).split([3, 1, 1]):
            yield SimpleNamespace(batch=Batch(x=self.x[rows], rows=rows), z_BD=rows)


def numbers(run: Judged) -> dict[str, float]:
    return Reconstruction(ReconstructionSpec(name="reconstruction")).compute(run)


def test_errors_of_images_are_those_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(5, 3, 4, 4, generator=generator)
    raw = 3 * torch.randn(5, 3, 4, 4, generator=generator)
    found = numbers(Judged(x, raw))
    assert found["reconstruction.mse"] == pytest.approx(float((x - raw.sigmoid()).square().mean()), rel=1e-6)
    # Nats an image: summed over 48 values, averaged over 5 images; what the Bernoulli likelihood trains on.
    assert found["reconstruction.bce"] == pytest.approx(-float(SoftBernoulli(raw).log_prob(x).mean()), rel=1e-5)
    assert set(found) == {"reconstruction.mse", "reconstruction.bce"}


def test_an_image_made_exactly_has_no_error() -> None:
    x = torch.tensor([0.0, 1.0]).repeat(5, 3, 2, 1)
    found = numbers(Judged(x, (2 * x - 1) * 200))
    assert found["reconstruction.mse"] == 0
    assert found["reconstruction.bce"] == pytest.approx(0, abs=1e-4)


def test_a_value_that_cannot_be_costs_much_and_not_everything() -> None:
    x = torch.ones(5, 1, 1, 1)
    assert numbers(Judged(x, torch.full_like(x, -300)))["reconstruction.bce"] == pytest.approx(16.118, abs=1e-2)


def test_vectors_have_squares_alone() -> None:
    x = torch.arange(10.0).reshape(5, 2)
    assert numbers(Judged(x, x + 2, mean=lambda raw: raw)) == {"reconstruction.mse": pytest.approx(4.0)}


def test_images_that_hold_a_window_have_a_structural_similarity() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(5, 3, 12, 13, generator=generator)
    raw = x.logit() + torch.arange(5.0)[:, None, None, None] * torch.randn(5, 3, 12, 13, generator=generator)
    found = numbers(Judged(x, raw))
    assert found["reconstruction.ssim"] == pytest.approx(float(ssim(x, raw.sigmoid()).mean()), rel=1e-6)
    assert 0 < found["reconstruction.ssim"] < 0.9
    assert numbers(Judged(x, x.logit()))["reconstruction.ssim"] == pytest.approx(1, abs=1e-6)
    # One row fewer than the window is high.
    assert "reconstruction.ssim" not in numbers(Judged(x[:, :, :10], raw[:, :, :10]))
