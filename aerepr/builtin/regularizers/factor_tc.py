"""Total correlation KL(q(z) || prod_d q(z_d)) by a density-ratio adversary: FactorVAE's second term.

A discriminator learns to tell codes, class 0, from codes of a second batch whose dimensions are permuted across that
batch, each in an order of its own, class 1. At its optimum the difference of its two logits is
log q(z) / prod_d q(z_d), whose mean over codes is the term.

Source: Kim and Mnih 2018, arXiv:1802.05983, algorithm 2 and appendix A (the discriminator and its optimizer).
Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.spec.model import RegularizerSpec
from aerepr.spec.training import OptimizerSpec


class DiscriminatorOptimizer(OptimizerSpec):
    """Table `optimizer` of the term, with the paper's defaults."""

    lr: PositiveFloat = Field(1e-4, description="learning rate", json_schema_extra={"schedulable": True})
    betas: tuple[NonNegativeFloat, NonNegativeFloat] = Field(
        (0.5, 0.9), description="Adam's decay rates; the first is SGD's momentum"
    )


class FactorTCSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "factor_tc"`."""

    width: PositiveInt = Field(1000, description="units of each hidden layer of the discriminator")
    depth: PositiveInt = Field(6, description="hidden layers of the discriminator")
    optimizer: DiscriminatorOptimizer = Field(DiscriminatorOptimizer(), description="optimizer of the discriminator")


class FactorTC(Regularizer):
    """Total correlation as its discriminator sees it."""

    Spec = FactorTCSpec
    extra_batches = 1

    def __init__(self, spec: FactorTCSpec, ctx: BuildContext) -> None:
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
            0-dim, nats an example, unweighted; as good as the discriminator, so it may be negative.
        """
        logits_B2 = self.discriminator(step.z_BD)
        return (logits_B2[:, 0] - logits_B2[:, 1]).mean()

    def adversary_parameters(self) -> Iterable[nn.Parameter]:
        return self.discriminator.parameters()

    def adversary_loss(self, step: Step) -> Tensor:
        """Cross entropy of telling the batch's codes from permuted codes of the second batch."""
        second = step.extra[0]
        order_BD = second.noise("factor_tc", "uniform", (second.z_BD.shape[1],))
        joint_B2 = self.discriminator(step.z_BD.detach())
        product_B2 = self.discriminator(permute_dimensions(second.z_BD.detach(), order_BD))
        return -0.5 * (F.log_softmax(joint_B2, -1)[:, 0].mean() + F.log_softmax(product_B2, -1)[:, 1].mean())


def permute_dimensions(z_BD: Tensor, order_BD: Tensor) -> Tensor:
    """Each dimension across the batch in an order of its own: that of its noise."""
    return z_BD.gather(0, order_BD.argsort(dim=0))
