"""The evidence lower bound: distortion plus the weighted regularizers.

    loss = E_q[-log p(x given z)] + sum over regularizers of weight * term,

a negative ELBO with one KL of weight 1, a plain autoencoder with none.

Source: Kingma and Welling 2014, arXiv:1312.6114.
"""

from __future__ import annotations

from collections.abc import Callable

from aerepr.kinds.objective import Objective
from aerepr.kinds.part import BuildContext
from aerepr.kinds.run import Model
from aerepr.kinds.step import Step, Term, Terms
from aerepr.spec.base import ComponentSpec


class ELBOSpec(ComponentSpec):
    """Table `[model.objective]` with `name = "elbo"`."""


class ELBO(Objective):
    """Distortion, summed over values and averaged over the batch, and the regularizers."""

    Spec = ELBOSpec

    def __init__(self, spec: ELBOSpec, ctx: BuildContext) -> None:
        super().__init__()

    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        """`distortion` in nats an example, and one term a regularizer."""
        step = model.infer(step)
        distortion = -step.likelihood.log_prob(step.batch.first).mean()
        return {"distortion": Term(distortion), **regularize(step)}
