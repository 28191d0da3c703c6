"""FactorVAE's second term as the runs of "Structure by Architecture" computed it: by a discriminator that never learns.

It is not a total correlation. The term is mean(D0 - D1) of a network that keeps its random initial weights: its parameters
had been excluded from gradients by the time backward ran, so its own loss changed nothing. What it adds to the
encoder's gradient is a fixed random function of the codes. The permutation of its second class (within each vector, where
it belongs across the batch) fed only that loss, so there is none here. The term with a discriminator that learns is
`factor_tc`.

The network is D -> w -> w -> w -> 2, with BatchNorm and Mish after each hidden layer. Weights and the norms' scale and shift
stay as drawn, so they are buffers. The norms' running statistics do follow the codes, and stand in for the batch's in
validation; training uses the batch's own, so the term sees codes only relative to their batch. In the published runs
the discriminator's own loss moved the running statistics too, which changes the term in validation and no gradient.

Source: Leeb et al. 2023, the authors' released code.
Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.spec.model import RegularizerSpec


class LegacyFactorTCSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "legacy_factor_tc"`."""

    width: PositiveInt = Field(1000, description="units of each of the three hidden layers")


class LegacyFactorTC(Regularizer):
    """The mean difference of the two outputs of a random network."""

    Spec = LegacyFactorTCSpec

    def __init__(self, spec: LegacyFactorTCSpec, ctx: BuildContext) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (ctx.latent_dim, spec.width, spec.width):
            layers += [nn.Linear(inputs, spec.width), nn.BatchNorm1d(spec.width), nn.Mish()]
        self.discriminator = nn.Sequential(*layers, nn.Linear(spec.width, 2))
        _freeze(self.discriminator)

    def forward(self, step: Step) -> Tensor:
        """The term of one batch.

        Args:
            step: uses `z_BD`.

        Returns:
            0-dim, unweighted; of no meaning in itself.

        Raises:
            ValueError: a training batch of one code, which BatchNorm cannot normalise.
        """
        if self.training and len(step.z_BD) < 2:
            raise ValueError(
                "legacy_factor_tc normalises over the batch, and it has 1 code: set train.batch_size to 2 or more"
            )
        logits_B2 = self.discriminator(step.z_BD)
        return (logits_B2[:, 0] - logits_B2[:, 1]).mean()


def _freeze(module: nn.Module) -> None:
    """Every parameter a buffer of its name: saved, and never learned."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach())
