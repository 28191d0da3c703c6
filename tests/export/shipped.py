"""Runs of the components that ship with the core, with random weights and codes."""

from __future__ import annotations

from typing import Any

import torch

from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.shape import DataShape
from aerepr.model.build import build_sampler, build_system
from aerepr.model.view import View
from aerepr.spec.data import DatasetSpec
from aerepr.spec.run import RunSpec

IMAGES: dict[str, dict[str, Any]] = {
    "structural": {"name": "structural", "width": 8, "variables": 3},
    "adaptive": {"name": "adaptive", "width": 8},
    "conv": {"name": "conv", "width": 8},
    "ladder": {"name": "ladder", "width": 8, "variables": 3},
    "transposed": {"name": "structural", "width": 8, "variables": 3, "upsample": "transposed", "nonlinearity": "elu"},
}
VECTORS: dict[str, dict[str, Any]] = {"structural_mlp": {"name": "structural_mlp"}, "mlp": {"name": "mlp"}}


def structural_run() -> View:
    """The shipped structural decoder with the shipped hybrid sampler, small."""
    return shipped_run(IMAGES["structural"], DataShape.image(3, 32, 32), "hybrid", "bernoulli")


def shipped_run(decoder: dict[str, Any], shape: DataShape, sampler: str, likelihood: str) -> View:
    """Six latent dimensions, and 200 codes that the sampler is fitted to."""
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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        system = build_system(spec, info)
    codes = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    fitted = build_sampler(spec, system, info)
    fitted.fit(codes, system.layout, system.model.prior)
    return View(spec, system, fitted, info, codes, gallery=torch.zeros(0, *shape.sizes))
