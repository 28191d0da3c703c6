"""Tiny real runs to export: an image model with a hybrid bank sampler, and a vector model with a Gaussian one.

Loaded by path from the conftests of both test folders that need it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.decoder import Decoder
from aerepr.kinds.distributions import Dirac, independent_normal
from aerepr.kinds.encoder import Encoder
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.likelihood import Likelihood
from aerepr.kinds.objective import Objective
from aerepr.kinds.posterior import Posterior
from aerepr.kinds.prior import Prior
from aerepr.kinds.run import Model
from aerepr.kinds.sampler import Sampler
from aerepr.kinds.shape import DataShape
from aerepr.kinds.step import Mode, Step, Terms
from aerepr.model.autoencoder import Autoencoder
from aerepr.model.system import System
from aerepr.model.view import View
from aerepr.spec.base import ComponentSpec
from aerepr.spec.data import DatasetSpec
from aerepr.spec.model import ModelSpec
from aerepr.spec.run import RunSpec
from aerepr.spec.training import TrainSpec

D = 6


class Flat(Encoder):
    def __init__(self, values: int) -> None:
        super().__init__()
        self.linear = nn.Linear(values, D)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))[..., None]


class Point(Posterior):
    def forward(self, params_BDK: Tensor) -> Distribution:
        return Dirac(params_BDK[..., 0])

    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        return params_BDK[..., 0]


class Standard(Prior):
    noise_dim = D

    def forward(self) -> Distribution:
        return independent_normal(torch.zeros(D), torch.ones(D))

    def from_noise(self, noise_BN: Tensor) -> Tensor:
        return noise_BN


class Image(Decoder):
    """8x8 RGB. Dropout makes training mode another function, so that an export in the wrong mode shows."""

    def __init__(self) -> None:
        super().__init__()
        self.layout = LatentLayout.equal(D, 3)
        self.stem = nn.Linear(D, 4 * 16)
        self.conv = nn.Conv2d(4, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, z_BD: Tensor) -> Tensor:
        h = self.stem(z_BD).view(-1, 4, 4, 4)
        h = self.drop(nn.functional.mish(self.norm(self.conv(h))))
        return self.out(nn.functional.interpolate(h, scale_factor=2.0, mode="bilinear"))


class Vector(Decoder):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.layout = LatentLayout.unstructured(D)
        self.net = nn.Sequential(nn.Linear(D, 16), nn.Mish(), nn.Linear(16, features))

    def forward(self, z_BD: Tensor) -> Tensor:
        return self.net(z_BD)


class Pixels(Likelihood):
    def forward(self, raw: Tensor) -> Distribution:
        return Independent(Bernoulli(logits=raw, validate_args=False), 3, validate_args=False)

    def mean(self, raw: Tensor) -> Tensor:
        return torch.sigmoid(raw)


class Reals(Likelihood):
    def forward(self, raw: Tensor) -> Distribution:
        return Independent(Normal(raw, 1.0, validate_args=False), 1, validate_args=False)

    def mean(self, raw: Tensor) -> Tensor:
        return raw


class Bank(Sampler):
    """Each variable from a row of the bank of its own."""

    noise = "uniform"

    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        self.noise_dim = len(layout)
        self.register_buffer("bank_ND", codes_ND.clone())
        owner = [i for i, variable in enumerate(layout) for _ in range(variable.size)]
        self.register_buffer("owner_D", torch.tensor(owner))

    def forward(self, noise_BN: Tensor) -> Tensor:
        rows = self.bank_ND.shape[0]
        index_BN = (noise_BN * rows).to(torch.int64).clamp(0, rows - 1)
        return torch.gather(self.bank_ND, 0, index_BN[:, self.owner_D])


class Fitted(Sampler):
    """A full normal fitted to the codes."""

    noise = "normal"

    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        self.noise_dim = codes_ND.shape[1]
        self.register_buffer("mean", codes_ND.mean(dim=0))
        self.register_buffer("root", torch.linalg.cholesky(torch.cov(codes_ND.T)))

    def forward(self, noise_BN: Tensor) -> Tensor:
        return self.mean + noise_BN @ self.root.T


class Velocity(nn.Module):
    """Gradient of the potential sum(tanh(W z)) * t, written out; two inputs and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(D, 5)

    def forward(self, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        value = torch.tanh(self.linear(z))
        gradient = (1 - value * value) @ self.linear.weight
        return gradient * t, value.sum(dim=1)


class Flow(Objective):
    def __init__(self) -> None:
        super().__init__()
        self.velocity = Velocity()

    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        return regularize(model.infer(step))

    def exports(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        return {"velocity": (self.velocity, (torch.linspace(-1, 1, 3 * D).reshape(3, D), torch.tensor(0.25)))}


class Plain(Objective):
    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        return regularize(model.infer(step))


def spec(name: str, sampler: str) -> RunSpec:
    part = ComponentSpec(name="toy")
    parts = {kind: part for kind in ("encoder", "posterior", "prior", "decoder", "likelihood", "objective")}
    return RunSpec(
        name=name,
        model=ModelSpec(recipe="toy-3", latent_dim=D, **parts),
        data=DatasetSpec(name="toy"),
        train=TrainSpec(steps=1),
        sampler=ComponentSpec(name=sampler),
    )


def image_run(objective: Objective | None = None) -> View:
    """8x8 images, three variables of two dimensions, a hybrid bank, in training mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Autoencoder(Flat(192), Point(), Standard(), Image(), Pixels())
        system = System(model, objective or Flow(), {})
        codes = torch.randn(50, D) * torch.tensor([1.0, 2.0, 0.5, 1.0, 1.0, 3.0])
    return view("toy-image", "hybrid", system, Bank(), DataShape.image(3, 8, 8), codes)


def vector_run(objective: Objective | None = None) -> View:
    """Standardised vectors of four features with unlike units, a Gaussian sampler."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = Autoencoder(Flat(4), Point(), Standard(), Vector(4), Reals(), features=4)
        codes = torch.randn(50, D)
    model.get_buffer("offset").copy_(torch.tensor([5.0, -2.0, 0.0, 100.0]))
    model.get_buffer("scale").copy_(torch.tensor([1.0, 10.0, 0.1, 3.0]))
    return view("toy-vector", "gaussian", System(model, objective or Plain(), {}), Fitted(), DataShape.vector(4), codes)


def view(name: str, kind: str, system: System, sampler: Sampler, shape: DataShape, codes: Tensor) -> View:
    sampler.fit(codes, system.layout, system.model.prior)
    info = DataInfo(shape=shape, train_size=len(codes))
    return View(spec(name, kind), system, sampler, info, codes, gallery=torch.zeros(0, *shape.sizes))
