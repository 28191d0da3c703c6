"""Objectives that break a contract each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from aerepr.builtin.objectives.elbo import ELBO
from aerepr.kinds.part import BuildContext
from aerepr.kinds.run import Model
from aerepr.kinds.step import Step, Term, Terms
from tests.conformance.broken.collected import broken, grows


@broken("objective", "terms")
class NotReduced(ELBO):
    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        step = model.infer(step)
        return {"distortion": Term(-step.likelihood.log_prob(step.batch.first)), **regularize(step)}


@broken("objective", "deterministic")
class Ages(ELBO):
    age = 0

    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        self.age += 1
        terms = super().forward(model, step, regularize)
        return terms | {"age": Term(terms["distortion"].raw.detach() * self.age)}


@broken("objective", "gradients")
class IdleObjective(ELBO):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.idle = nn.Parameter(torch.zeros(()))


@broken("objective", "order")
class SecondOrder(ELBO):
    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        terms = super().forward(model, step, regularize)
        z_BD = step.noise("probe", "normal", (model.encoder.numbers[0],)).requires_grad_()
        (slope,) = torch.autograd.grad(model.decoder(z_BD).sum(), z_BD, create_graph=True)
        return terms | {"slope": Term(slope.square().mean())}


@broken("objective", "regularizers")
class Forgets(ELBO):
    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        step = model.infer(step)
        return {"distortion": Term(-step.likelihood.log_prob(step.batch.first).mean())}


class FrozenEntry(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return grows(z, int(z.shape[0]))


@broken("objective", "exports")
class FrozenObjective(ELBO):
    def exports(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        return {"frozen": (FrozenEntry(), (torch.ones(2, 3),))}
