"""Likelihoods that break a contract each."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Bernoulli as PlainBernoulli
from torch.distributions import Distribution

from aerepr.builtin.likelihoods.bernoulli import Bernoulli
from tests.conformance.broken.collected import broken, grows


@broken("likelihood", "shape")
class NotSummed(Bernoulli):
    def forward(self, raw: Tensor) -> Distribution:
        return PlainBernoulli(logits=raw, validate_args=False)


@broken("likelihood", "range")
class Unbounded(Bernoulli):
    def mean(self, raw: Tensor) -> Tensor:
        return raw


@broken("likelihood", "gradients")
class Wasteful(Bernoulli):
    P = 2

    def forward(self, raw: Tensor) -> Distribution:
        return super().forward(raw.chunk(2, dim=1)[0])

    def mean(self, raw: Tensor) -> Tensor:
        return super().mean(raw.chunk(2, dim=1)[0])


@broken("likelihood", "independent")
class CentredLikelihood(Bernoulli):
    def mean(self, raw: Tensor) -> Tensor:
        return (super().mean(raw) - 0.3 * super().mean(raw).mean(dim=0)).clamp(0, 1)


@broken("likelihood", "export")
class FrozenLikelihood(Bernoulli):
    def mean(self, raw: Tensor) -> Tensor:
        return super().mean(grows(raw, int(raw.shape[0])))
