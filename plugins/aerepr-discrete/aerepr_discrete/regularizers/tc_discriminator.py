"""Total correlation by a density-ratio adversary, as FactorDVAE has it: its input are the relaxed positions.

The discriminator learns to tell the codes of a batch, class 0, from the same codes with each dimension permuted across the
batch in an order of its own, class 1. At its optimum the difference of its logits is log q(z) / prod_d q(z_d), whose mean
is the term. The core's `factor_tc` differs: a second batch is permuted, and its slope is FactorVAE's 0.2.

Source: Friede et al. 2023, "Learning Disentangled Discrete Representations", as in the authors' code; Kim and Mnih 2018,
arXiv:1802.05983.
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
from aerepr_discrete.networks import initialised

_SLOPE = 0.01


class DiscriminatorOptimizer(OptimizerSpec):
    """Table `optimizer` of the term, with the authors' defaults."""

    lr: PositiveFloat = Field(1e-4, description="learning rate", json_schema_extra={"schedulable": True})
    betas: tuple[NonNegativeFloat, NonNegativeFloat] = Field(
        (0.5, 0.9), description="Adam's decay rates; the first is SGD's momentum"
    )


class TCDiscriminatorSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "tc_discriminator"`; the weight is gamma."""

    width: PositiveInt = Field(1000, description="units of each hidden layer of the discriminator")
    depth: PositiveInt = Field(6, description="hidden layers of the discriminator")
    optimizer: DiscriminatorOptimizer = Field(DiscriminatorOptimizer(), description="optimizer of the discriminator")


class TCDiscriminator(Regularizer):
    """Total correlation as its discriminator sees it."""

    Spec = TCDiscriminatorSpec

    def __init__(self, spec: TCDiscriminatorSpec, ctx: BuildContext) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in [ctx.latent_dim] + [spec.width] * (spec.depth - 1):
            layers += [nn.Linear(inputs, spec.width), nn.LeakyReLU(_SLOPE)]
        self.discriminator = initialised(nn.Sequential(*layers, nn.Linear(spec.width, 2)))

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
        """Cross entropy of telling the batch's codes from the same codes permuted."""
        z_BD = step.z_BD.detach()
        order_BD = step.noise("tc_discriminator", "uniform", (z_BD.shape[1],)).argsort(dim=0)
        joint_B2, product_B2 = self.discriminator(z_BD), self.discriminator(z_BD.gather(0, order_BD))
        return -0.5 * (F.log_softmax(joint_B2, -1)[:, 0].mean() + F.log_softmax(product_B2, -1)[:, 1].mean())
