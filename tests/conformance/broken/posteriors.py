"""Posteriors that break a contract each."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution

from aerepr.builtin.posteriors.gaussian import Gaussian
from aerepr.kinds.step import Mode
from tests.conformance.broken.collected import broken


@broken("posterior", "shape")
class NotJoint(Gaussian):
    def forward(self, params_BDK: Tensor) -> Distribution:
        distribution: Distribution = super().forward(params_BDK).base_dist
        return distribution


@broken("posterior", "modes")
class Boasts(Gaussian):
    modes = ("sample", "represent", "hard")

    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        if mode == "hard":
            raise NotImplementedError
        return super().draw(params_BDK, noise, mode)


@broken("posterior", "represent")
class Noisy(Gaussian):
    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        return super().draw(params_BDK, noise, "sample")


@broken("posterior", "reparameterised")
class Cut(Gaussian):
    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        return super().draw(params_BDK.detach(), noise, mode)


@broken("posterior", "gradients")
class Dense(Gaussian):
    def forward(self, params_BDK: Tensor) -> Distribution:
        return super().forward(params_BDK.detach())


@broken("posterior", "independent")
class CentredPosterior(Gaussian):
    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        z_BD = super().draw(params_BDK, noise, mode)
        return z_BD - 0.5 * z_BD.mean(dim=0)
