"""Total correlation KL(q(z) || prod_j q(z_j)) by the density-ratio trick.

A discriminator learns to tell codes, class 0, from codes whose columns are permuted across a second batch, class 1. At
its optimum the difference of its two logits is log q(z) / prod_j q(z_j), whose mean under q is the term.

Source: Kim & Mnih 2018 (FactorVAE), arXiv:1802.05983, algorithm 2. Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.spec.model import RegularizerSpec
from aerepr.spec.training import OptimizerSpec


class DiscriminatorOptimizer(OptimizerSpec):
    """Table `optimizer` of the term: a table that sets only one key keeps the paper's values of the others."""

    lr: PositiveFloat = Field(1e-4, description="learning rate", json_schema_extra={"schedulable": True})
    betas: tuple[NonNegativeFloat, NonNegativeFloat] = Field((0.5, 0.9), description="Adam's decay rates")


class TotalCorrelationSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "probe_tc"`."""

    width: PositiveInt = Field(1000, description="units of each hidden layer of the discriminator")
    depth: PositiveInt = Field(6, description="hidden layers of the discriminator")
    optimizer: DiscriminatorOptimizer = Field(DiscriminatorOptimizer(), description="optimizer of the discriminator")


class TotalCorrelation(Regularizer):
    """Total correlation of the code, estimated by an adversary."""

    Spec = TotalCorrelationSpec
    extra_batches = 1

    def __init__(self, spec: TotalCorrelationSpec, ctx: BuildContext) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in [ctx.latent_dim] + [spec.width] * (spec.depth - 1):
            layers += [nn.Linear(inputs, spec.width), nn.LeakyReLU(0.2)]
        self.discriminator = nn.Sequential(*layers, nn.Linear(spec.width, 2))

    def forward(self, step: Step) -> Tensor:
        """The estimate on one batch.

        Args:
            step: uses `z_BD`.

        Returns:
            Scalar, nats per example, unweighted. It may be negative: it is as good as its discriminator.
        """
        logits_B2 = self.discriminator(step.z_BD)
        return (logits_B2[:, 0] - logits_B2[:, 1]).mean()

    def adversary_parameters(self) -> Iterable[nn.Parameter]:
        return self.discriminator.parameters()

    def adversary_loss(self, step: Step) -> Tensor:
        """Cross entropy of telling the batch's codes from permuted codes of the second batch."""
        second = step.extra[0]
        noise_BD = second.noise("probe_tc", "uniform", (second.z_BD.shape[1],))
        joint_B2 = self.discriminator(step.z_BD.detach())
        product_B2 = self.discriminator(permute_columns(second.z_BD.detach(), noise_BD))
        return -0.5 * (F.log_softmax(joint_B2, -1)[:, 0].mean() + F.log_softmax(product_B2, -1)[:, 1].mean())


def permute_columns(z_BD: Tensor, noise_BD: Tensor) -> Tensor:
    """Each column in an order of its own: that of its noise."""
    return torch.gather(z_BD, 0, noise_BD.argsort(dim=0))
