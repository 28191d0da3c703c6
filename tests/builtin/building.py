"""Components and steps for tests, built the way the composition builds them."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.kinds.shape import DataShape
from aerepr.kinds.step import Step
from aerepr.layers.noise import StepNoise
from aerepr.registry.registry import Registry

REGISTRY = Registry()


def context(
    shape: tuple[int, ...] = (3, 8, 8), latent_dim: int = 4, K: int = 1, P: int = 1, layout: LatentLayout | None = None
) -> BuildContext:
    data = DataShape("image" if len(shape) == 3 else "vector", shape)
    info = DataInfo(shape=data, train_size=100)
    return BuildContext(data=info, latent_dim=latent_dim, load=REGISTRY.load, K=K, P=P, _layout=layout)


def build(kind: str, ctx: BuildContext, **table: Any) -> Any:
    """A component from its table."""
    component = REGISTRY.load(kind, table["name"])
    return component(component.Spec(**table), ctx)


def bare_step(x: Tensor, **filled: Any) -> Step:
    """A step over data; rows count from 0."""
    number, rows = torch.zeros((), dtype=torch.int64), torch.arange(len(x))
    step = Step(batch=Batch(x=x, rows=rows), noise=StepNoise(0, number, rows), number=number, dataset_size=100)
    return replace(step, **filled)


def step_of(posterior: Distribution, prior: Distribution, z_BD: Tensor | None = None) -> Step:
    """A step with only what a rate needs."""
    z_BD = posterior.mean if z_BD is None else z_BD
    return bare_step(torch.zeros(len(z_BD), 1), posterior=posterior, prior=prior, z_BD=z_BD)


def assert_exports(module: nn.Module, example: Tensor, other: Tensor) -> None:
    """Traced, saved and loaded, and torch-exported, the module still gives the eager numbers at another batch size."""
    module = module.eval()
    with torch.no_grad():
        expected = module(other)
        with warnings.catch_warnings():
            # PyTorch has deprecated TorchScript; any other warning of tracing stays an error.
            warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
            buffer = io.BytesIO()
            torch.jit.save(torch.jit.trace(module, example), buffer)
            buffer.seek(0)
            traced = torch.jit.load(buffer)
        exported = torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim.AUTO},)).module()
        torch.testing.assert_close(traced(other), expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(exported(other), expected, rtol=0, atol=1e-6)


def assert_all_learn(module: nn.Module, output: Tensor) -> None:
    """Every parameter receives a finite gradient that is not zero."""
    (output * torch.linspace(-1, 1, output.numel()).reshape(output.shape).cos()).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name
