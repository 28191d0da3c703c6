"""Regularizers that break a contract each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.spec.model import RegularizerSpec
from tests.conformance.broken.collected import broken


class Square(Regularizer):
    Spec = RegularizerSpec

    def __init__(self, spec: RegularizerSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.weight = spec.weight

    def forward(self, step: Step) -> Tensor:
        return step.z_BD.square().sum(dim=1).mean()


@broken("regularizer", "scalar")
class PerExample(Square):
    def forward(self, step: Step) -> Tensor:
        return step.z_BD.square().sum(dim=1)


@broken("regularizer", "dtype")
class DoubleTerm(Square):
    def forward(self, step: Step) -> Tensor:
        return super().forward(step).double()


@broken("regularizer", "generator")
class DrawsTerm(Square):
    def forward(self, step: Step) -> Tensor:
        return super().forward(step) + torch.rand(())


@broken("regularizer", "gradients")
class CutTerm(Square):
    def forward(self, step: Step) -> Tensor:
        return super().forward(step).detach().requires_grad_()


@broken("regularizer", "order")
class Ordered(Square):
    def forward(self, step: Step) -> Tensor:
        return (step.z_BD.square().sum(dim=1) * torch.arange(len(step.z_BD))).mean()


@broken("regularizer", "weight")
class Weighted(Square):
    def forward(self, step: Step) -> Tensor:
        return self.weight * super().forward(step)


@broken("regularizer", "needs")
class NeedsDensity(Square):
    def forward(self, step: Step) -> Tensor:
        return -step.posterior.log_prob(step.z_BD).mean()


@broken("regularizer", "needs")
class NeedsFactors(Square):
    needs_density = True

    def forward(self, step: Step) -> Tensor:
        return step.posterior.base_dist.stddev.log().sum(dim=1).mean()


@broken("regularizer", "adversary")
class Leaks(Square):
    def __init__(self, spec: RegularizerSpec, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.judge = nn.Linear(ctx.latent_dim, 1)

    def forward(self, step: Step) -> Tensor:
        return self.judge(step.z_BD).mean()

    def adversary_parameters(self) -> list[nn.Parameter]:
        return list(self.judge.parameters())

    def adversary_loss(self, step: Step) -> Tensor:
        return (self.judge(step.z_BD) - 1).square().mean()
