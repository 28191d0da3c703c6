"""Priors that break a contract each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from aerepr.builtin.priors.standard_normal import StandardNormal
from aerepr.kinds.distributions import independent_normal
from aerepr.kinds.part import BuildContext
from tests.conformance.broken.collected import broken, grows


@broken("prior", "shape")
class NotJointPrior(StandardNormal):
    def forward(self) -> Distribution:
        return Normal(self.mean, self.std, validate_args=False)


@broken("prior", "dtype")
class DoublePrior(StandardNormal):
    def from_noise(self, noise_BN: Tensor) -> Tensor:
        return noise_BN.double()


@broken("prior", "law")
class Wide(StandardNormal):
    def from_noise(self, noise_BN: Tensor) -> Tensor:
        return 1.5 * noise_BN


@broken("prior", "law")
class Entangled(StandardNormal):
    """Each dimension follows the law, and they are not independent."""

    def from_noise(self, noise_BN: Tensor) -> Tensor:
        return noise_BN[:, :1].expand_as(noise_BN).clone()

    def forward(self) -> Distribution:
        D = len(self.mean)
        shared_DD = torch.eye(D) + 0.5
        deviation_D = shared_DD.square().sum(dim=1).sqrt()
        return torch.distributions.MultivariateNormal(
            self.mean,
            scale_tril=torch.linalg.cholesky(shared_DD @ shared_DD.T / deviation_D.outer(deviation_D)),
            validate_args=False,
        )


@broken("prior", "gradients")
class IdlePrior(StandardNormal):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.idle = nn.Parameter(torch.zeros(2))

    def forward(self) -> Distribution:
        return independent_normal(self.mean, self.std)


@broken("prior", "independent")
class CentredPrior(StandardNormal):
    def from_noise(self, noise_BN: Tensor) -> Tensor:
        return noise_BN - noise_BN.mean(dim=0)


@broken("prior", "export")
class FrozenPrior(StandardNormal):
    def from_noise(self, noise_BN: Tensor) -> Tensor:
        return grows(noise_BN, int(noise_BN.shape[0]))
